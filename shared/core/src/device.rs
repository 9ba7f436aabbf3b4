//! Devices: one sensor each, what it is called, what it measures and where it stands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Celsius, Kelvin};

/// The name of one sensor for all time: 1 to 128 of `A-Z a-z 0-9 . _ : -`.
///
/// By convention `<kind>-<rack>-<n>` as in `inrow-ABC-1`, or `<kind>-<host>-<n>` where the rack is
/// not known. It never changes with placement. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

/// Why a text is not a device id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADeviceId {
    /// No characters, or more than 128.
    #[error("a device id has 1 to 128 characters, this has {0}")]
    Length(usize),
    /// A character that keys, globs or frames could misread.
    #[error("a device id has only A-Z a-z 0-9 . _ : -, this has {0:?}")]
    Character(char),
}

impl DeviceId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks `text` and takes it as an id.
    pub fn new(text: &str) -> Result<Self, NotADeviceId> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(NotADeviceId::Length(text.chars().count()));
        }
        match text.chars().find(|c| !is_id_char(*c)) {
            Some(c) => Err(NotADeviceId::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// Makes an id out of parts that may hold anything (labels, paths): each run of other
    /// characters becomes one `_`, and what is beyond 128 characters is cut.
    pub fn sanitized(text: &str) -> Self {
        let mut id = String::with_capacity(text.len().min(Self::MAX_LEN));
        for c in text.chars() {
            if id.len() == Self::MAX_LEN {
                break;
            }
            if is_id_char(c) {
                id.push(c);
            } else if !id.ends_with('_') {
                id.push('_');
            }
        }
        if id.is_empty() {
            id.push('_');
        }
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The middle part of `<kind>-<rack>-<n>`: the rack, as far as the id tells.
    pub fn rack_part(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once('-')?;
        let (rack, _) = rest.rsplit_once('-')?;
        (!rack.is_empty()).then_some(rack)
    }
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = NotADeviceId;

    fn try_from(text: String) -> Result<Self, NotADeviceId> {
        Self::new(&text)
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.as_str().to_owned()
    }
}

/// What a sensor measures. It decides the default rules: 28 °C is hot for a rack's inlet and cold
/// for a CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Air that enters IT equipment at the front of a rack: ASHRAE's point of compliance.
    Inlet,
    /// Air that leaves IT equipment at the back.
    Exhaust,
    /// Air of the room.
    Ambient,
    /// Air that a cooler blows out.
    Supply,
    /// Air that a cooler takes in.
    Return,
    /// A processor, or a core of one.
    Cpu,
    /// A graphics or other accelerator.
    Gpu,
    /// A memory module.
    Memory,
    /// A drive.
    Disk,
    /// Anything else: judged by its hardware's own limits alone.
    #[default]
    Other,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 10] = [
        Self::Inlet,
        Self::Exhaust,
        Self::Ambient,
        Self::Supply,
        Self::Return,
        Self::Cpu,
        Self::Gpu,
        Self::Memory,
        Self::Disk,
        Self::Other,
    ];

    /// The word used on the wire and in config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inlet => "inlet",
            Self::Exhaust => "exhaust",
            Self::Ambient => "ambient",
            Self::Supply => "supply",
            Self::Return => "return",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }

    /// Measures air rather than a component.
    pub fn is_air(self) -> bool {
        matches!(
            self,
            Self::Inlet | Self::Exhaust | Self::Ambient | Self::Supply | Self::Return
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The limits that the hardware itself reports for a sensor (hwmon `_max`, `_crit`; a BMC's
/// thresholds), as read, not yet believed: see [`HardwareLimits::believed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HardwareLimits {
    /// Below this the hardware calls it critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_critical: Option<Celsius>,
    /// Above this the hardware warns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_warning: Option<Celsius>,
    /// Above this the hardware calls it critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_critical: Option<Celsius>,
    /// How long they must stay crossed before the hardware counts it (Redfish `DwellTime`); the longest of them.
    #[serde(
        rename = "dwell_ms",
        with = "crate::time::millis",
        skip_serializing_if = "Duration::is_zero"
    )]
    pub dwell: Duration,
}

impl HardwareLimits {
    /// Nobody waits longer than this because a board says so.
    const LONGEST_DWELL: Duration = Duration::from_mins(10);

    /// None of the limits is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limits that can be meant: drivers report 0, -273.15 or 65261.85 for "not set", and some
    /// boards have the warning above the critical limit; those are dropped.
    pub fn believed(self) -> Self {
        let sane = |limit: Option<Celsius>| {
            limit.filter(|l| (0.0..=150.0).contains(&l.degrees()) && l.degrees() > 0.0)
        };
        let high_critical = sane(self.high_critical);
        let mut high_warning = sane(self.high_warning);
        if let (Some(warning), Some(critical)) = (high_warning, high_critical)
            && warning >= critical
        {
            high_warning = None;
        }
        let low_critical = sane(self.low_critical).filter(|low| {
            high_critical
                .or(high_warning)
                .is_none_or(|high| *low < high)
        });
        Self {
            low_critical,
            high_warning,
            high_critical,
            dwell: Some(self.dwell)
                .filter(|dwell| *dwell <= Self::LONGEST_DWELL)
                .unwrap_or_default(),
        }
    }
}

