//! The facts, as Redis tells them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::PartitionId;
use rackwatch_core::site::StoredSite;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::loss::{self, LossSummary};
use rackwatch_runtime::redis::{
    Connection, Partitioning, ServerInfo, entries, reply_field, scan_hash, server_time,
    unless_refused,
};
use redis::{RedisResult, Value};
use serde::Serialize;

use crate::config::CollectorConfig;
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;
use crate::incidents::windows::Window;
use crate::series;
use crate::stored::RefusedState;

/// How long entries are counted to tell their rate.
const RATE_OVER: Duration = Duration::from_secs(1);
/// That many dead letters are shown.
const REASONS: usize = 3;
/// Dead letters of the last hour are counted up to this.
const COUNTED: usize = 1000;

/// Everything that is looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) endpoint: String,
    pub(crate) redis: ServerInfo,
    pub(crate) streams: Streams,
    /// The layout is being changed.
    pub(crate) changing: bool,
    pub(crate) partitions: Vec<Owned>,
    /// Collectors that run, the oldest first.
    pub(crate) collectors: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) entries_per_second: Option<f64>,
    pub(crate) dead: Dead,
    pub(crate) losses: Losses,
    pub(crate) devices: Devices,
    pub(crate) open_episodes: BTreeMap<Severity, usize>,
    pub(crate) incidents: Incidents,
    pub(crate) refused: Vec<RefusedState>,
    pub(crate) series: Projection,
}

/// Who owns a partition.
#[derive(Debug, Serialize)]
pub(crate) struct Owned {
    /// Its number, or `all`.
    pub(crate) partition: String,
    pub(crate) owner: Option<String>,
}

/// What people are told of, and by whom.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Incidents {
    pub(crate) open: u64,
    /// The number of acknowledged ones.
    pub(crate) acked: u64,
    pub(crate) silences: u64,
    /// The collector that has the desk.
    pub(crate) told_by: Option<String>,
}

/// How long the streams are, all partitions together.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Streams {
    pub(crate) raw_sensor_data: u64,
    pub(crate) anomaly_alerts: u64,
}

/// A consumer group.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) stream: String,
    pub(crate) exists: bool,
    pub(crate) consumers: u64,
    pub(crate) pending: u64,
    /// Entries not yet read; none where Redis cannot tell.
    pub(crate) lag: Option<u64>,
    pub(crate) oldest_pending_ms: Option<u64>,
    /// Age of the oldest entry that nobody has read.
    pub(crate) oldest_unread_ms: Option<u64>,
}

/// Entries that could not be understood.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Dead {
    pub(crate) kept: u64,
    /// At most [`COUNTED`].
    pub(crate) last_hour: usize,
    /// The last few, newest first.
    pub(crate) reasons: Vec<String>,
}

/// Readings that were lost, as the ledger has it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Losses {
    /// Records of it.
    pub(crate) kept: u64,
    /// Readings of the last day; of at most [`COUNTED`] records a partition.
    pub(crate) readings_last_day: u64,
    /// The last few, newest first.
    pub(crate) last: Vec<LossSummary>,
}

/// What is known of devices.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Devices {
    pub(crate) described: usize,
    pub(crate) unplaced: usize,
    pub(crate) leaving: usize,
    /// How many devices are read how often, in milliseconds.
    #[serde(skip)]
    pub(crate) intervals: BTreeMap<u64, u64>,
}

/// The memory that series will need.
#[derive(Debug, Serialize)]
pub(crate) struct Projection {
    pub(crate) backend: &'static str,
    pub(crate) projected_bytes: u64,
}

/// Asks for everything.
pub(crate) async fn gather(
    connection: &mut Connection,
    config: &CollectorConfig,
    endpoint: String,
) -> anyhow::Result<Facts> {
    let layout = Partitioning::read(connection).await?;
    let all: Vec<_> = layout.partitions().all().collect();
    let keys: Vec<_> = all.iter().map(|p| PartitionKeys::of(*p)).collect();
    let before = (Instant::now(), added(connection, &keys).await?);
    let now = server_time(connection).await?;
    let devices = devices(connection).await?;
    let series = {
        let series = series::open(connection.clone(), &config.series).await?;
        let project =
            |(ms, count): (&u64, &u64)| series.project(*count, Duration::from_millis(*ms));
        Projection {
            backend: series.name(),
            projected_bytes: devices.intervals.iter().map(project).sum(),
        }
    };
    let mut facts = Facts {
        endpoint,
        redis: ServerInfo::read(connection).await?,
        streams: Streams::default(),
        changing: matches!(
            layout,
            Partitioning::Draining(_) | Partitioning::Changing(_)
        ),
        partitions: Vec::new(),
        collectors: collectors(connection).await?,
        groups: Vec::new(),
        entries_per_second: None,
        dead: Dead::default(),
        losses: Losses::default(),
        incidents: incidents(connection).await?,
        refused: refused(connection).await?,
        open_episodes: Severity::ALL.into_iter().map(|s| (s, 0)).collect(),
        series,
        devices,
    };
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

impl Facts {
    /// Adds what is known of a partition.
    async fn partition(
        &mut self,
        connection: &mut Connection,
        partition: PartitionId,
        keys: &PartitionKeys,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        self.streams.raw_sensor_data += length(connection, &keys.raw).await?;
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
        self.dead.add(dead(connection, &keys.dead, now).await?);
        self.losses
            .add(losses(connection, &keys.losses, now).await?);
        for episode in episodes::of_partition(connection, keys).await? {
            *self.open_episodes.entry(episode.severity).or_default() += 1;
        }
        Ok(())
    }
}

impl Dead {
    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.last_hour += other.last_hour;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(REASONS);
    }
}

