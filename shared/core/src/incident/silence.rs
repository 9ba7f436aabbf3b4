//! Silences: they mute the notifications of matching alerts for a while. The alerts are still recorded.

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::member::Member;
use crate::alert::AlertKind;
use crate::stored::{IfRefused, StoredValue};
use crate::time::Timestamp;

/// The alerts that a silence covers. Every given field must match. An empty matcher is invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matcher {
    /// A glob for the device id, or for `agent:<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A glob for the name of the rack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// A glob for the name of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// A glob for the name of the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The exact name of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The type of alert.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AlertKind>,
}

/// A silence, as stored in `rackwatch:silences`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The id: six hexadecimal digits, also the field in Redis.
    pub id: String,
    /// The alerts that it covers.
    pub matcher: Matcher,
    /// The start of the silence, inclusive.
    #[serde(rename = "from_ms")]
    pub from: Timestamp,
    /// The end of the silence, exclusive.
    #[serde(rename = "until_ms")]
    pub until: Timestamp,
    /// The reason, for other operators.
    pub reason: String,
    /// The person who added it.
    pub by: String,
}

impl StoredValue for Silence {
    const NAME: &'static str = "silence";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::ADD_AGAIN;
}

impl Matcher {
    /// Returns whether no field is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Compiles the globs.
    ///
    /// # Errors
    ///
    /// Fails if no field is given, or if a glob is invalid.
    pub fn compile(&self) -> Result<CompiledMatcher, String> {
        if self.is_empty() {
            return Err("matches every alert: set device, rack, row, room, rule or type".into());
        }
        let glob = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match Glob::new(text) {
                Ok(glob) => Ok(Some(glob.compile_matcher())),
                Err(error) => Err(format!("{name} {text:?} is not a valid glob: {error}")),
            },
        };
        Ok(CompiledMatcher {
            device: glob("device", &self.device)?,
            rack: glob("rack", &self.rack)?,
            row: glob("row", &self.row)?,
            room: glob("room", &self.room)?,
            rule: self.rule.clone(),
            kind: self.kind,
        })
    }
}

/// A matcher with compiled globs.
#[derive(Clone, Debug)]
pub struct CompiledMatcher {
    device: Option<GlobMatcher>,
    rack: Option<GlobMatcher>,
    row: Option<GlobMatcher>,
    room: Option<GlobMatcher>,
    rule: Option<String>,
    kind: Option<AlertKind>,
}

impl CompiledMatcher {
    /// Returns whether every given field matches.
    pub(super) fn matches(&self, member: &Member) -> bool {
        let glob = |glob: &Option<GlobMatcher>, text: &str| {
            glob.as_ref().is_none_or(|glob| glob.is_match(text))
        };
        glob(&self.device, member.device.as_str())
            && glob(&self.rack, &member.spot.rack)
            && glob(&self.row, &member.spot.row)
            && glob(&self.room, &member.spot.room)
            && self.rule.as_ref().is_none_or(|rule| *rule == member.rule)
            && self.kind.is_none_or(|kind| kind == member.kind)
    }
}

/// Silences with compiled matchers.
#[derive(Clone, Debug, Default)]
pub(super) struct Silences(Vec<(Silence, CompiledMatcher)>);

impl Silences {
    /// Compiles `all`. Drops invalid silences, which commands and the API refuse.
    pub(super) fn new(all: Vec<Silence>) -> Self {
        let compiled = all
            .into_iter()
            .filter_map(|silence| Some((silence.clone(), silence.matcher.compile().ok()?)));
        Self(compiled.collect())
    }

    /// Returns whether any silence mutes an alert now.
    pub(super) fn cover(&self, member: &Member, now: Timestamp) -> bool {
        self.0.iter().any(|(silence, matcher)| {
            silence.from <= now && now < silence.until && matcher.matches(member)
        })
    }
}
