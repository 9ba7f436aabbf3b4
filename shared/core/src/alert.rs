//! Alert records: what is written to `anomaly_alerts`, one each time an episode changes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::hash::fnv1a;
use crate::time::Timestamp;
use crate::units::Celsius;

/// What kind of anomaly a record speaks of: the field `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// Above a limit.
    HighTemp,
    /// Below a limit.
    LowTemp,
    /// Rose by much within a window.
    Spike,
    /// Fell by much within a window.
    Drop,
    /// Crept away from what is usual for the device.
    Drift,
    /// A rack that warms so fast that its cooling must be lost.
    Runaway,
    /// A sensor that is no more where the others of its rack are.
    Outlier,
    /// A sensor that says the same while its neighbours move.
    StuckSensor,
    /// A sensor that cannot be read any more.
    SensorFault,
    /// A device or an agent of which nothing comes any more.
    NoData,
    /// A clock that is wrong, or was set back.
    ClockSkew,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::HighTemp,
        Self::LowTemp,
        Self::Spike,
        Self::Drop,
        Self::Drift,
        Self::Runaway,
        Self::Outlier,
        Self::StuckSensor,
        Self::SensorFault,
        Self::NoData,
        Self::ClockSkew,
    ];

    /// Those that a configured rule may have; the others are always watched for.
    pub const RULES: [Self; 10] = [
        Self::HighTemp,
        Self::LowTemp,
        Self::Spike,
        Self::Drop,
        Self::Drift,
        Self::Runaway,
        Self::Outlier,
        Self::StuckSensor,
        Self::SensorFault,
        Self::NoData,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::HighTemp => "high_temp",
            Self::LowTemp => "low_temp",
            Self::Spike => "spike",
            Self::Drop => "drop",
            Self::Drift => "drift",
            Self::Runaway => "runaway",
            Self::Outlier => "outlier",
            Self::StuckSensor => "stuck_sensor",
            Self::SensorFault => "sensor_fault",
            Self::NoData => "no_data",
            Self::ClockSkew => "clock_skew",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Recorded and printed, never sent to people.
    Info,
    /// Look at it today.
    Warning,
    /// Act now.
    Critical,
}

impl Severity {
    /// From the mildest to the worst.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Whether the record opens (or worsens) an episode, or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The episode began, or its severity rose.
    Firing,
    /// The episode ended.
    Resolved,
}

impl AlertState {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

macro_rules! display_by_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )*};
}
display_by_name!(AlertKind, Severity, AlertState);

/// Names an episode for all time: sixteen hexadecimal digits made from the device, the rule and the
/// start of the episode, so that the same readings give the same id wherever they are judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// The id of the episode of `rule` on `device` that began at `start`.
    pub fn of(device: &DeviceId, rule: &str, start: Timestamp) -> Self {
        let start = start.millis().to_be_bytes();
        let mut hash = fnv1a([
            device.as_str().as_bytes(),
            b"\0",
            rule.as_bytes(),
            b"\0",
            &start,
        ]);
        // A final mix (from MurmurHash3): the first digits, which people see, depend on all input.
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        Self(format!("{hash:016x}"))
    }

    /// An id as it stands in a record.
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first six digits, as people read and type them.
    pub fn short(&self) -> &str {
        self.0.get(..6).unwrap_or(&self.0)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One change of an episode. (alert id, state, severity) identifies it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRecord {
    /// What kind of anomaly.
    #[serde(rename = "type")]
    pub kind: AlertKind,
    /// On which device.
    #[serde(rename = "device_id")]
    pub device: DeviceId,
    /// The reading that made the record; none where the alert is about there being none.
    pub temperature: Option<Celsius>,
    /// When that reading was taken.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// What was crossed: a temperature for limits, the allowed change in kelvin for swings, drifts, outliers and
    /// runaways, seconds for clocks.
    pub threshold: f64,
    /// How bad; on resolution the worst it was.
    pub severity: Severity,
    /// Opened or ended.
    pub state: AlertState,
    /// The episode.
    #[serde(rename = "alert_id")]
    pub id: AlertId,
    /// The rule's name.
    pub rule: String,
    /// The rack, or empty where it is not known.
    pub rack: String,
    /// Height in the rack, in rack units.
    pub u: Option<u16>,
    /// What the device measures.
    pub role: crate::device::Role,
    /// When the episode began: the first reading beyond.
    #[serde(rename = "since")]
    pub started: Timestamp,
    /// Change per minute when the record was made, in kelvin, where it can be told.
    pub rate: Option<f64>,
    /// The change within its window, in kelvin; of drifts and outliers that from the usual, with its sign.
    pub change: Option<f64>,
    /// Length of that window; of a drift how long the usual goes back.
    #[serde(rename = "window_ms", with = "optional_millis")]
    pub window: Option<Duration>,
    /// Why it cannot be read: `sensor_fault` only.
    pub reason: Option<String>,
    /// Until the critical limit is reached, at least: runaways only.
    #[serde(rename = "left_min_ms", with = "optional_millis")]
    pub left_least: Option<Duration>,
    /// And at most.
    #[serde(rename = "left_max_ms", with = "optional_millis")]
    pub left_most: Option<Duration>,
    /// On resolution, the extreme of the episode.
    pub peak: Option<Celsius>,
    /// On resolution, how long it lasted.
    #[serde(rename = "duration_ms", with = "optional_millis")]
    pub duration: Option<Duration>,
    /// By how much a clock is ahead of Redis' clock, or of its own former time, in milliseconds;
    /// negative where it is behind: `clock_skew` only.
    pub skew_ms: Option<i64>,
    /// It was so long ago when it was written that it is no news: a backlog was gone through. It
    /// depends on the collector's clock, and is the only part of a record that does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub historical: bool,
}

impl AlertRecord {
    /// What is older than this when it is written is no news.
    pub const NEWS: Duration = Duration::from_mins(2);
}

mod optional_millis {
    use std::time::Duration;

    use serde::Serializer;

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(d: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match d {
            Some(d) => to.serialize_some(&u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            None => to.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_id_is_stable() {
        let device = DeviceId::new("inrow-ABC-1").unwrap();
        let start = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let id = AlertId::of(&device, "high_temp", start);
        // Written down: an id must never change between versions, receivers drop repeats by it.
        assert_eq!(id.as_str().len(), 16);
        assert_eq!(id, AlertId::of(&device, "high_temp", start));
        assert_ne!(id, AlertId::of(&device, "low_temp", start));
        assert_ne!(
            id,
            AlertId::of(&device, "high_temp", start.plus(Duration::from_millis(1)))
        );
    }
}
