//! Permanent ids of devices.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The permanent id of one sensor: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
///
/// By convention `<kind>-<rack>-<n>` as in `inrow-ABC-1`, or `<kind>-<host>-<n>` if the rack is unknown. It
/// does not change when the device moves. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

/// The reason why text is not a device id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceIdError {
    /// An empty text, or more than 128 characters.
    #[error("a device id has 1 to 128 characters, this has {0}")]
    Length(usize),
    /// A character with a meaning in keys, globs or frames.
    #[error("a device id has only A-Z a-z 0-9 . _ : -, this has {0:?}")]
    Character(char),
}

impl DeviceId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks `text` and returns it as an id.
    ///
    /// # Errors
    ///
    /// Fails on a wrong length or character.
    pub fn new(text: &str) -> Result<Self, DeviceIdError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(DeviceIdError::Length(text.chars().count()));
        }
        match text.chars().find(|c| !is_id_char(*c)) {
            Some(c) => Err(DeviceIdError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// Builds an id from arbitrary text, such as a label or a path. Each run of other characters becomes one `_`, and
    /// the text is cut after 128 characters.
    pub fn sanitized(text: &str) -> Self {
        let mut id = String::with_capacity(text.len().min(Self::MAX_LEN));
        for c in text.chars() {
            if id.len() == Self::MAX_LEN {
                break;
            }
            if is_id_char(c) {
                id.push(c);
            } else if !id.ends_with('_') {
                id.push('_');
            }
        }
        if id.is_empty() {
            id.push('_');
        }
        Self(id.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the middle part of `<kind>-<rack>-<n>`: the rack or host that the id names.
    pub fn rack_part(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once('-')?;
        let (rack, _) = rest.rsplit_once('-')?;
        (!rack.is_empty()).then_some(rack)
    }
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = DeviceIdError;

    fn try_from(text: String) -> Result<Self, DeviceIdError> {
        Self::new(&text)
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        assert!(DeviceId::new("inrow-ABC-1").is_ok());
        assert_eq!(DeviceId::new(""), Err(DeviceIdError::Length(0)));
        assert_eq!(
            DeviceId::new(&"a".repeat(129)),
            Err(DeviceIdError::Length(129))
        );
        assert_eq!(DeviceId::new("a b"), Err(DeviceIdError::Character(' ')));
        assert_eq!(DeviceId::new("a=b"), Err(DeviceIdError::Character('=')));
        assert_eq!(DeviceId::sanitized("Core 0 / é").as_str(), "Core_0_");
    }

    #[test]
    fn the_rack_is_the_middle_of_an_id() {
        let rack = |id: &str| DeviceId::new(id).unwrap().rack_part().map(str::to_owned);
        assert_eq!(rack("inrow-ABC-1").as_deref(), Some("ABC"));
        assert_eq!(rack("inlet-B-07-2").as_deref(), Some("B-07"));
        assert_eq!(rack("probe"), None);
        assert_eq!(rack("probe-1"), None);
    }
}
