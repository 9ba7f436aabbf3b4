//! Descriptions of devices, which agents write for collectors.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hardware::{HardwareLimits, Range, Verdict};
use super::role::Role;
use crate::name;
use crate::stored::{self, DecodeError, IfRefused, StoredValue};
use crate::units::Kelvin;

/// The description of a device: its JSON in `rackwatch:devices`.
///
/// Agents write it before the first reading of a device. Other programs may write it too, and may omit the version: a
/// value without one counts as version 1. Readers ignore unknown members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// The name of the agent that reads the device.
    pub agent: String,
    /// The agent's zone, a room or a row, which decides the partition.
    pub zone: String,
    /// The host that the agent runs on.
    pub host: String,
    /// An id of the machine that the agent runs on, which stays the same when it is renamed; hashed. Two machines with
    /// one `host` differ in it, or in `boot` if one is a copy of the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// An id of the present boot of that machine; hashed. A machine never returns to an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The name of the target that the agent polls: this host, a BMC, a cooler.
    pub target: String,
    /// The kind of source: `hwmon`, `sysinfo`, `simulated`, ...
    pub source: String,
    /// The display name, from the hardware or the operator.
    pub name: String,
    /// The kind of measurement.
    pub role: Role,
    /// The rack it stands in, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u: Option<u16>,
    /// The interval between readings, in milliseconds.
    #[serde(rename = "interval_ms", with = "crate::time::millis")]
    pub interval: Duration,
    /// Whether its agent reads a jump twice before it sends it. A jump of any other device waits for the next reading.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rereads: bool,
    /// The smallest step between readings, in kelvin, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Kelvin>,
    /// The limits that its hardware reports.
    #[serde(skip_serializing_if = "HardwareLimits::is_empty")]
    pub limits: HardwareLimits,
    /// The verdict of its board within the last minute, if the board gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The measuring range, if its hardware reports one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// A worldwide unique id of the piece of hardware, such as a serial number, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Whether its agent has announced a clean stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl Description {
    /// Longest accepted JSON, in bytes: real descriptions have under 1 KiB.
    pub const MAX_JSON: usize = 16 * 1024;

    /// The zone of agents without a configured one, and of plain clients.
    pub const DEFAULT_ZONE: &str = "default";

    /// Returns the zone, or the default zone if none is named.
    pub fn zone(&self) -> &str {
        match self.zone.as_str() {
            "" => Self::DEFAULT_ZONE,
            zone => zone,
        }
    }

    /// Returns the JSON for `rackwatch:devices`.
    pub fn to_json(&self) -> String {
        stored::encode(self)
    }

    /// Reads the JSON of `rackwatch:devices`.
    ///
    /// # Errors
    ///
    /// Fails on another version than ours, on malformed JSON, beyond [`Description::MAX_JSON`], and if a member that
    /// is printed is neither empty nor a name.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        if json.len() > Self::MAX_JSON {
            return Err(DecodeError::TooLong {
                name: Self::NAME,
                bytes: json.len(),
                limit: Self::MAX_JSON,
            });
        }
        let described: Self = stored::decode_or_first(json)?;
        described.check_names()?;
        Ok(described)
    }

    /// Checks the members that others choose and we print.
    fn check_names(&self) -> Result<(), DecodeError> {
        let names = [
            ("agent", Some(&self.agent)),
            ("zone", Some(&self.zone)),
            ("host", Some(&self.host)),
            ("machine", self.machine.as_ref()),
            ("boot", self.boot.as_ref()),
            ("target", Some(&self.target)),
            ("source", Some(&self.source)),
            ("name", Some(&self.name)),
            ("rack", self.rack.as_ref()),
            ("hardware", self.hardware.as_ref()),
        ];
        for (member, text) in names {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                name::check(text).map_err(|why| DecodeError::NotAName {
                    name: Self::NAME,
                    member,
                    why,
                })?;
            }
        }
        Ok(())
    }
}

impl StoredValue for Description {
    const NAME: &'static str = "device description";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::HasNoEffect(
        "agents' devices without a description are not evaluated, and those of plain clients count as inlets: correct the name if one is wrong, and run agents and \
         collectors of one version",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Celsius;

    fn celsius(degrees: f64) -> Celsius {
        Celsius::new(degrees).unwrap()
    }

    #[test]
    fn a_description_reads_back_from_json() {
        let description = Description {
            agent: "host1".into(),
            role: Role::Inlet,
            rack: Some("B07".into()),
            u: Some(42),
            interval: Duration::from_secs(1),
            resolution: Some(Kelvin(0.5)),
            limits: HardwareLimits {
                high_critical: Some(celsius(42.0)),
                ..HardwareLimits::default()
            },
            ..Description::default()
        };
        let json = description.to_json();
        assert_eq!(
            Description::from_json(json.as_bytes()).unwrap(),
            description,
            "{json}"
        );
        assert_eq!(
            Description::from_json(b"{\"new\":1}").unwrap(),
            Description::default()
        );
    }

    #[test]
    fn a_description_with_a_name_that_cannot_be_printed_is_refused() {
        let refused = |member: &str, text: &str| {
            let json = serde_json::json!({ member: text }).to_string();
            Description::from_json(json.as_bytes())
                .err()
                .map(|error| error.to_string())
        };
        for member in [
            "agent", "zone", "host", "machine", "boot", "target", "source", "name", "rack",
            "hardware",
        ] {
            for text in [
                "B07\nforged",
                "B07\u{1b}[2J",
                "B\u{202e}07",
                " ",
                &"x".repeat(129),
            ] {
                let error = refused(member, text).expect("it is refused");
                let start = format!("stored device description: {member} is not a name: it ");
                assert!(error.starts_with(&start), "{error}");
                assert_eq!(name::printable(&error), error);
            }
            for text in ["", "B07, left", "Süd 7", &"x".repeat(128)] {
                assert_eq!(refused(member, text), None);
            }
        }
    }

    #[test]
    fn a_description_without_a_version_is_version_1_and_a_newer_one_is_refused() {
        let plain = Description::from_json(br#"{"agent":"host1"}"#).unwrap();
        assert_eq!(plain.agent, "host1");
        assert!(plain.to_json().starts_with(r#"{"v":1,"#));
        let newer = Description::from_json(br#"{"v":2,"agent":"host1"}"#).unwrap_err();
        assert!(matches!(newer, DecodeError::OtherVersion { found: 2, .. }));
    }
}
