//! Ids of alerts: the same episode has the same id.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash;
use crate::subject::Subject;
use crate::time::Timestamp;

/// The permanent id of an episode: sixteen hexadecimal digits made from its subject, rule and start.
///
/// The same readings give the same id, whichever collector evaluates them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// Returns the id of the episode of `rule` on `subject` that began at `start`.
    pub fn of(subject: &Subject, rule: &str, start: Timestamp) -> Self {
        let start = start.millis().to_be_bytes();
        Self(hash::id([
            subject.as_str().as_bytes(),
            b"\0",
            rule.as_bytes(),
            b"\0",
            &start,
        ]))
    }

    /// Returns the id that a record carries on the wire.
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first six digits: the form that people read and type.
    pub fn short(&self) -> &str {
        hash::short(&self.0)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_ids_never_change() {
        // Receivers drop repeats by these ids, whatever the version of the sender.
        let start = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let sensor = Subject::from(crate::device::DeviceId::new("inrow-ABC-1").unwrap());
        let id = AlertId::of(&sensor, "high_temp", start);
        assert_eq!(id.as_str(), "bf992972f33219ff");
        let agent = AlertId::of(&Subject::agent("node7"), "no_data", start);
        assert_eq!(agent.as_str(), "ada66b9a04416ae7");
        assert_ne!(id, AlertId::of(&sensor, "low_temp", start));
    }
}
