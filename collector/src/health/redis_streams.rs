//! Reads lengths, rates, groups, dead letters and losses of streams.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::loss;
use rackwatch_runtime::redis::{Connection, entries, reply_field, unless_refused};
use redis::{RedisResult, Value};

use super::facts::{Dead, Group, Losses, MAX_LISTED, NotEvaluated};
use super::foreign_consumers::foreign_consumers;
use crate::waiting::{find_group, first_after, last_delivered, oldest_pending};

/// Time over which the rate of entries is measured.
const RATE_OVER: Duration = Duration::from_secs(1);
/// Unread entries counted at most, more than [`MAX_LAG`](super::evaluate::MAX_LAG).
const MAX_UNREAD: u64 = 20_000;
/// Unread entries read by one command.
const UNREAD_PAGE: usize = 1000;
/// Dead letters and loss records counted at most, for each partition.
const MAX_COUNTED: usize = 1000;

/// Returns the length of a stream.
pub(super) async fn length(connection: &mut Connection, key: &str) -> RedisResult<u64> {
    redis::cmd("XLEN").arg(key).query_async(connection).await
}

/// Returns the id of the newest entry of a stream.
pub(super) async fn newest(
    connection: &mut Connection,
    stream: &str,
) -> anyhow::Result<Option<StreamId>> {
    let mut ask = redis::cmd("XREVRANGE");
    ask.arg(stream).arg(&["+", "-", "COUNT", "1"]);
    let found = entries(ask.query_async(connection).await?)?;
    Ok(found.first().map(|entry| StreamId {
        ms: entry.id.0,
        seq: entry.id.1,
    }))
}

/// Returns the number of entries ever added to the raw streams, if Redis reports it (from 7.0 on).
pub(super) async fn added(
    connection: &mut Connection,
    keys: &[PartitionKeys],
) -> RedisResult<Option<u64>> {
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

/// Measures the entries added per second since `added` returned `first` at `started`.
pub(super) async fn rate(
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

/// Reads the state of a consumer group.
pub(super) async fn group(
    connection: &mut Connection,
    stream: &str,
    name: &str,
    now: Timestamp,
) -> anyhow::Result<Group> {
    let found = find_group(connection, stream, name).await?;
    let mut group = Group {
        name: name.to_owned(),
        stream: stream.to_owned(),
        exists: found.is_some(),
        consumers: 0,
        pending: 0,
        lag: None,
        oldest_pending_ms: None,
        oldest_unread_ms: None,
        foreign: Vec::new(),
        foreign_consumers: Vec::new(),
    };
    let Some(found) = found else { return Ok(group) };
    let number = |name| reply_field::<Option<u64>>(&found, name).flatten();
    group.consumers = number("consumers").unwrap_or(0);
    group.pending = number("pending").unwrap_or(0);
    let age = |id: StreamId| now.millis().saturating_sub(id.ms);
    group.oldest_pending_ms = oldest_pending(connection, stream, name).await?.map(age);
    if let Some(read) = last_delivered(&found) {
        let first = first_after(connection, stream, read).await?;
        group.oldest_unread_ms = first.map(age);
        group.lag = Some(unread(connection, stream, read).await?);
    }
    group.foreign_consumers = foreign_consumers(connection, stream, name).await?;
    let foreign = group.foreign_consumers.iter();
    group.foreign = foreign.map(|consumer| consumer.name.clone()).collect();
    Ok(group)
}

/// Counts the entries after `read`, up to [`MAX_UNREAD`]. The `lag` of XINFO is of no use here: Redis 7.0 to 8.0 count
/// entries that were trimmed unread for ever.
async fn unread(connection: &mut Connection, stream: &str, read: StreamId) -> anyhow::Result<u64> {
    let (mut count, mut last) = (0, read);
    while count < MAX_UNREAD {
        let mut ask = redis::cmd("XRANGE");
        ask.arg(stream)
            .arg(last.next().to_string())
            .arg("+")
            .arg("COUNT")
            .arg(UNREAD_PAGE);
        let page = entries(ask.query_async(connection).await?)?;
        let Some(entry) = page.last() else { break };
        last = StreamId {
            ms: entry.id.0,
            seq: entry.id.1,
        };
        count += page.len() as u64;
    }
    Ok(count)
}

/// Reads the dead letters of a partition.
pub(super) async fn dead(
    connection: &mut Connection,
    stream: &str,
    now: Timestamp,
) -> anyhow::Result<Dead> {
    let kept = length(connection, stream).await?;
    let hour_ago = now.minus(Duration::from_secs(3600)).millis();
    let mut recent = redis::cmd("XRANGE");
    recent
        .arg(stream)
        .arg(hour_ago)
        .arg("+")
        .arg("COUNT")
        .arg(MAX_COUNTED);
    let last_hour = entries(recent.query_async(connection).await?)?.len();
    let mut last = redis::cmd("XREVRANGE");
    last.arg(stream)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(MAX_LISTED);
    let last = entries(last.query_async(connection).await?)?;
    let reasons = last.into_iter().map(|entry| {
        let fields = entry.fields.unwrap_or_default();
        let text = |field: &[u8]| {
            let found = fields.iter().find(|(name, _)| name == field);
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

/// Reads the counts of readings that a partition did not evaluate.
pub(super) async fn not_evaluated(
    connection: &mut Connection,
    key: &str,
    now: Timestamp,
) -> RedisResult<NotEvaluated> {
    let mut read = redis::cmd("HMGET");
    let counts = ["late", "duplicate", "conflicting", "beyond", "undescribed"];
    read.arg(key)
        .arg(&counts)
        .arg(&["conflict", "last_beyond", "last_undescribed"]);
    let all: Vec<Option<String>> = read.query_async(connection).await?;
    let text = |index: usize| all.get(index)?.as_deref();
    let count = |index| text(index).and_then(|count| count.parse().ok());
    let age = |index| {
        let entry: StreamId = text(index)?.parse().ok()?;
        Some(now.millis().saturating_sub(entry.ms))
    };
    Ok(NotEvaluated {
        late: count(0).unwrap_or(0),
        duplicate: count(1).unwrap_or(0),
        conflicting: count(2).unwrap_or(0),
        beyond: count(3).unwrap_or(0),
        undescribed: count(4).unwrap_or(0),
        last_conflict_ms: age(5),
        last_beyond_ms: age(6),
        last_undescribed_ms: age(7),
    })
}

/// Reads the loss ledger of a partition.
pub(super) async fn losses(
    connection: &mut Connection,
    stream: &str,
    now: Timestamp,
) -> anyhow::Result<Losses> {
    let day_ago = now.minus(Duration::from_hours(24)).millis();
    let mut recent = redis::cmd("XREVRANGE");
    recent.arg(stream).arg("+").arg(day_ago);
    recent.arg("COUNT").arg(MAX_COUNTED);
    let recent = entries(recent.query_async(connection).await?)?;
    let losses = recent
        .into_iter()
        .filter_map(|entry| loss::decode(&entry.fields?).ok());
    let losses: Vec<_> = losses.collect();
    Ok(Losses {
        kept: length(connection, stream).await?,
        readings_last_day: losses.iter().map(|loss| loss.readings).sum(),
        last: losses.into_iter().take(MAX_LISTED).collect(),
    })
}
