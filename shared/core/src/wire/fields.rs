//! Fields of entries as they arrive.

use super::field;
use super::reason::{MAX_FIELD, MAX_FIELDS, Reason};
use crate::time::Timestamp;

/// The fields of one entry as they arrived.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of an entry by name, with every bound checked.
pub(crate) struct Lookup<'a>(&'a Fields);

impl<'a> Lookup<'a> {
    /// Creates a look-up. Fails if there are too many fields, or one is too long.
    pub(crate) fn new(fields: &'a Fields) -> Result<Self, Reason> {
        if fields.len() > MAX_FIELDS {
            return Err(Reason::TooManyFields(fields.len()));
        }
        for (name, value) in fields {
            let len = name.len().max(value.len());
            if len > MAX_FIELD {
                let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
                return Err(Reason::TooLong { name, len });
            }
        }
        Ok(Self(fields))
    }

    /// Returns whether the field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name.as_bytes())
    }

    /// Returns the value of the field, or none if it is missing. Fails unless it is there once, is text, and
    /// not empty.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<&'a str>, Reason> {
        let mut found = self.0.iter().filter(|(n, _)| n == name.as_bytes());
        let Some((_, value)) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(Reason::Twice(name));
        }
        if value.is_empty() {
            return Err(Reason::Empty(name));
        }
        std::str::from_utf8(value)
            .map(Some)
            .map_err(|_| Reason::NotText(name))
    }

    /// Returns the value of the field; none if it is missing or empty.
    pub(crate) fn optional(&self, name: &'static str) -> Result<Option<&'a str>, Reason> {
        match self.get(name) {
            Err(Reason::Empty(_)) => Ok(None),
            other => other,
        }
    }

    /// Returns the value of a required field.
    pub(crate) fn need(&self, name: &'static str) -> Result<&'a str, Reason> {
        self.get(name)?.ok_or(Reason::Missing(name))
    }

    /// Returns the field `timestamp`.
    pub(crate) fn timestamp(&self) -> Result<Timestamp, Reason> {
        timestamp(self.need(field::TIMESTAMP)?)
    }
}

/// Reads a timestamp. Zero is invalid: a program without a clock writes it.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, Reason> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let millis = if digits { text.parse().ok() } else { None };
    millis
        .filter(|m| *m > 0)
        .and_then(Timestamp::from_millis)
        .ok_or(Reason::BadTimestamp)
}
