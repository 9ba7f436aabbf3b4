//! The facts about the pipeline, as `status` and the API show them.

use std::collections::BTreeMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::wire::loss::LossSummary;
use serde::{Serialize, Serializer};

use super::failed_deliveries::FailedDeliveries;
use super::foreign_consumers::ForeignConsumer;
use super::refused_agents::RefusedAgent;
use super::undescribed::UndescribedDevices;
use crate::peers::Announcement;
use crate::stored::RefusedState;
use rackwatch_runtime::redis::ServerInfo;

/// Maximum number of dead letters, and of losses, to list.
pub(crate) const MAX_LISTED: usize = 3;

/// All facts about the pipeline.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) endpoint: String,
    pub(crate) redis: ServerInfo,
    pub(crate) streams: Streams,
    /// Time by which the newest ids of raw streams are ahead of Redis' clock.
    pub(crate) ids_ahead_ms: u64,
    /// The number of partitions is being changed.
    pub(crate) changing: bool,
    pub(crate) partitions: Vec<Owned>,
    /// Running collectors, sorted by name.
    pub(crate) collectors: Vec<String>,
    /// The version of each of them, and digests of its settings.
    #[serde(serialize_with = "as_list")]
    pub(crate) announced: BTreeMap<String, Announcement>,
    /// Keys that hold something else, a line for each.
    pub(crate) broken_keys: Vec<String>,
    /// Keys of series that hold something else, a line for each.
    pub(crate) wrong_series: Vec<String>,
    /// The reason why alerts and incidents may be out of date.
    pub(crate) unattended: Option<String>,
    pub(crate) groups: Vec<Group>,
    /// Entries added per second, or `None` before Redis 7.0.
    pub(crate) entries_per_second: Option<f64>,
    pub(crate) dead: Dead,
    /// Agents whose every entry is refused.
    pub(crate) refused_agents: Vec<RefusedAgent>,
    /// Notifications of the last 24 hours that a receiver rejected, by notifier.
    pub(crate) failed_deliveries: Vec<FailedDeliveries>,
    pub(crate) losses: Losses,
    pub(crate) not_evaluated: NotEvaluated,
    /// Devices of agents that nothing describes.
    pub(crate) undescribed: UndescribedDevices,
    pub(crate) devices: Devices,
    pub(crate) open_episodes: BTreeMap<Severity, usize>,
    pub(crate) incidents: Incidents,
    pub(crate) failing_notifiers: Vec<FailingNotifier>,
    /// Stored values that this version does not understand.
    pub(crate) refused: Vec<RefusedState>,
    pub(crate) series: Projection,
}

/// Writes announcements as a list of objects, each with the name of its collector.
fn as_list<S: Serializer>(all: &BTreeMap<String, Announcement>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Announced<'a> {
        collector: &'a str,
        #[serde(flatten)]
        announcement: &'a Announcement,
    }
    to.collect_seq(all.iter().map(|(collector, announcement)| Announced {
        collector,
        announcement,
    }))
}

/// A partition and its owner.
#[derive(Debug, Serialize)]
pub(crate) struct Owned {
    /// Its number, or `all`.
    pub(crate) partition: String,
    pub(crate) owner: Option<String>,
}

/// Counts of incidents and silences, and the notification leader.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Incidents {
    pub(crate) open: usize,
    /// The number of open incidents by severity.
    pub(crate) by_severity: BTreeMap<Severity, usize>,
    /// The number of acknowledged incidents.
    pub(crate) acked: usize,
    pub(crate) silences: usize,
    /// The collector that correlates alerts and sends notifications.
    pub(crate) leader: Option<String>,
}

/// A recipient of a notifier whose attempts fail.
#[derive(Debug, Serialize)]
pub(crate) struct FailingNotifier {
    pub(crate) notifier: String,
    /// The address, where the notifier has several recipients.
    pub(crate) recipient: Option<String>,
    /// The time since the first failed attempt.
    pub(crate) failing_ms: u64,
    pub(crate) reason: String,
    /// Whether the notifier waits until it can be set up, and attempts nothing.
    pub(crate) waits: bool,
}

