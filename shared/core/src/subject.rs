//! Subjects of alerts: one sensor, or all sensors of a target or an agent at once.
//!
//! On the wire and in stored values a subject is one word in the place of a device id: the id of a sensor,
//! `target:<name>` or `agent:<name>`. Nothing else keeps a plain client from naming a device `agent:x`. Its
//! readings are evaluated like those of any sensor; its alerts are alerts of the agent `x`, because their
//! readers cannot tell the two apart.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;

const AGENT: &str = "agent:";
const TARGET: &str = "target:";

/// The subject of an alert.
///
/// Subjects compare, sort and hash by their wire form. `Subject::from` reads that form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "DeviceId", into = "DeviceId")]
pub enum Subject {
    /// One sensor alone.
    Sensor(DeviceId),
    /// All sensors of a target: a host, a BMC, a cooler.
    Target(SubjectName),
    /// All sensors of an agent.
    Agent(SubjectName),
}

/// The name of an agent or a target, with characters that a device id cannot have replaced.
#[derive(Clone, Debug)]
pub struct SubjectName {
    /// The name behind its prefix.
    wire: DeviceId,
    prefix: &'static str,
}

impl Subject {
    /// Returns the subject for all sensors of an agent.
    pub fn agent(name: &str) -> Self {
        Self::Agent(SubjectName::new(AGENT, name))
    }

    /// Returns the subject for all sensors of a target.
    pub fn target(name: &str) -> Self {
        Self::Target(SubjectName::new(TARGET, name))
    }

    /// Returns the wire form.
    pub fn as_str(&self) -> &str {
        self.as_id().as_str()
    }

    /// Returns the wire form as the device id that it looks like.
    pub fn as_id(&self) -> &DeviceId {
        match self {
            Self::Sensor(device) => device,
            Self::Target(name) | Self::Agent(name) => &name.wire,
        }
    }

    /// Returns the device if the subject is one sensor.
    pub fn sensor(&self) -> Option<&DeviceId> {
        match self {
            Self::Sensor(device) => Some(device),
            Self::Target(_) | Self::Agent(_) => None,
        }
    }
}

impl SubjectName {
    fn new(prefix: &'static str, name: &str) -> Self {
        Self {
            wire: DeviceId::sanitized(&format!("{prefix}{name}")),
            prefix,
        }
    }

    /// Returns the name without its prefix.
    pub fn as_str(&self) -> &str {
        &self.wire.as_str()[self.prefix.len()..]
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<DeviceId> for Subject {
    fn from(wire: DeviceId) -> Self {
        let prefix = [AGENT, TARGET]
            .into_iter()
            .find(|prefix| wire.as_str().starts_with(prefix));
        match prefix {
            None => Self::Sensor(wire),
            Some(prefix) => {
                let name = SubjectName { wire, prefix };
                if prefix == AGENT {
                    Self::Agent(name)
                } else {
                    Self::Target(name)
                }
            }
        }
    }
}

impl From<Subject> for DeviceId {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Sensor(device) => device,
            Subject::Target(name) | Subject::Agent(name) => name.wire,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Subject {}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subject {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str) -> Subject {
        Subject::from(DeviceId::new(wire).unwrap())
    }

    #[test]
    fn the_wire_form_names_the_kind() {
        assert!(matches!(read("inlet-R1-1"), Subject::Sensor(_)));
        assert!(matches!(read("target:bmc-7"), Subject::Target(name) if name.as_str() == "bmc-7"));
        assert!(matches!(read("agent:node7"), Subject::Agent(name) if name.as_str() == "node7"));
        for subject in [Subject::agent("node7"), Subject::target("bmc-7")] {
            assert_eq!(read(subject.as_str()), subject);
        }
    }

    #[test]
    fn names_become_ids() {
        assert_eq!(Subject::agent("a b/c").as_str(), "agent:a_b_c");
        assert_eq!(Subject::agent("").as_str(), "agent:");
    }

    #[test]
    fn json_is_the_wire_form() {
        let json = serde_json::to_string(&Subject::target("bmc-7")).unwrap();
        assert_eq!(json, r#""target:bmc-7""#);
        let subject: Subject = serde_json::from_str(&json).unwrap();
        assert_eq!(subject, Subject::target("bmc-7"));
    }
}
