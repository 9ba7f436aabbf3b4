//! Gathers the facts from Redis.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::PartitionId;
use rackwatch_core::stored::StoredValues;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, Partitioning, ServerInfo, scan_hash, server_time};
use redis::RedisResult;

use super::attendance::unattended;
use super::broken_keys::{bears_on_room, broken_keys, damaged, unless_garbage, unless_wrong_type};
use super::facts::{
    Dead, Devices, Facts, Incidents, Losses, NotEvaluated, Owned, Projection, Streams,
};
use super::failed_deliveries::failed_deliveries;
use super::notifiers::KnownNotifiers;
use super::redis_streams::{added, dead, group, length, losses, newest, not_evaluated, rate};
use super::refused_agents::refused_agents;
use super::undescribed::{UndescribedDevices, undescribed};
use super::wrong_series::wrong_series;
use crate::config::CollectorConfig;
use crate::incidents::site::SiteReader;
use crate::peers;
use crate::series;
use crate::stored::RefusedState;

/// Reading interval assumed for devices without one, in milliseconds.
const DEFAULT_INTERVAL_MS: u64 = 1000;

/// Gathers all facts. Takes about a second, over which it measures the rate of entries.
///
/// # Errors
///
/// If Redis refuses a command or gives an unexpected reply.
pub(crate) async fn gather(
    connection: &mut Connection,
    config: &CollectorConfig,
    endpoint: String,
) -> anyhow::Result<Facts> {
    let notifiers = KnownNotifiers::read(connection, &config.notify).await?;
    let mut broken_keys = broken_keys(connection, &[]).await?;
    let partitioning = unless_garbage(Partitioning::read(connection).await)?;
    let all: Vec<_> = partitioning.partitions().all().collect();
    let keys: Vec<_> = all.iter().map(|p| PartitionKeys::of(*p)).collect();
    let before = (Instant::now(), added(connection, &keys).await?);
    let now = server_time(connection).await?;
    let (devices, refused) = unless_wrong_type(devices(connection).await)?;
    let series = projection(connection, config, &devices).await?;
    let unattended = unknown_room(connection, &broken_keys).await?;
    // These stop one notifier, and neither alerts nor incidents.
    broken_keys.extend(damaged(connection, &notifiers.keys()).await?);
    let mut facts = Facts {
        endpoint,
        redis: ServerInfo::read(connection).await?,
        streams: Streams::default(),
        ids_ahead_ms: 0,
        changing: matches!(
            partitioning,
            Partitioning::Draining(_) | Partitioning::Changing(_)
        ),
        partitions: Vec::new(),
        collectors: unless_wrong_type(peers::running(connection).await)?,
        announced: BTreeMap::new(),
        unattended,
        broken_keys,
        wrong_series: Vec::new(),
        groups: Vec::new(),
        entries_per_second: None,
        dead: Dead::default(),
        refused_agents: Vec::new(),
        failed_deliveries: Vec::new(),
        losses: Losses::default(),
        not_evaluated: NotEvaluated::default(),
        undescribed: UndescribedDevices::default(),
        incidents: Incidents::default(),
        failing_notifiers: notifiers.failing(connection, now).await?,
        refused,
        open_episodes: Severity::ALL.into_iter().map(|s| (s, 0)).collect(),
        series,
        devices,
    };
    unless_wrong_type(facts.incidents(connection).await)?;
    facts.undescribed(connection, (config, now)).await?;
    facts.failed_deliveries = unless_wrong_type(failed_deliveries(connection, now).await)?;
    facts
        .groups_and_partitions(connection, (config, &notifiers), (&all, &keys, now))
        .await?;
    facts.entries_per_second = rate(connection, &keys, before).await?;
    // Last, so that a collector that has just begun had the time to announce itself.
    let announced = peers::announcements(connection, &facts.collectors).await;
    facts.announced = unless_wrong_type(announced)?;
    Ok(facts)
}

/// Returns why it is unknown how the room is, if it is.
async fn unknown_room(
    connection: &mut Connection,
    broken_keys: &[String],
) -> anyhow::Result<Option<String>> {
    if broken_keys.iter().any(|line| bears_on_room(line)) {
        return Ok(Some("keys in Redis hold something else".to_owned()));
    }
    Ok(unattended(connection).await?)
}

/// Projects the memory that series need at full retention.
async fn projection(
    connection: &mut Connection,
    config: &CollectorConfig,
    devices: &Devices,
) -> anyhow::Result<Projection> {
    let series = series::open(connection.clone(), &config.series).await?;
    let project = |(ms, count): (&u64, &u64)| series.project(*count, Duration::from_millis(*ms));
    Ok(Projection {
        backend: series.name(),
        projected_bytes: devices.intervals.iter().map(project).sum(),
    })
}

impl Facts {
    /// Adds the devices of agents that nothing describes.
    async fn undescribed(
        &mut self,
        connection: &mut Connection,
        (config, now): (&CollectorConfig, Timestamp),
    ) -> anyhow::Result<()> {
        let limits = (now, config.alerts.stale_after);
        self.undescribed = unless_wrong_type(undescribed(connection, limits).await)?;
        Ok(())
    }

