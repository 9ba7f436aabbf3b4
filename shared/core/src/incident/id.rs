//! Permanent ids of incidents.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;
use crate::hash;

/// The permanent id of an incident: sixteen hexadecimal digits, derived from its first alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(String);

impl IncidentId {
    /// Returns the id of the incident that `first` opens.
    pub fn of(first: &AlertId) -> Self {
        Self(hash::id([&b"incident\0"[..], first.as_str().as_bytes()]))
    }

    /// Takes an id from a record or a key, unchecked.
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns all sixteen digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first six digits, as people read and type them.
    pub fn short(&self) -> &str {
        hash::short(&self.0)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
