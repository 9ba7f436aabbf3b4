//! The state that an alert record reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of an episode in an alert record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The episode began, or its severity rose.
    Firing,
    /// The episode ended.
    Resolved,
}

impl AlertState {
    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