    /// Adds the groups of the notifiers, and the facts about each partition.
    async fn groups_and_partitions(
        &mut self,
        connection: &mut Connection,
        (config, notifiers): (&CollectorConfig, &KnownNotifiers),
        (all, keys, now): (&[PartitionId], &[PartitionKeys], Timestamp),
    ) -> anyhow::Result<()> {
        for notifier in notifiers.names() {
            let name = keys::notifier_group(notifier);
            let group = group(connection, keys::INCIDENTS, &name, now).await;
            self.groups.extend(unless_wrong_type(group.map(Some))?);
        }
        for (partition, keys) in all.iter().zip(keys) {
            self.owner(connection, *partition, keys).await?;
            unless_wrong_type(self.partition(connection, keys, now).await)?;
            if self.dead.last_hour > 0 {
                let limits = (now, config.stream.max_future);
                let refused = refused_agents(connection, keys, limits).await;
                self.refused_agents.extend(unless_wrong_type(refused)?);
                let wrong = wrong_series(connection, keys, (self.series.backend, now)).await;
                self.wrong_series.extend(unless_wrong_type(wrong)?);
            }
        }
        Ok(())
    }

    /// Adds the owner of a partition.
    async fn owner(
        &mut self,
        connection: &mut Connection,
        partition: PartitionId,
        keys: &PartitionKeys,
    ) -> anyhow::Result<()> {
        let mut owner = redis::cmd("GET");
        owner.arg(&keys.lease);
        self.partitions.push(Owned {
            partition: partition.to_string(),
            owner: unless_wrong_type(owner.query_async(connection).await)?,
        });
        Ok(())
    }

    /// Adds the streams, groups and saved state of a partition.
    async fn partition(
        &mut self,
        connection: &mut Connection,
        keys: &PartitionKeys,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        self.streams.raw_sensor_data += length(connection, &keys.raw).await?;
        let newest = newest(connection, &keys.raw).await?;
        let ahead = newest.map_or(0, |id| id.ms.saturating_sub(now.millis()));
        self.ids_ahead_ms = self.ids_ahead_ms.max(ahead);
        self.streams.anomaly_alerts += length(connection, &keys.alerts).await?;
        let groups = [
            (&keys.raw, keys::DETECTOR_GROUP),
            (&keys.alerts, keys::LOGGER_GROUP),
            (&keys.alerts, keys::CORRELATOR_GROUP),
        ];
        for (stream, name) in groups {
            let group = group(connection, stream, name, now).await;
            self.groups.extend(unless_wrong_type(group.map(Some))?);
        }
        for name in keys::ALERT_FILE_GROUPS {
            let group = group(connection, &keys.alerts, name, now).await;
            let group = unless_wrong_type(group.map(Some))?;
            self.groups.extend(group.filter(|group| group.exists));
        }
        let dead = dead(connection, &keys.dead, now).await;
        self.dead.add(unless_wrong_type(dead)?);
        let losses = losses(connection, &keys.losses, now).await;
        self.losses.add(unless_wrong_type(losses)?);
        let not_evaluated = not_evaluated(connection, &keys.tally, now).await;
        let not_evaluated = unless_wrong_type(not_evaluated)?;
        self.not_evaluated.add(&not_evaluated);
        unless_wrong_type(self.saved_state(connection, keys).await)?;
        for (_, episode) in self.read::<Episode>(connection, &keys.episodes).await? {
            *self.open_episodes.entry(episode.severity).or_default() += 1;
        }
        Ok(())
    }
}

/// Counts devices by place and reading interval. Also returns the descriptions that this version refuses.
async fn devices(connection: &mut Connection) -> RedisResult<(Devices, Vec<RefusedState>)> {
    let mut devices = Devices::default();
    let mut refused = StoredValues::<Description>::default();
    let mut site = SiteReader::default();
    site.refresh(connection).await?;
    for (id, json) in scan_hash(connection, keys::DEVICES).await? {
        let mut described = match Description::from_json(&json) {
            Ok(described) => described,
            Err(error) => {
                // Its readings are stored all the same.
                *devices.intervals.entry(DEFAULT_INTERVAL_MS).or_default() += 1;
                refused.refuse(&id, error);
                continue;
            }
        };
        if let Ok(device) = DeviceId::new(&id) {
            site.site().place(&device, &mut described);
        }
        devices.described += 1;
        devices.unplaced += usize::from(described.rack.is_none_or(|rack| rack.is_empty()));
        devices.withdrawn += usize::from(described.leaving);
        let interval_ms = match u64::try_from(described.interval.as_millis()) {
            Ok(0) | Err(_) => DEFAULT_INTERVAL_MS,
            Ok(ms) => ms,
        };
        *devices.intervals.entry(interval_ms).or_default() += 1;
    }
    let refused = RefusedState::of::<Description>(keys::DEVICES, &refused.refusals);
    Ok((devices, refused))
}
