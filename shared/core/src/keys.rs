//! Names in Redis, each once.
//!
//! Other programs rely on them: they are a contract, and never change within a version.

use crate::device::DeviceId;
use crate::partition::PartitionId;

/// The group in which collectors read the raw readings.
pub const DETECTOR_GROUP: &str = "anomaly_detector_group";
/// The consumer name of every owner of a partition: a new owner finishes what the last one left pending.
pub const DETECTOR_CONSUMER: &str = "owner";
/// The group in which the console follows the alerts.
pub const LOGGER_GROUP: &str = "alert_logger_group";
/// The consumer name of the console.
pub const LOGGER_CONSUMER: &str = "console";

/// The groups in which the alert file and the alert file with JSON follow the alerts. They exist while such a file is
/// configured.
pub const ALERT_FILE_GROUPS: [&str; 2] = ["alert_file_group", "alert_json_file_group"];

/// Raw readings of a site without partitions, a stream.
pub const RAW: &str = "raw_sensor_data";
/// Alert records of a site without partitions, a stream.
pub const ALERTS: &str = "anomaly_alerts";
/// Device descriptions, a hash of versioned JSON.
pub const DEVICES: &str = "rackwatch:devices";
/// Agents' devices without a description whose readings arrived, a sorted set of [`undescribed`] by the last arrival in
/// milliseconds since 1970.
pub const UNDESCRIBED: &str = "rackwatch:undescribed";
/// A counter that changes with [`DEVICES`], so that readers know when to look.
pub const DEVICES_REVISION: &str = "rackwatch:devices:revision";
/// The partitioning, a hash; collectors write it, agents read it.
pub const PARTITIONING: &str = "rackwatch:layout";
/// The running collectors, a sorted set by the end of their term in milliseconds since 1970.
pub const COLLECTORS: &str = "rackwatch:collectors";
/// Announcements of the running collectors, a hash from their names to versioned JSON.
pub const ANNOUNCEMENTS: &str = "rackwatch:collectors:announced";
/// The site: a hash of `version` (its revision), `site` (versioned JSON), `by` and `at_ms`.
pub const SITE: &str = "rackwatch:site";
/// Inventory changes, a stream.
pub const INVENTORY_CHANGES: &str = "rackwatch:moves";
/// Silences, a hash from ids to versioned JSON.
pub const SILENCES: &str = "rackwatch:silences";
/// Maintenance windows, a hash from ids to versioned JSON.
pub const WINDOWS: &str = "rackwatch:windows";
/// Deliveries of notifications: a stream of versioned JSON in the field `delivery`.
pub const DELIVERIES: &str = "rackwatch:deliveries";
/// Incident records, a stream.
pub const INCIDENTS: &str = "rackwatch:incidents";
/// The group with which the correlator reads the alerts of all partitions.
pub const CORRELATOR_GROUP: &str = "alert_correlator_group";
/// The consumer name of the correlator and of all notifiers. Only the leader runs them.
pub const CORRELATOR_CONSUMER: &str = "owner";

/// Returns the member of [`UNDESCRIBED`] for a device of an agent: `<device> <agent>`, since an id contains no space.
pub fn undescribed(device: &DeviceId, agent: &str) -> String {
    format!("{device} {agent}")
}

/// Returns the group on [`INCIDENTS`] that shows how far the last recipient of a notifier is.
pub fn notifier_group(name: &str) -> String {
    format!("alert_{name}_group")
}

/// Returns the consumer name that collectors use in `group`. Consumers of other names belong to other programs.
pub fn consumer_of(group: &str) -> &'static str {
    if group == LOGGER_GROUP {
        LOGGER_CONSUMER
    } else {
        DETECTOR_CONSUMER
    }
}

/// Keys of incidents that are not resolved. The braces put all of them into the slot of [`INCIDENTS`] on Redis Cluster,
/// since one script writes them together.
pub mod incidents {
    /// The fence and the progress of the correlator: a hash of `epoch`, `commit` and `through`.
    pub const FENCE: &str = "{rackwatch:incidents}:fence";
    /// The name of the leader, a string that expires.
    pub const LEASE: &str = "{rackwatch:incidents}:lease";
    /// Incidents, a hash from their ids to versioned JSON.
    pub const OPEN: &str = "{rackwatch:incidents}:open";
    /// Their alerts, a hash from alert ids to versioned JSON.
    pub const MEMBERS: &str = "{rackwatch:incidents}:members";
    /// Acknowledgements, a hash from incident ids to versioned JSON.
    pub const ACKS: &str = "{rackwatch:incidents}:acks";

    /// The recipients of the leader's notifiers, a hash from `<notifier>` or `<notifier>:<recipient>` to versioned JSON:
    /// since when each fails, and why.
    pub const NOTIFIERS: &str = "{rackwatch:incidents}:notifiers";

    /// Returns the progress of one recipient of a notifier, a hash. A notifier with a single receiver has no
    /// recipients by name.
    pub fn delivery(notifier: &str, recipient: Option<&str>) -> String {
        match recipient {
            None => format!("{{rackwatch:incidents}}:delivery:{notifier}"),
            Some(recipient) => format!("{{rackwatch:incidents}}:delivery:{notifier}:{recipient}"),
        }
    }
}

