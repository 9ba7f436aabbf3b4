//! The agent's name, which stands in every entry it sends.
//!
//! In: text from config, or the host's name. Out: 1 to 128 visible characters.

use std::fmt;

use rackwatch_runtime::host;
use serde::Deserialize;

/// The longest name, in bytes.
const MAX_LEN: usize = 128;

/// Where the host has no name.
const NAMELESS: &str = "localhost";

/// A name that fits an entry: 1 to 128 visible characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AgentName(String);

/// The text is no agent's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an agent's name has 1 to {MAX_LEN} bytes without spaces and control characters")]
pub struct NotAnAgentName;

impl AgentName {
    /// Checks `text` and takes it as a name.
    pub fn new(text: &str) -> Result<Self, NotAnAgentName> {
        let fits = (1..=MAX_LEN).contains(&text.len()) && text.chars().all(visible);
        fits.then(|| Self(text.to_owned())).ok_or(NotAnAgentName)
    }

    /// The name of this host.
    pub fn of_this_host() -> Self {
        Self(host_name())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

/// The name of this host, as it calls itself; `localhost` where that is no name.
pub fn host_name() -> String {
    host::host_name()
        .filter(|name| AgentName::new(name).is_ok())
        .unwrap_or_else(|| NAMELESS.to_owned())
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for AgentName {
    type Error = NotAnAgentName;

    fn try_from(text: String) -> Result<Self, NotAnAgentName> {
        Self::new(&text)
    }
}
