//! The facts, as Redis tells them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::alert::Severity;
use rackwatch_core::device::Description;
use rackwatch_core::keys;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_runtime::redis::entries;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use serde::Serialize;

use super::super::server::{self, Health, field, unless_refused};
use crate::config::CollectorConfig;
use crate::series;

/// How long entries are counted to tell their rate.
const RATE_OVER: Duration = Duration::from_secs(1);
/// That many dead letters are shown.
const REASONS: usize = 3;
/// Dead letters of the last hour are counted up to this.
const COUNTED: usize = 1000;

/// Everything that is looked at.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) endpoint: String,
    pub(super) redis: Health,
    pub(super) streams: Streams,
    pub(super) groups: Vec<Group>,
    pub(super) entries_per_second: Option<f64>,
    pub(super) dead: Dead,
    pub(super) devices: Devices,
    pub(super) open_episodes: BTreeMap<Severity, usize>,
    pub(super) series: Projection,
}

/// How long the streams are.
#[derive(Debug, Serialize)]
pub(super) struct Streams {
    pub(super) raw_sensor_data: u64,
    pub(super) anomaly_alerts: u64,
}

/// A consumer group.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) stream: &'static str,
    pub(super) exists: bool,
    pub(super) consumers: u64,
    pub(super) pending: u64,
    /// Entries not yet read; none where Redis cannot tell.
    pub(super) lag: Option<u64>,
    pub(super) oldest_pending_ms: Option<u64>,
    /// Age of the oldest entry that nobody has read.
    pub(super) oldest_unread_ms: Option<u64>,
}

/// Entries that could not be understood.
#[derive(Debug, Serialize)]
pub(super) struct Dead {
    pub(super) kept: u64,
    /// At most [`COUNTED`].
    pub(super) last_hour: usize,
    /// The last few, newest first.
    pub(super) reasons: Vec<String>,
}

/// What is known of devices.
#[derive(Debug, Default, Serialize)]
pub(super) struct Devices {
    pub(super) described: usize,
    pub(super) unplaced: usize,
    pub(super) leaving: usize,
    /// How many devices are read how often, in milliseconds.
    #[serde(skip)]
    pub(super) intervals: BTreeMap<u64, u64>,
}

/// The memory that series will need.
#[derive(Debug, Serialize)]
pub(super) struct Projection {
    pub(super) backend: &'static str,
    pub(super) projected_bytes: u64,
}

/// Asks for everything.
pub(super) async fn gather(
    connection: &mut MultiplexedConnection,
    config: &CollectorConfig,
    endpoint: String,
) -> anyhow::Result<Facts> {
    let before = (Instant::now(), added(connection).await?);
    let now = server::now(connection).await?;
    let devices = devices(connection).await?;
    let series = series::open(connection.clone(), &config.series).await?;
    let project = |(ms, count): (&u64, &u64)| series.project(*count, Duration::from_millis(*ms));
    let mut facts = Facts {
        endpoint,
        redis: Health::ask(connection).await?,
        streams: Streams {
            raw_sensor_data: length(connection, keys::RAW).await?,
            anomaly_alerts: length(connection, keys::ALERTS).await?,
        },
        groups: vec![
            group(connection, keys::RAW, keys::DETECTOR_GROUP, now).await?,
            group(connection, keys::ALERTS, keys::LOGGER_GROUP, now).await?,
        ],
        entries_per_second: None,
        dead: dead(connection, now).await?,
        open_episodes: episodes(connection).await?,
        series: Projection {
            backend: series.name(),
            projected_bytes: devices.intervals.iter().map(project).sum(),
        },
        devices,
    };
    facts.entries_per_second = rate(connection, before).await?;
    Ok(facts)
}

async fn length(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<u64> {
    redis::cmd("XLEN").arg(key).query_async(connection).await
}

/// How many entries the raw stream has ever had, where it is there and Redis tells (from 7.0 on).
async fn added(connection: &mut MultiplexedConnection) -> RedisResult<Option<u64>> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("STREAM").arg(keys::RAW);
    let answer: Option<BTreeMap<String, Value>> =
        unless_refused(ask.query_async(connection).await)?;
    Ok(answer.and_then(|info| field(&info, "entries-added")))
}

