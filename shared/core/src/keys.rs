//! Every name that Rackwatch uses in Redis, once.
//!
//! Other programs rely on these names: they are the contract, and never change within a version.

use crate::device::DeviceId;

/// The group with which collectors read the raw readings.
pub const DETECTOR_GROUP: &str = "anomaly_detector_group";
/// The consumer name that every owner of the raw stream uses: a new owner finishes what the last
/// one left pending.
pub const DETECTOR_CONSUMER: &str = "owner";
/// The group with which the console follows the alerts.
pub const LOGGER_GROUP: &str = "alert_logger_group";
/// The consumer name of the console.
pub const LOGGER_CONSUMER: &str = "console";

/// Raw readings, a stream.
pub const RAW: &str = "raw_sensor_data";
/// Entries that could not be understood, a stream.
pub const DEAD: &str = "raw_sensor_data:dead";
/// Alert records, a stream.
pub const ALERTS: &str = "anomaly_alerts";
/// What is known of each device, a hash of JSON.
pub const DEVICES: &str = "rackwatch:devices";
/// Counts up whenever an agent or an operator changes [`DEVICES`], so that readers know to look.
pub const DEVICES_REVISION: &str = "rackwatch:devices:revision";
/// Who may commit, and how far the commits are: a hash of `epoch`, `commit` and `done`.
pub const FENCE: &str = "rackwatch:fence";
/// Open episodes, a hash from `<device> <rule>` to JSON.
pub const EPISODES: &str = "rackwatch:episodes";
/// Slices of detector state, a hash from `<number>/<count>` to JSON.
pub const SNAPSHOT: &str = "rackwatch:snapshot";
/// Beginning of the throwaway keys of `check`.
pub const CHECK_PREFIX: &str = "rackwatch:check:";

/// The time series of a device.
pub fn series(device: &DeviceId) -> String {
    format!("sensor:{device}:temp")
}

/// What came later than the newest reading of [`series`], on a Redis without TimeSeries.
pub fn series_late(device: &DeviceId) -> String {
    format!("sensor:{device}:temp:late")
}

/// One of the one-minute roll-ups of a device; `which` is `avg`, `min` or `max`.
pub fn rollup(device: &DeviceId, which: &str) -> String {
    format!("sensor:{device}:temp:1m:{which}")
}
