//! Rows of the API: devices, racks, incidents, limits, sensor faults and scopes.

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{DataState, DeviceId, HardwareLimits, Role, Verdict};
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::indices::Indices;
use rackwatch_core::site::Spot;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use serde::Serialize;

/// One rule that fires on a device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Open {
    /// The name of the rule.
    pub(crate) rule: String,
    /// The kind of anomaly.
    #[serde(rename = "type")]
    pub(crate) kind: AlertKind,
    /// The severity now; it may rise.
    pub(crate) severity: Severity,
    /// The threshold that was crossed, in the unit of the kind.
    pub(crate) threshold: f64,
    /// The start of the episode.
    pub(crate) since: Timestamp,
}

/// A device with its description, current value and open alerts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceRow {
    /// The id of the device.
    pub(crate) id: DeviceId,
    /// The display name from its description.
    pub(crate) name: String,
    /// The role, which decides the rules that apply.
    pub(crate) role: Role,
    /// The place in the site.
    #[serde(flatten)]
    pub(crate) spot: Spot,
    /// The height in its rack, in rack units from the floor.
    pub(crate) u: Option<u16>,
    /// The kind of source, such as `redfish`.
    pub(crate) source: String,
    /// The target that the agent reads it from.
    pub(crate) target: String,
    /// The agent that reads it.
    pub(crate) agent: String,
    /// The reading interval in milliseconds.
    pub(crate) interval_ms: u64,
    /// The plausible limits that its hardware reports, in °C.
    pub(crate) limits: HardwareLimits,
    /// The current value and state.
    #[serde(flatten)]
    pub(crate) now: Now,
    /// Whether the value is the present one.
    pub(crate) state: DataState,
    /// The rules that fire on it.
    pub(crate) open: Vec<Open>,
    /// The severity that its own board reports, if the rules disagree.
    pub(crate) board_severity: Option<Verdict>,
}

/// The current value and state of a device. Each change of it is an update.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Now {
    /// The last good value. It stays while a fault lasts, or while no data arrives.
    pub(crate) value: Option<Celsius>,
    /// The reason why the value is not the present one: that of a read failure,
    /// `not_evaluated`, `no_data`, or `withdrawn`.
    pub(crate) fault: Option<String>,
    /// The time of the last reading or failure.
    pub(crate) at: Option<Timestamp>,
    /// The highest severity that fires on it.
    pub(crate) severity: Option<Severity>,
}

/// A rack with the aggregates of its sensors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RackRow {
    /// The name of the rack.
    pub(crate) rack: String,
    /// The row of the rack.
    pub(crate) row: String,
    /// The room of the rack.
    pub(crate) room: String,
    /// The number of its devices.
    pub(crate) sensors: usize,
    /// The number of devices with a current read failure.
    pub(crate) faults: usize,
    /// The number of devices whose readings no rule looks at, because their description is missing or refused.
    pub(crate) not_evaluated: usize,
    /// The number of devices that send no data.
    pub(crate) stale: usize,
    /// The number of devices whose agent has stopped or has removed them.
    pub(crate) withdrawn: usize,
    /// The coolest inlet, in °C.
    pub(crate) inlet_min: Option<f64>,
    /// The warmest inlet, in °C.
    pub(crate) inlet_max: Option<f64>,
    /// The mean of exhausts less the mean of inlets, in kelvin.
    pub(crate) delta_t: Option<f64>,
    /// The highest severity that fires in it.
    pub(crate) severity: Option<Severity>,
    /// The number of open episodes.
    pub(crate) open: usize,
    /// The time of its newest reading.
    pub(crate) at: Option<Timestamp>,
}

/// An incident with the current temperature of its sensors.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IncidentRow {
    /// The newest record of the incident.
    #[serde(flatten)]
    pub(crate) record: IncidentRecord,
    /// The hottest current value of its alerting sensors, or the coldest where it is too cold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<Celsius>,
}

/// A limit that a rule sets for a device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    /// The name of the rule.
    pub(crate) rule: String,
    /// The severity beyond the limit.
    pub(crate) severity: Severity,
    /// The limit, in °C.
    pub(crate) at: f64,
    /// Whether values above it are bad. Otherwise values below it are.
    pub(crate) above: bool,
}

/// A sensor that cannot be read, or whose readings cannot be trusted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SensorFault {
    /// The fault in words.
    pub(crate) problem: String,
    /// The row of the sensor.
    #[serde(flatten)]
    pub(crate) device: DeviceRow,
}

/// The indices of the site, a room or a row. They have no values where too few inlets have one.
#[derive(Clone, Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the field of the API has this name"
)]
pub(crate) struct Scope {
    /// One of `site`, `room` and `row`.
    pub(crate) scope: &'static str,
    /// The name of the room or row; empty for the site.
    pub(crate) name: String,
    /// The cooling indices of the scope.
    #[serde(flatten)]
    pub(crate) indices: Indices,
}
