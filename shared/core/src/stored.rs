//! Versioned JSON: the format of every value of ours that Redis keeps.
//!
//! A stored value is one JSON object whose member `v` is the version of its format, beside the members of the
//! value itself: `{"v":1,"rack":"B07"}`. A reader takes a value over only if it knows that version. Anything
//! else is refused with a [`DecodeError`], which names the versions on both sides:
//!
//! - state that Rackwatch made itself (incidents, episodes, snapshots) starts cold;
//! - values that operators wrote (site, silences, maintenance windows) stay in Redis untouched until a program
//!   that understands them, or the operator, deals with them.
//!
//! A golden file for each type pins its members. Renaming a Rust field therefore takes a `#[serde(rename)]`,
//! and a change of meaning takes a new [`StoredValue::VERSION`].

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::name::{InvalidName, printable};

/// A type with a versioned JSON form. It must serialize to an object that has no member `v`.
pub trait StoredValue: Serialize + DeserializeOwned {
    /// The noun that errors and logs use, such as `silence`.
    const NAME: &'static str;
    /// The version of the JSON form. It counts up whenever an older program would misread a value.
    const VERSION: u32;
    /// The consequence of a refused value.
    const IF_REFUSED: IfRefused;
}

/// The consequence of refused values, as logs and `status` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfRefused {
    /// Rackwatch made the state itself and goes on without it. The text names what that means.
    StartsCold(&'static str),
    /// People or other programs wrote the values, and they stay in Redis without effect. The text is the remedy,
    /// with `{them}` for the values.
    HasNoEffect(&'static str),
}

impl IfRefused {
    /// The remedy for values that an operator can add again.
    pub const ADD_AGAIN: Self =
        Self::HasNoEffect("use the version of Rackwatch that wrote {them}, or add {them} again");

    /// Returns the consequence as a clause for a log line.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::StartsCold(consequence) => consequence,
            Self::HasNoEffect(_) => "no effect, and kept as it is",
        }
    }
}

/// Returns a count with its noun, such as `2 loss ledger entries`.
pub fn counted(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// The reason why a stored value is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A value without a version: it predates versions, or another program wrote it.
    #[error("stored {name} has no version, this program understands version {understood}")]
    Unversioned {
        /// The [`StoredValue::NAME`] of the expected type.
        name: &'static str,
        /// The version that this program reads and writes.
        understood: u32,
    },
    /// A value of an older or a newer program.
    #[error("stored {name} has version {found}, this program understands version {understood}")]
    OtherVersion {
        /// The [`StoredValue::NAME`] of the expected type.
        name: &'static str,
        /// The version of the value.
        found: u32,
        /// The version that this program reads and writes.
        understood: u32,
    },
    /// A value that contradicts its version, or that is not a JSON object.
    #[error("stored {name} is malformed")]
    Malformed {
        /// The [`StoredValue::NAME`] of the expected type.
        name: &'static str,
        /// The first fault in the JSON.
        source: serde_json::Error,
    },
    /// A value that is longer than any real one.
    #[error("stored {name} has {bytes} bytes, more than {limit}")]
    TooLong {
        /// The [`StoredValue::NAME`] of the expected type.
        name: &'static str,
        /// The length of the value in bytes.
        bytes: usize,
        /// The longest accepted length in bytes.
        limit: usize,
    },
    /// A member that must be a name, and is none.
    #[error("stored {name}: {member} is not a name: {why}")]
    NotAName {
        /// The [`StoredValue::NAME`] of the expected type.
        name: &'static str,
        /// The member.
        member: &'static str,
        /// The reason against its value.
        why: InvalidName,
    },
}

#[derive(Serialize)]
struct Envelope<'a, T: Serialize> {
    v: u32,
    #[serde(flatten)]
    value: &'a T,
}

#[derive(Deserialize)]
struct Version {
    v: Option<u32>,
}

/// Returns the JSON object of `value` with its version.
pub fn encode<T: StoredValue>(value: &T) -> String {
    let v = T::VERSION;
    // Stored types hold strings, numbers and plain enums only: this cannot fail.
    serde_json::to_string(&Envelope { v, value }).unwrap_or_default()
}