impl Losses {
    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.readings_last_day += other.readings_last_day;
        self.last.extend(other.last);
        self.last.sort_by_key(|told| std::cmp::Reverse(told.until));
        self.last.truncate(REASONS);
    }
}

/// The collectors that said so within their term.
async fn collectors(connection: &mut Connection) -> RedisResult<Vec<String>> {
    let now = server_time(connection).await?;
    let mut ask = redis::cmd("ZRANGEBYSCORE");
    ask.arg(keys::COLLECTORS).arg(now.millis()).arg("+inf");
    let mut all: Vec<String> = ask.query_async(connection).await?;
    all.sort_unstable();
    Ok(all)
}

async fn length(connection: &mut Connection, key: &str) -> RedisResult<u64> {
    redis::cmd("XLEN").arg(key).query_async(connection).await
}

/// How many entries the raw streams have ever had, where one is there and Redis tells (from 7.0 on).
async fn added(connection: &mut Connection, keys: &[PartitionKeys]) -> RedisResult<Option<u64>> {
    let mut sum = None;
    for keys in keys {
        let mut ask = redis::cmd("XINFO");
        ask.arg("STREAM").arg(&keys.raw);
        let answer: Option<BTreeMap<String, Value>> =
            unless_refused(ask.query_async(connection).await)?;
        let added: Option<u64> = answer.and_then(|info| reply_field(&info, "entries-added"));
        sum = added.map(|added| added + sum.unwrap_or(0)).or(sum);
    }
    Ok(sum)
}

async fn rate(
    connection: &mut Connection,
    keys: &[PartitionKeys],
    (started, first): (Instant, Option<u64>),
) -> RedisResult<Option<f64>> {
    let Some(first) = first else { return Ok(None) };
    tokio::time::sleep(RATE_OVER.saturating_sub(started.elapsed())).await;
    let last = added(connection, keys).await?;
    let elapsed = started.elapsed().as_secs_f64();
    Ok(last.map(|last| last.saturating_sub(first) as f64 / elapsed))
}

async fn group(
    connection: &mut Connection,
    stream: &str,
    name: &str,
    now: Timestamp,
) -> anyhow::Result<Group> {
    let all = groups_of(connection, stream).await?;
    let is_it = |group: &BTreeMap<String, Value>| {
        reply_field::<String>(group, "name").is_some_and(|found| found == name)
    };
    let found = all.into_iter().find(is_it);
    let mut group = Group {
        name: name.to_owned(),
        stream: stream.to_owned(),
        exists: found.is_some(),
        consumers: 0,
        pending: 0,
        lag: None,
        oldest_pending_ms: None,
        oldest_unread_ms: None,
    };
    let Some(found) = found else { return Ok(group) };
    let number = |name| reply_field::<Option<u64>>(&found, name).flatten();
    group.consumers = number("consumers").unwrap_or(0);
    group.pending = number("pending").unwrap_or(0);
    group.lag = number("lag");
    let age = |id: StreamId| now.millis().saturating_sub(id.ms);
    group.oldest_pending_ms = oldest_pending(connection, stream, name).await?.map(age);
    let read = reply_field::<String>(&found, "last-delivered-id").and_then(|id| id.parse().ok());
    if let Some(read) = read {
        group.oldest_unread_ms = first_after(connection, stream, read).await?.map(age);
    }
    Ok(group)
}

/// The groups of a stream; none where there is no such stream.
async fn groups_of(
    connection: &mut Connection,
    stream: &str,
) -> RedisResult<Vec<BTreeMap<String, Value>>> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("GROUPS").arg(stream);
    match ask.query_async(connection).await {
        // `ERR no such key`; a refusal by the access list has another code.
        Err(error) if error.code() == Some("ERR") => Ok(Vec::new()),
        answer => answer,
    }
}

