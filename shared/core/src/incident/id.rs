//! Permanent ids of incidents.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;
use crate::hash::fnv1a;

/// The permanent id of an incident: sixteen hexadecimal digits, derived from its first alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(String);

impl IncidentId {
    /// Returns the id of the incident that `first` opens.
    pub fn of(first: &AlertId) -> Self {
        let mut hash = fnv1a([&b"incident\0"[..], first.as_str().as_bytes()]);
        // As for alerts: the first digits, which people see, depend on all input.
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        Self(format!("{hash:016x}"))
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
        self.0.get(..6).unwrap_or(&self.0)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