/// What a sensor's own board says of its reading (IPMI `nc`, `cr`, `nr`; Redfish `Status.Health`). It decides nothing:
/// boards say so of probes that are not there, and of limits that nobody set. It is shown beside what we say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Verdict {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The least and the most that a sensor can read, as its hardware says (Redfish `ReadingRangeMin` and
/// `ReadingRangeMax`), not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// It reads nothing colder.
    pub least: Celsius,
    /// It reads nothing warmer.
    pub most: Celsius,
}

impl Range {
    /// None where it cannot be meant: a range of nothing, or the wrong way round.
    pub fn believed(self) -> Option<Self> {
        (self.least < self.most).then_some(self)
    }
}

/// What is known of a device: the JSON kept per device in `rackwatch:devices`.
///
/// Agents write it before a device's first reading. Unknown members are ignored, so that newer
/// agents can say more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// Name of the agent that reads the device.
    pub agent: String,
    /// The agent's zone, a room or a row, which decides the partition.
    pub zone: String,
    /// The host that the agent runs on.
    pub host: String,
    /// What the agent polls to read it: this host, a BMC, a cooler.
    pub target: String,
    /// The kind of source: `hwmon`, `sysinfo`, `simulated`, ...
    pub source: String,
    /// What the hardware or the operator calls it.
    pub name: String,
    /// What it measures.
    pub role: Role,
    /// The rack it stands in, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u: Option<u16>,
    /// How often it is read, in milliseconds.
    #[serde(rename = "interval_ms", with = "crate::time::millis")]
    pub interval: Duration,
    /// The smallest step of its readings, in kelvin, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Kelvin>,
    /// The limits its hardware reports.
    #[serde(skip_serializing_if = "HardwareLimits::is_empty")]
    pub limits: HardwareLimits,
    /// What its board said of it a minute ago or less, where it says anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What its hardware can read at all, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// What tells this piece of hardware from any other in the world, where something does: a serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Its agent stopped cleanly and said so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl Description {
    /// The longest JSON that is accepted, in bytes.
    pub const MAX_JSON: usize = 16 * 1024;

    /// The zone of an agent that names none, and of a plain client.
    pub const DEFAULT_ZONE: &str = "default";

    /// The zone it counts for.
    pub fn zone(&self) -> &str {
        match self.zone.as_str() {
            "" => Self::DEFAULT_ZONE,
            zone => zone,
        }
    }

    /// The JSON for `rackwatch:devices`.
    pub fn to_json(&self) -> String {
        // Strings, numbers and plain enums only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON of `rackwatch:devices`.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn celsius(degrees: f64) -> Celsius {
        Celsius::new(degrees).unwrap()
    }

    #[test]
    fn ids_are_checked() {
        assert!(DeviceId::new("inrow-ABC-1").is_ok());
        assert_eq!(DeviceId::new(""), Err(NotADeviceId::Length(0)));
        assert_eq!(
            DeviceId::new(&"a".repeat(129)),
            Err(NotADeviceId::Length(129))
        );
        assert_eq!(DeviceId::new("a b"), Err(NotADeviceId::Character(' ')));
        assert_eq!(DeviceId::new("a=b"), Err(NotADeviceId::Character('=')));
        assert_eq!(DeviceId::sanitized("Core 0 / é").as_str(), "Core_0_");
    }

    #[test]
    fn the_rack_is_the_middle_of_an_id() {
        let rack = |id: &str| DeviceId::new(id).unwrap().rack_part().map(str::to_owned);
        assert_eq!(rack("inrow-ABC-1").as_deref(), Some("ABC"));
        assert_eq!(rack("inlet-B-07-2").as_deref(), Some("B-07"));
        assert_eq!(rack("probe"), None);
        assert_eq!(rack("probe-1"), None);
    }

    #[test]
    fn nonsense_limits_of_the_hardware_are_not_believed() {
        let limits = HardwareLimits {
            low_critical: Some(celsius(-40.0)),
            high_warning: Some(celsius(90.0)),
            high_critical: Some(celsius(85.0)),
            dwell: Duration::from_hours(1),
        };
        let believed = limits.believed();
        assert_eq!(believed.low_critical, None);
        assert_eq!(believed.high_warning, None, "inverted");
        assert_eq!(believed.high_critical, Some(celsius(85.0)));
        assert_eq!(believed.dwell, Duration::ZERO, "too long");
        let unset = HardwareLimits {
            high_critical: Some(celsius(255.0)),
            ..HardwareLimits::default()
        };
        assert!(unset.believed().is_empty());
    }

    #[test]
    fn a_description_survives_json() {
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
}