/// Reads a value back.
///
/// # Errors
///
/// Fails if the version is missing or not [`StoredValue::VERSION`], or if the JSON is malformed.
pub fn decode<T: StoredValue>(json: &[u8]) -> Result<T, DecodeError> {
    let (name, understood) = (T::NAME, T::VERSION);
    let malformed = |source| DecodeError::Malformed { name, source };
    // serde reads a struct from an array too, whose first element would then count as the version.
    let is_object = json.trim_ascii_start().starts_with(b"{");
    if !is_object && serde_json::from_slice::<IgnoredAny>(json).is_ok() {
        return Err(DecodeError::Unversioned { name, understood });
    }
    let version: Version = serde_json::from_slice(json).map_err(malformed)?;
    match version.v {
        Some(found) if found == understood => serde_json::from_slice(json).map_err(malformed),
        Some(found) => Err(DecodeError::OtherVersion {
            name,
            found,
            understood,
        }),
        None => Err(DecodeError::Unversioned { name, understood }),
    }
}

/// Reads a value back whose format other programs may write too: one without a version counts as version 1.
///
/// # Errors
///
/// Fails like [`decode`] in all other cases.
pub fn decode_or_first<T: StoredValue>(json: &[u8]) -> Result<T, DecodeError> {
    match decode(json) {
        Err(DecodeError::Unversioned { name, .. }) if T::VERSION == 1 => {
            serde_json::from_slice(json).map_err(|source| DecodeError::Malformed { name, source })
        }
        decoded => decoded,
    }
}

/// The part that errors of one kind share, whatever the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// A value without a version.
    Unversioned,
    /// A value of this version.
    OtherVersion(u32),
    /// A value that contradicts its version.
    Malformed,
    /// A value that is too long.
    TooLong,
    /// A value whose member of this name is not a name.
    NotAName(&'static str),
}

/// The values of one key in Redis, split into those that this program understands and those that it refuses.
#[derive(Debug)]
pub struct StoredValues<T> {
    /// The values that were understood, with the id of each.
    pub values: Vec<(String, T)>,
    /// The refused values: one entry for each reason.
    pub refusals: Vec<Refusal>,
}

/// Stored values that were refused for one reason.
#[derive(Debug)]
pub struct Refusal {
    /// The reason, as the first of the values gave it.
    pub error: DecodeError,
    /// The ids of the values, at least one.
    pub ids: Vec<String>,
}

impl<T: StoredValue> StoredValues<T> {
    /// Reads all values of a hash, from an id to JSON.
    pub fn from_hash<I, J>(hash: impl IntoIterator<Item = (I, J)>) -> Self
    where
        I: AsRef<str>,
        J: AsRef<[u8]>,
    {
        let mut decoded = Self::default();
        for (id, json) in hash {
            match decode(json.as_ref()) {
                Ok(value) => decoded.values.push((id.as_ref().to_owned(), value)),
                Err(error) => decoded.refuse(id.as_ref(), error),
            }
        }
        decoded
    }

    /// Returns the ids of all refused values.
    pub fn refused_ids(&self) -> impl Iterator<Item = &str> {
        let ids = self.refusals.iter().flat_map(|refusal| &refusal.ids);
        ids.map(String::as_str)
    }

    /// Returns the values alone.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.values.into_iter().map(|(_, value)| value)
    }

    /// Adds a refused value to those that were refused for the same reason.
    pub fn refuse(&mut self, id: &str, error: DecodeError) {
        let same = |refusal: &&mut Refusal| refusal.error.class() == error.class();
        match self.refusals.iter_mut().find(same) {
            Some(refusal) => refusal.ids.push(id.to_owned()),
            None => self.refusals.push(Refusal {
                error,
                ids: vec![id.to_owned()],
            }),
        }
    }
}

impl<T> Default for StoredValues<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

