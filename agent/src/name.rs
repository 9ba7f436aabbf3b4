//! Names of agents and targets, which stand in entries, device ids and logs.

use std::fmt;

use rackwatch_core::name::{self, MAX_LEN};
use rackwatch_runtime::host;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Fallback for a host whose own name is unusable.
const FALLBACK: &str = "localhost";

/// A name of 1 to 128 bytes, without spaces or invisible characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// Text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of 1 to {MAX_LEN} bytes, without spaces or invisible characters")]
pub struct InvalidName;

impl Name {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// When it is too long, empty, or has spaces or invisible characters.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let fits = name::check(text).is_ok() && !text.contains(char::is_whitespace);
        fits.then(|| Self(text.to_owned())).ok_or(InvalidName)
    }

    /// Returns the name of this host, or `localhost` if that is not a [`Name`].
    pub fn of_this_host() -> Self {
        let own = host::host_name().and_then(|name| Self::new(&name).ok());
        own.unwrap_or_else(|| Self(FALLBACK.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a name that may have spaces, such as that of a rack.
///
/// # Errors
///
/// When it has more than 128 bytes, is blank, or has invisible characters.
pub fn spaced<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    match name::check(&text) {
        Ok(()) => Ok(Some(text)),
        Err(why) => Err(D::Error::custom(format!(
            "expected a name of 1 to {MAX_LEN} bytes without invisible characters: {why}"
        ))),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}
