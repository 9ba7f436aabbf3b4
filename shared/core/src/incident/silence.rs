//! Silences: for a while people do not want to hear of something. What is silenced is recorded all the
//! same.

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::Member;
use crate::alert::AlertKind;
use crate::time::Timestamp;

/// What is not to be heard of. All that is given must match; nothing given matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matcher {
    /// A glob for the device, or `agent:<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A glob for the rack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// A glob for the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// A glob for the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The rule's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The type of alert.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AlertKind>,
}

/// A silence as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Names it.
    pub id: String,
    /// What it is for.
    pub matcher: Matcher,
    /// From when on.
    #[serde(rename = "from_ms")]
    pub from: Timestamp,
    /// Until when.
    #[serde(rename = "until_ms")]
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

impl Matcher {
    /// Nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes it ready to match.
    ///
    /// # Errors
    ///
    /// When nothing is given, or a glob is none.
    pub fn check(&self) -> Result<Checked, String> {
        if self.is_empty() {
            return Err(
                "it would match everything: say which device, rack, row, room, rule or type".into(),
            );
        }
        let glob = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match Glob::new(text) {
                Ok(glob) => Ok(Some(glob.compile_matcher())),
                Err(error) => Err(format!("{name} {text:?} is not a glob: {error}")),
            },
        };
        Ok(Checked {
            device: glob("device", &self.device)?,
            rack: glob("rack", &self.rack)?,
            row: glob("row", &self.row)?,
            room: glob("room", &self.room)?,
            rule: self.rule.clone(),
            kind: self.kind,
        })
    }
}

/// A matcher that is ready to match.
#[derive(Clone, Debug)]
pub struct Checked {
    device: Option<GlobMatcher>,
    rack: Option<GlobMatcher>,
    row: Option<GlobMatcher>,
    room: Option<GlobMatcher>,
    rule: Option<String>,
    kind: Option<AlertKind>,
}

impl Checked {
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

/// The silences that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Silences(Vec<(Silence, Checked)>);

impl Silences {
    /// Those of `all` that can be understood.
    pub(super) fn new(all: Vec<Silence>) -> Self {
        let checked = all
            .into_iter()
            .filter_map(|silence| Some((silence.clone(), silence.matcher.check().ok()?)));
        Self(checked.collect())
    }

    /// Whether nobody wants to hear of it now.
    pub(super) fn cover(&self, member: &Member, now: Timestamp) -> bool {
        self.0.iter().any(|(silence, checked)| {
            silence.from <= now && now < silence.until && checked.matches(member)
        })
    }
}