impl DecodeError {
    /// Returns what was found instead of a value of this version, such as `version 2`.
    pub fn finding(&self) -> String {
        match self {
            Self::OtherVersion { found, .. } => format!("version {found}"),
            Self::Unversioned { .. } => "no version".to_owned(),
            // serde quotes what it does not know.
            Self::Malformed { source, .. } => {
                format!("malformed JSON ({})", printable(&source.to_string()))
            }
            Self::TooLong { bytes, limit, .. } => format!("{bytes} bytes, more than {limit}"),
            Self::NotAName { member, why, .. } => format!("{member} is not a name: {why}"),
        }
    }

    /// Returns what was found, and the version that was expected where that matters.
    pub fn comparison(&self, understood: u32) -> String {
        match self {
            Self::NotAName { .. } => self.finding(),
            _ => format!("{} found, version {understood} understood", self.finding()),
        }
    }

    /// Returns the class, by which refused values are counted.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unversioned { .. } => ErrorClass::Unversioned,
            Self::OtherVersion { found, .. } => ErrorClass::OtherVersion(*found),
            Self::Malformed { .. } => ErrorClass::Malformed,
            Self::TooLong { .. } => ErrorClass::TooLong,
            Self::NotAName { member, .. } => ErrorClass::NotAName(member),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Before {
        rack: String,
        height: u16,
    }

    impl StoredValue for Before {
        const NAME: &'static str = "place";
        const VERSION: u32 = 2;
        const IF_REFUSED: IfRefused = IfRefused::StartsCold("places are unknown");
    }

    /// `Before` after a developer renamed a field.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct After {
        #[serde(rename = "rack")]
        cabinet: String,
        height: u16,
    }

    impl StoredValue for After {
        const NAME: &'static str = Before::NAME;
        const VERSION: u32 = Before::VERSION;
        const IF_REFUSED: IfRefused = Before::IF_REFUSED;
    }

    const JSON: &str = r#"{"v":2,"rack":"B07","height":12}"#;

    #[test]
    fn the_version_stands_first_and_beside_the_members() {
        let place = Before {
            rack: "B07".to_owned(),
            height: 12,
        };
        assert_eq!(encode(&place), JSON);
        assert_eq!(decode::<Before>(JSON.as_bytes()).unwrap(), place);
    }

    #[test]
    fn state_survives_a_renamed_rust_field() {
        let renamed: After = decode(JSON.as_bytes()).unwrap();
        assert_eq!(renamed.cabinet, "B07");
        assert_eq!(encode(&renamed), JSON);
    }

    #[test]
    fn other_versions_are_refused() {
        let error = |json: &str| decode::<Before>(json.as_bytes()).unwrap_err();
        assert_eq!(
            error(r#"{"v":3,"rack":"B07","height":12}"#).to_string(),
            "stored place has version 3, this program understands version 2"
        );
        assert_eq!(
            error(r#"{"rack":"B07","height":12}"#).to_string(),
            "stored place has no version, this program understands version 2"
        );
        let array = error(r#"[2,"B07",12]"#);
        assert!(matches!(array, DecodeError::Unversioned { .. }), "{array}");
        for json in [r#"{"v":2,"rack":"B07"}"#, r#"{"v":"2"}"#, "[", "{"] {
            let error = error(json);
            assert!(matches!(error, DecodeError::Malformed { .. }), "{json}");
        }
    }

    #[test]
    fn values_of_a_hash_are_refused_once_for_each_reason() {
        let hash = [
            ("a", JSON),
            ("b", r#"{"rack":"B07"}"#),
            ("c", r#"{"v":3}"#),
            ("d", r#"{"rack":"B08"}"#),
        ];
        let decoded = StoredValues::<Before>::from_hash(hash);
        assert_eq!(decoded.values.len(), 1);
        let refusals: Vec<_> = decoded
            .refusals
            .iter()
            .map(|refusal| (refusal.ids.join(" "), refusal.error.finding()))
            .collect();
        let expected = [("b d", "no version"), ("c", "version 3")];
        assert_eq!(
            refusals,
            expected.map(|(ids, found)| (ids.to_owned(), found.to_owned()))
        );
    }

    #[test]
    fn counts_have_the_right_number() {
        assert_eq!(counted(1, "silence"), "1 silence");
        assert_eq!(counted(2, "silence"), "2 silences");
        assert_eq!(counted(3, "loss ledger entry"), "3 loss ledger entries");
    }
}
