//! What the picture comes to: rows of tables and maps, as the API has them.

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{DeviceId, HardwareLimits, Role, Verdict};
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::indices::Indices;
use rackwatch_core::site::Spot;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use serde::Serialize;

/// One rule that fires on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Open {
    /// Its name.
    pub rule: String,
    /// What kind of anomaly.
    #[serde(rename = "type")]
    pub kind: AlertKind,
    /// How bad.
    pub severity: Severity,
    /// What was crossed.
    pub threshold: f64,
    /// When it began.
    pub since: Timestamp,
}

/// A device in a table.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceRow {
    /// Its id.
    pub id: DeviceId,
    /// What people call it.
    pub name: String,
    /// What it measures.
    pub role: Role,
    /// Where it stands.
    #[serde(flatten)]
    pub spot: Spot,
    /// Height in its rack.
    pub u: Option<u16>,
    /// The kind of source, its target and agent.
    pub source: String,
    /// What is asked to read it.
    pub target: String,
    /// Who asks.
    pub agent: String,
    /// How often.
    pub interval_ms: u64,
    /// What its hardware calls too hot or too cold.
    pub limits: HardwareLimits,
    /// What it says now.
    #[serde(flatten)]
    pub now: Now,
    /// What fires on it.
    pub open: Vec<Open>,
    /// What its own board says, where that is not what we say.
    pub board_says: Option<Verdict>,
    /// Its agent said that it leaves.
    pub leaving: bool,
}

/// What a device says now: also what is sent when that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Now {
    /// The number, of its last good reading.
    pub value: Option<Celsius>,
    /// Why there is none now.
    pub fault: Option<String>,
    /// When that was.
    pub at: Option<Timestamp>,
    /// The worst that fires on it.
    pub severity: Option<Severity>,
}

/// A rack in the map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RackRow {
    /// Its name.
    pub rack: String,
    /// The row it stands in.
    pub row: String,
    /// The room.
    pub room: String,
    /// Devices in it.
    pub sensors: usize,
    /// Of those such that cannot be read.
    pub faults: usize,
    /// The coolest and the warmest inlet.
    pub inlet_min: Option<f64>,
    /// The warmest.
    pub inlet_max: Option<f64>,
    /// By how much exhausts are warmer than inlets, on average.
    pub delta_t: Option<f64>,
    /// The worst that fires in it.
    pub severity: Option<Severity>,
    /// Rules that fire in it.
    pub open: usize,
    /// When the newest of its readings was taken.
    pub at: Option<Timestamp>,
}

/// An incident in a list.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentRow {
    /// Its newest record.
    #[serde(flatten)]
    pub record: IncidentRecord,
    /// The hottest that its sensors say now (the coldest, where it is too cold), of those that fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Celsius>,
}

/// A limit of a device, for its chart.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// Whose.
    pub rule: String,
    /// How bad it is beyond.
    pub severity: Severity,
    /// Where.
    pub at: f64,
    /// Whether it is bad above it; below it otherwise.
    pub above: bool,
}

/// Something that people have to look at: a sensor that says nothing, or nothing that can be meant.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    /// What is wrong, in words.
    pub what: String,
    /// The device.
    #[serde(flatten)]
    pub device: DeviceRow,
}

/// A room, a row, or all of it, in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Scope {
    /// `site`, `room` or `row`.
    pub scope: &'static str,
    /// Its name; empty for the site.
    pub name: String,
    /// Its numbers.
    #[serde(flatten)]
    pub indices: Indices,
}