async fn oldest_pending(
    connection: &mut Connection,
    stream: &str,
    group: &str,
) -> RedisResult<Option<StreamId>> {
    let mut ask = redis::cmd("XPENDING");
    ask.arg(stream).arg(group).arg("-").arg("+").arg(1);
    let pending: Vec<(String, String, u64, u64)> = ask.query_async(connection).await?;
    Ok(pending.first().and_then(|(id, ..)| id.parse().ok()))
}

async fn first_after(
    connection: &mut Connection,
    stream: &str,
    id: StreamId,
) -> anyhow::Result<Option<StreamId>> {
    let mut ask = redis::cmd("XRANGE");
    ask.arg(stream)
        .arg(id.next().to_string())
        .arg("+")
        .arg("COUNT")
        .arg(1);
    let found = entries(ask.query_async(connection).await?)?;
    Ok(found.first().map(|entry| StreamId {
        ms: entry.id.0,
        seq: entry.id.1,
    }))
}

async fn dead(connection: &mut Connection, stream: &str, now: Timestamp) -> anyhow::Result<Dead> {
    let kept = length(connection, stream).await?;
    let hour_ago = now.minus(Duration::from_secs(3600)).millis();
    let mut recent = redis::cmd("XRANGE");
    recent
        .arg(stream)
        .arg(hour_ago)
        .arg("+")
        .arg("COUNT")
        .arg(COUNTED);
    let last_hour = entries(recent.query_async(connection).await?)?.len();
    let mut last = redis::cmd("XREVRANGE");
    last.arg(stream).arg("+").arg("-").arg("COUNT").arg(REASONS);
    let last = entries(last.query_async(connection).await?)?;
    let reasons = last.into_iter().map(|entry| {
        let fields = entry.fields.unwrap_or_default();
        let text = |wanted: &[u8]| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map_or("unknown".into(), |(_, value)| {
                String::from_utf8_lossy(value).into_owned()
            })
        };
        format!("{} (entry {})", text(b"reason"), text(b"entry"))
    });
    Ok(Dead {
        kept,
        last_hour,
        reasons: reasons.collect(),
    })
}

async fn losses(
    connection: &mut Connection,
    stream: &str,
    now: Timestamp,
) -> anyhow::Result<Losses> {
    let day_ago = now.minus(Duration::from_hours(24)).millis();
    let mut recent = redis::cmd("XREVRANGE");
    recent.arg(stream).arg("+").arg(day_ago);
    recent.arg("COUNT").arg(COUNTED);
    let recent = entries(recent.query_async(connection).await?)?;
    let told = recent
        .into_iter()
        .filter_map(|entry| loss::decode(&entry.fields?).ok());
    let told: Vec<_> = told.collect();
    Ok(Losses {
        kept: length(connection, stream).await?,
        readings_last_day: told.iter().map(|told| told.readings).sum(),
        last: told.into_iter().take(REASONS).collect(),
    })
}

async fn incidents(connection: &mut Connection) -> RedisResult<Incidents> {
    let mut ask = redis::pipe();
    ask.hlen(keys::incidents::OPEN)
        .hlen(keys::incidents::ACKS)
        .hlen(keys::SILENCES)
        .get(keys::incidents::LEASE);
    let (open, acked, silences, told_by) = ask.query_async(connection).await?;
    Ok(Incidents {
        open,
        acked,
        silences,
        told_by,
    })
}

/// Finds what operators have written in a format that this program does not understand.
async fn refused(connection: &mut Connection) -> RedisResult<Vec<RefusedState>> {
    let silences = scan_hash(connection, keys::SILENCES).await?;
    let windows = scan_hash(connection, keys::WINDOWS).await?;
    let site: Option<Vec<u8>> = redis::cmd("HGET")
        .arg(keys::SITE)
        .arg("site")
        .query_async(connection)
        .await?;
    let mut refused = RefusedState::find::<StoredSite>(keys::SITE, site.map(|json| ("site", json)));
    refused.extend(RefusedState::find::<Silence>(keys::SILENCES, silences));
    refused.extend(RefusedState::find::<Window>(keys::WINDOWS, windows));
    Ok(refused)
}

async fn devices(connection: &mut Connection) -> RedisResult<Devices> {
    let mut devices = Devices::default();
    let mut site = SiteReader::default();
    site.refresh(connection).await?;
    for (id, json) in scan_hash(connection, keys::DEVICES).await? {
        let mut described = Description::from_json(&json).unwrap_or_default();
        if let Ok(device) = DeviceId::new(&id) {
            site.site().place(&device, &mut described);
        }
        devices.described += 1;
        devices.unplaced += usize::from(described.rack.is_none_or(|rack| rack.is_empty()));
        devices.leaving += usize::from(described.leaving);
        let every = match u64::try_from(described.interval.as_millis()) {
            Ok(0) | Err(_) => 1000,
            Ok(ms) => ms,
        };
        *devices.intervals.entry(every).or_default() += 1;
    }
    Ok(devices)
}
