//! Every name that Rackwatch uses in Redis, once.
//!
//! Other programs rely on these names: they are the contract, and never change within a version.

use crate::device::DeviceId;
use crate::partition::PartitionId;

/// The group with which collectors read the raw readings.
pub const DETECTOR_GROUP: &str = "anomaly_detector_group";
/// The consumer name that every owner of the raw stream uses: a new owner finishes what the last
/// one left pending.
pub const DETECTOR_CONSUMER: &str = "owner";
/// The group with which the console follows the alerts.
pub const LOGGER_GROUP: &str = "alert_logger_group";
/// The consumer name of the console.
pub const LOGGER_CONSUMER: &str = "console";

/// Raw readings of a site without partitions, a stream.
pub const RAW: &str = "raw_sensor_data";
/// Alert records of a site without partitions, a stream.
pub const ALERTS: &str = "anomaly_alerts";
/// What is known of each device, a hash of JSON.
pub const DEVICES: &str = "rackwatch:devices";
/// Counts up whenever an agent or an operator changes [`DEVICES`], so that readers know to look.
pub const DEVICES_REVISION: &str = "rackwatch:devices:revision";
/// How many partitions there are, a hash; written by collectors, read by agents.
pub const LAYOUT: &str = "rackwatch:layout";
/// The collectors that run, a sorted set by the end of their term in milliseconds since 1970.
pub const COLLECTORS: &str = "rackwatch:collectors";
/// Beginning of the throwaway keys of `check`.
pub const CHECK_PREFIX: &str = "rackwatch:check:";

/// The names of what belongs to one partition. With several partitions the number stands in
/// braces: on Redis Cluster all of a partition is in one slot then, as its commit needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKeys {
    /// Raw readings, a stream.
    pub raw: String,
    /// Entries that could not be understood, a stream.
    pub dead: String,
    /// Alert records, a stream.
    pub alerts: String,
    /// What was lost, a stream.
    pub losses: String,
    /// Who may commit, and how far the commits are: a hash of `epoch`, `commit` and `done`.
    pub fence: String,
    /// The owner for as long as it lasts, a string that expires.
    pub lease: String,
    /// Open episodes, a hash from `<device> <rule>` to JSON.
    pub episodes: String,
    /// How far each agent's numbers have come, a hash from its name to JSON.
    pub ledger: String,
    /// Slices of detector state, a hash from `<number>/<count>` to JSON.
    pub snapshot: String,
}

impl PartitionKeys {
    /// Those of `partition`.
    pub fn of(partition: PartitionId) -> Self {
        let (tag, ours) = match partition.number() {
            None => (String::new(), "rackwatch".to_owned()),
            Some(number) => (format!(":{{{number}}}"), format!("rackwatch:{{{number}}}")),
        };
        Self {
            raw: format!("{RAW}{tag}"),
            dead: format!("{RAW}{tag}:dead"),
            alerts: format!("{ALERTS}{tag}"),
            losses: format!("{ours}:losses"),
            fence: format!("{ours}:fence"),
            lease: format!("{ours}:lease"),
            episodes: format!("{ours}:episodes"),
            ledger: format!("{ours}:ledger"),
            snapshot: format!("{ours}:snapshot"),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Partitions;

    #[test]
    fn names_of_a_partition() {
        let plain = PartitionKeys::of(PartitionId::PLAIN);
        assert_eq!(plain.raw, RAW);
        assert_eq!(plain.alerts, ALERTS);
        assert_eq!(plain.dead, "raw_sensor_data:dead");
        assert_eq!(plain.fence, "rackwatch:fence");
        let last = Partitions::new(3).unwrap().all().last().unwrap();
        let keys = PartitionKeys::of(last);
        assert_eq!(keys.raw, "raw_sensor_data:{2}");
        assert_eq!(keys.dead, "raw_sensor_data:{2}:dead");
        assert_eq!(keys.alerts, "anomaly_alerts:{2}");
        assert_eq!(keys.episodes, "rackwatch:{2}:episodes");
    }
}
