//! Names of agents and targets, which stand in entries, device ids and logs.

use std::fmt;

use rackwatch_runtime::host;
use serde::Deserialize;

/// Longest name in bytes.
const MAX_LEN: usize = 128;

/// Fallback for a host whose own name is unusable.
const FALLBACK: &str = "localhost";

/// A name of 1 to 128 bytes, without spaces or control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// Text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of 1 to {MAX_LEN} bytes, without spaces or control characters")]
pub struct InvalidName;

impl Name {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// When it is too long, empty, or has spaces or control characters.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=MAX_LEN).contains(&text.len()) && text.chars().all(is_visible);
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

fn is_visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
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