async fn rate(
    connection: &mut MultiplexedConnection,
    (started, first): (Instant, Option<u64>),
) -> RedisResult<Option<f64>> {
    let Some(first) = first else { return Ok(None) };
    tokio::time::sleep(RATE_OVER.saturating_sub(started.elapsed())).await;
    let last = added(connection).await?;
    let elapsed = started.elapsed().as_secs_f64();
    Ok(last.map(|last| last.saturating_sub(first) as f64 / elapsed))
}

async fn group(
    connection: &mut MultiplexedConnection,
    stream: &'static str,
    name: &'static str,
    now: Timestamp,
) -> anyhow::Result<Group> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("GROUPS").arg(stream);
    let all: Option<Vec<BTreeMap<String, Value>>> =
        unless_refused(ask.query_async(connection).await)?;
    let is_it = |group: &BTreeMap<String, Value>| {
        field::<String>(group, "name").is_some_and(|found| found == name)
    };
    let found = all.unwrap_or_default().into_iter().find(is_it);
    let mut group = Group {
        name,
        stream,
        exists: found.is_some(),
        consumers: 0,
        pending: 0,
        lag: None,
        oldest_pending_ms: None,
        oldest_unread_ms: None,
    };
    let Some(found) = found else { return Ok(group) };
    let number = |name| field::<Option<u64>>(&found, name).flatten();
    group.consumers = number("consumers").unwrap_or(0);
    group.pending = number("pending").unwrap_or(0);
    group.lag = number("lag");
    let age = |id: StreamId| now.millis().saturating_sub(id.ms);
    group.oldest_pending_ms = oldest_pending(connection, stream, name).await?.map(age);
    let read = field::<String>(&found, "last-delivered-id").and_then(|id| id.parse().ok());
    if let Some(read) = read {
        group.oldest_unread_ms = first_after(connection, stream, read).await?.map(age);
    }
    Ok(group)
}

async fn oldest_pending(
    connection: &mut MultiplexedConnection,
    stream: &str,
    group: &str,
) -> RedisResult<Option<StreamId>> {
    let mut ask = redis::cmd("XPENDING");
    ask.arg(stream).arg(group).arg("-").arg("+").arg(1);
    let pending: Vec<(String, String, u64, u64)> = ask.query_async(connection).await?;
    Ok(pending.first().and_then(|(id, ..)| id.parse().ok()))
}

async fn first_after(
    connection: &mut MultiplexedConnection,
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

async fn dead(connection: &mut MultiplexedConnection, now: Timestamp) -> anyhow::Result<Dead> {
    let kept = length(connection, keys::DEAD).await?;
    let hour_ago = now.minus(Duration::from_secs(3600)).millis();
    let mut recent = redis::cmd("XRANGE");
    recent
        .arg(keys::DEAD)
        .arg(hour_ago)
        .arg("+")
        .arg("COUNT")
        .arg(COUNTED);
    let last_hour = entries(recent.query_async(connection).await?)?.len();
    let mut last = redis::cmd("XREVRANGE");
    last.arg(keys::DEAD)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(REASONS);
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

async fn devices(connection: &mut MultiplexedConnection) -> RedisResult<Devices> {
    let mut devices = Devices::default();
    for json in server::scan(connection, keys::DEVICES).await?.into_values() {
        let described = Description::from_json(&json).unwrap_or_default();
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

async fn episodes(
    connection: &mut MultiplexedConnection,
) -> RedisResult<BTreeMap<Severity, usize>> {
    #[derive(serde::Deserialize)]
    struct Open {
        severity: Severity,
    }
    let mut open: BTreeMap<_, _> = Severity::ALL
        .into_iter()
        .map(|severity| (severity, 0))
        .collect();
    for json in server::scan(connection, keys::EPISODES)
        .await?
        .into_values()
    {
        if let Ok(episode) = serde_json::from_slice::<Open>(&json) {
            *open.entry(episode.severity).or_default() += 1;
        }
    }
    Ok(open)
}
