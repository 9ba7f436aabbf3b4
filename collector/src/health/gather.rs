//! Gathers the facts from Redis.

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
use super::facts::{Dead, Devices, Facts, Incidents, Losses, Owned, Projection, Streams};
use super::redis_streams::{added, dead, group, length, losses, newest, rate};
use crate::config::CollectorConfig;
use crate::incidents::site::SiteReader;
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
    let partitioning = Partitioning::read(connection).await?;
    let all: Vec<_> = partitioning.partitions().all().collect();
    let keys: Vec<_> = all.iter().map(|p| PartitionKeys::of(*p)).collect();
    let before = (Instant::now(), added(connection, &keys).await?);
    let now = server_time(connection).await?;
    let (devices, refused) = devices(connection).await?;
    let series = projection(connection, config, &devices).await?;
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
        collectors: collectors(connection).await?,
        unattended: unattended(connection).await?,
        groups: Vec::new(),
        entries_per_second: None,
        dead: Dead::default(),
        losses: Losses::default(),
        incidents: Incidents::default(),
        refused,
        open_episodes: Severity::ALL.into_iter().map(|s| (s, 0)).collect(),
        series,
        devices,
    };
    facts.incidents(connection).await?;
    for notifier in &config.notify {
        let name = keys::notifier_group(notifier.name());
        let group = group(connection, keys::INCIDENTS, &name, now).await?;
        facts.groups.push(group);
    }
    for (partition, keys) in all.iter().zip(&keys) {
        facts.partition(connection, *partition, keys, now).await?;
    }
    facts.entries_per_second = rate(connection, &keys, before).await?;
    Ok(facts)
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
    /// Adds the facts about a partition.
    async fn partition(
        &mut self,
        connection: &mut Connection,
        partition: PartitionId,
        keys: &PartitionKeys,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        self.streams.raw_sensor_data += length(connection, &keys.raw).await?;
        let newest = newest(connection, &keys.raw).await?;
        let ahead = newest.map_or(0, |id| id.ms.saturating_sub(now.millis()));
        self.ids_ahead_ms = self.ids_ahead_ms.max(ahead);
        self.streams.anomaly_alerts += length(connection, &keys.alerts).await?;
        let mut owner = redis::cmd("GET");
        owner.arg(&keys.lease);
        self.partitions.push(Owned {
            partition: partition.to_string(),
            owner: owner.query_async(connection).await?,
        });
        let groups = [
            (&keys.raw, keys::DETECTOR_GROUP),
            (&keys.alerts, keys::LOGGER_GROUP),
            (&keys.alerts, keys::CORRELATOR_GROUP),
        ];
        for (stream, name) in groups {
            self.groups
                .push(group(connection, stream, name, now).await?);
        }
        for name in keys::ALERT_FILE_GROUPS {
            let group = group(connection, &keys.alerts, name, now).await?;
            self.groups.extend(group.exists.then_some(group));
        }
        self.dead.add(dead(connection, &keys.dead, now).await?);
        self.losses
            .add(losses(connection, &keys.losses, now).await?);
        self.saved_state(connection, keys).await?;
        for (_, episode) in self.read::<Episode>(connection, &keys.episodes).await? {
            *self.open_episodes.entry(episode.severity).or_default() += 1;
        }
        Ok(())
    }
}

/// Returns the collectors whose registration has not expired.
async fn collectors(connection: &mut Connection) -> RedisResult<Vec<String>> {
    let now = server_time(connection).await?;
    let mut ask = redis::cmd("ZRANGEBYSCORE");
    ask.arg(keys::COLLECTORS).arg(now.millis()).arg("+inf");
    let mut all: Vec<String> = ask.query_async(connection).await?;
    all.sort_unstable();
    Ok(all)
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
        devices.leaving += usize::from(described.leaving);
        let interval_ms = match u64::try_from(described.interval.as_millis()) {
            Ok(0) | Err(_) => DEFAULT_INTERVAL_MS,
            Ok(ms) => ms,
        };
        *devices.intervals.entry(interval_ms).or_default() += 1;
    }
    let refused = RefusedState::of::<Description>(keys::DEVICES, &refused.refusals);
    Ok((devices, refused))
}
