//! Silences: they mute the notifications of matching alerts for a while. The alerts are still recorded.

use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::member::Member;
use crate::alert::AlertKind;
use crate::stored::{IfRefused, StoredValue};
use crate::time::Timestamp;

/// The alerts that a silence covers. Every given field must match. An empty matcher is invalid. An unknown field is an
/// error: ignoring it would silence more than was meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

/// Shortest silence.
const SHORTEST: Duration = Duration::from_mins(1);
/// Longest silence: a year.
const LONGEST: Duration = Duration::from_hours(366 * 24);
/// Most bytes of a text in a matcher.
const TEXT_LIMIT: usize = 200;

/// Checks the duration of a silence or of a single maintenance window.
///
/// # Errors
///
/// When it is shorter than a minute or longer than a year.
pub fn check_duration(duration: Duration) -> Result<(), String> {
    if (SHORTEST..=LONGEST).contains(&duration) {
        return Ok(());
    }
    Err("the duration must be between a minute and a year".to_owned())
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
    /// Fails if no field is given, or if one is empty, too long, has control characters or is not a valid glob.
    pub fn compile(&self) -> Result<CompiledMatcher, String> {
        if self.is_empty() {
            return Err("matches every alert: set device, rack, row, room, rule or type".into());
        }
        if let Some(rule) = &self.rule {
            check_text("rule", rule)?;
        }
        let glob = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                check_text(name, text)?;
                match Glob::new(text) {
                    Ok(glob) => Ok(Some(glob.compile_matcher())),
                    Err(error) => Err(format!("{name} {text:?} is not a valid glob: {error}")),
                }
            }
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

fn check_text(name: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > TEXT_LIMIT {
        return Err(format!("{name} must have 1 to {TEXT_LIMIT} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{name} {text:?} has control characters: remove them"
        ));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_long_and_invisible_texts_are_refused() {
        let rack = |text: &str| Matcher {
            rack: Some(text.to_owned()),
            ..Matcher::default()
        };
        rack("B07").compile().unwrap();
        let long = "a".repeat(201);
        for (text, expected) in [
            ("", "rack must have 1 to 200 bytes"),
            (&*long, "rack must have 1 to 200 bytes"),
            (
                "B\u{1b}07",
                "rack \"B\\u{1b}07\" has control characters: remove them",
            ),
        ] {
            assert_eq!(rack(text).compile().unwrap_err(), expected);
        }
    }

    #[test]
    fn an_unknown_field_is_an_error_that_lists_the_fields() {
        let json = r#"{ "rack": "B07", "devise": "inlet-1" }"#;
        let error = serde_json::from_str::<Matcher>(json)
            .unwrap_err()
            .to_string();
        let expected = "unknown field `devise`, expected one of `device`, `rack`, `row`, `room`, `rule`, `type`";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_silence_lasts_between_a_minute_and_a_year() {
        check_duration(Duration::from_mins(1)).unwrap();
        check_duration(Duration::from_hours(366 * 24)).unwrap();
        check_duration(Duration::from_secs(59)).unwrap_err();
        check_duration(Duration::from_hours(366 * 24 + 1)).unwrap_err();
    }
}
