//! Severity: the urgency of an anomaly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The urgency of an anomaly; a later variant is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Recorded and printed; no notification is sent.
    Info,
    /// Needs attention within the day.
    Warning,
    /// Needs action at once.
    Critical,
}

impl Severity {
    /// All severities, from the mildest to the worst.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