/// Lengths of the streams, summed over all partitions.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Streams {
    pub(crate) raw_sensor_data: u64,
    pub(crate) anomaly_alerts: u64,
}

/// A consumer group of one stream.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) stream: String,
    pub(crate) exists: bool,
    pub(crate) consumers: u64,
    pub(crate) pending: u64,
    /// The number of unread entries, counted up to 20,000; `None` without the group.
    pub(crate) lag: Option<u64>,
    pub(crate) oldest_pending_ms: Option<u64>,
    /// The age of the oldest unread entry.
    pub(crate) oldest_unread_ms: Option<u64>,
    /// Consumers of other programs that read from the group, or have entries pending.
    pub(crate) foreign: Vec<String>,
    /// The same consumers, with what is known of them.
    pub(crate) foreign_consumers: Vec<ForeignConsumer>,
}

/// Dead letters: entries that could not be decoded.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Dead {
    pub(crate) kept: u64,
    /// Those of the last hour, at most 1000 for each partition.
    pub(crate) last_hour: usize,
    /// Reasons of the last [`MAX_LISTED`], newest first.
    pub(crate) reasons: Vec<String>,
}

/// Lost readings, from the loss ledger.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Losses {
    /// The number of records in the loss ledger.
    pub(crate) kept: u64,
    /// Readings lost in the last day, from at most 1000 records for each partition.
    pub(crate) readings_last_day: u64,
    /// The last [`MAX_LISTED`] losses, newest first.
    pub(crate) last: Vec<LossSummary>,
}

/// Readings that were stored or dropped, and not evaluated, since the first start.
#[derive(Debug, Default, Serialize)]
pub(crate) struct NotEvaluated {
    /// Readings older than their device's last.
    pub(crate) late: u64,
    /// Readings that came again.
    pub(crate) duplicate: u64,
    /// Readings that differ from another of the same device and time. The first one counts.
    pub(crate) conflicting: u64,
    /// The age of the last conflict.
    pub(crate) last_conflict_ms: Option<u64>,
    /// Readings of devices beyond `partition.max_devices`, which are dead letters.
    pub(crate) beyond: u64,
    /// Readings of agents' devices without a description.
    pub(crate) undescribed: u64,
    /// The age of the last of them.
    pub(crate) last_beyond_ms: Option<u64>,
    /// The age of the last reading of an agent's device without a description.
    pub(crate) last_undescribed_ms: Option<u64>,
}

/// Counts of described devices.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Devices {
    pub(crate) described: usize,
    pub(crate) unplaced: usize,
    pub(crate) withdrawn: usize,
    /// The number of devices by reading interval in milliseconds.
    #[serde(skip)]
    pub(crate) intervals: BTreeMap<u64, u64>,
}

/// The memory that series need at full retention.
#[derive(Debug, Serialize)]
pub(crate) struct Projection {
    pub(crate) backend: &'static str,
    pub(crate) projected_bytes: u64,
}

impl Dead {
    /// Adds the dead letters of another partition.
    pub(crate) fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.last_hour += other.last_hour;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(MAX_LISTED);
    }
}

impl Losses {
    /// Adds the losses of another partition.
    pub(crate) fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.readings_last_day += other.readings_last_day;
        self.last.extend(other.last);
        self.last.sort_by_key(|loss| std::cmp::Reverse(loss.until));
        self.last.truncate(MAX_LISTED);
    }
}

impl NotEvaluated {
    /// Adds the counts of another partition.
    pub(crate) fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.conflicting += other.conflicting;
        self.beyond += other.beyond;
        self.undescribed += other.undescribed;
        let newest = |ours: Option<u64>, theirs| [ours, theirs].into_iter().flatten().min();
        self.last_conflict_ms = newest(self.last_conflict_ms, other.last_conflict_ms);
        self.last_beyond_ms = newest(self.last_beyond_ms, other.last_beyond_ms);
        self.last_undescribed_ms = newest(self.last_undescribed_ms, other.last_undescribed_ms);
    }
}