/// The prefix of the throwaway keys of `check`.
pub const CHECK_PREFIX: &str = "rackwatch:check:";

/// The keys of one partition. With several partitions the number stands in braces, so that on Redis Cluster all
/// keys of a partition share a slot: one script commits to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKeys {
    /// Raw readings, a stream.
    pub raw: String,
    /// Dead letters, a stream.
    pub dead: String,
    /// Alert records, a stream.
    pub alerts: String,
    /// Lost readings, a stream of losses.
    pub losses: String,
    /// The fence against former owners, a hash of `epoch`, `commit` and `done`.
    pub fence: String,
    /// The owner, a string that expires.
    pub lease: String,
    /// Open episodes, a hash from `<device> <rule>` to JSON.
    pub episodes: String,
    /// The progress of each agent's sequence numbers, a hash from its name to JSON.
    pub loss_ledger: String,
    /// Offsets of wrong clocks, a hash from `agent <name>` or `device <id>` to JSON.
    pub clocks: String,
    /// Readings that were not evaluated, a hash of the counts `late`, `duplicate`, `conflicting` and `beyond` (of devices
    /// beyond the bound), and of the entries of the last conflict and the last reading beyond, `conflict` and
    /// `last_beyond`.
    pub tally: String,
    /// Alerts to resolve by hand, a hash from alert ids to versioned JSON that expires.
    pub resolutions: String,
    /// Rack aggregates, a string of versioned JSON that expires.
    pub racks: String,
    /// Slices of detector state, a hash from `<number>/<count>` to JSON.
    pub snapshot: String,
}

impl PartitionKeys {
    /// Returns the keys of `partition`.
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
            loss_ledger: format!("{ours}:ledger"),
            clocks: format!("{ours}:clocks"),
            tally: format!("{ours}:tally"),
            resolutions: format!("{ours}:resolutions"),
            racks: format!("{ours}:racks"),
            snapshot: format!("{ours}:snapshot"),
        }
    }
}

/// Returns the series of an index of a rack, a row or a room (`scope`), such as
/// `rackwatch:index:rack:B07:rci_hi`.
pub fn index(scope: &str, name: &str, index: &str) -> String {
    format!("rackwatch:index:{scope}:{name}:{index}")
}

/// The newest indices of every rack, row and room, a hash from `<scope> <name>` to versioned JSON.
pub const INDICES: &str = "rackwatch:indices";

/// The form of the keys of a device's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKeys {
    /// The form on one server.
    Plain,
    /// The form on Redis Cluster. The rack part of the device's id stands in braces, so that a rack's series
    /// share a slot; the whole id where it has no rack part.
    Cluster,
}

impl SeriesKeys {
    /// Returns the time series of a device.
    pub fn raw(self, device: &DeviceId) -> String {
        let id = device.as_str();
        match (self, device.rack_part()) {
            (Self::Plain, _) => format!("sensor:{id}:temp"),
            (Self::Cluster, None) => format!("sensor:{{{id}}}:temp"),
            (Self::Cluster, Some(rack)) => {
                // The rack may look like the kind: it comes after the first hyphen.
                let kind = id.find('-').unwrap_or(0);
                let (kind, n) = (&id[..kind], &id[kind + 1 + rack.len()..]);
                format!("sensor:{kind}-{{{rack}}}{n}:temp")
            }
        }
    }

    /// Returns the key for late readings: those behind the newest of [`SeriesKeys::raw`], on a Redis without
    /// TimeSeries.
    pub fn late(self, device: &DeviceId) -> String {
        format!("{}:late", self.raw(device))
    }

    /// Returns a one-minute roll-up of a device; `which` is `avg`, `min` or `max`.
    pub fn rollup(self, device: &DeviceId, which: &str) -> String {
        format!("{}:1m:{which}", self.raw(device))
    }
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

    #[test]
    fn names_of_series() {
        let device = |id| DeviceId::new(id).unwrap();
        let inrow = device("inrow-ABC-1");
        assert_eq!(SeriesKeys::Plain.raw(&inrow), "sensor:inrow-ABC-1:temp");
        assert_eq!(
            SeriesKeys::Plain.late(&inrow),
            "sensor:inrow-ABC-1:temp:late"
        );
        let rollup = SeriesKeys::Plain.rollup(&inrow, "avg");
        assert_eq!(rollup, "sensor:inrow-ABC-1:temp:1m:avg");
        for (id, name) in [
            ("inrow-ABC-1", "sensor:inrow-{ABC}-1:temp"),
            ("cpu-a-b-1", "sensor:cpu-{a-b}-1:temp"),
            ("cpu-cpu-cpu", "sensor:cpu-{cpu}-cpu:temp"),
            ("probe7", "sensor:{probe7}:temp"),
            ("a--1", "sensor:{a--1}:temp"),
        ] {
            assert_eq!(SeriesKeys::Cluster.raw(&device(id)), name);
        }
    }
}
