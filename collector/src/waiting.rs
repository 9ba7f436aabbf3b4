//! The oldest entry that waits in a consumer group, as Redis knows it: unread, or read and not acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::keys::{CORRELATOR_GROUP, DETECTOR_GROUP, PartitionKeys};
use rackwatch_core::partition::PartitionId;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_runtime::redis::{Connection, Partitioning, entries, reply_field, server_time};
use redis::{RedisResult, Value};

use crate::progress::OldestEntry;

/// The oldest entries of a group that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OldestWaiting {
    /// The first entry that no consumer has read.
    unread: Option<StreamId>,
    /// The first entry that a consumer has read and not acknowledged.
    pending: Option<StreamId>,
}

/// Reads the oldest entries of `group` that wait; none without the group.
async fn oldest_waiting(
    connection: &mut Connection,
    stream: &str,
    group: &str,
) -> RedisResult<OldestWaiting> {
    let Some(found) = find_group(connection, stream, group).await? else {
        return Ok(OldestWaiting::default());
    };
    let unread = match last_delivered(&found) {
        Some(read) => first_after(connection, stream, read).await?,
        None => None,
    };
    Ok(OldestWaiting {
        unread,
        pending: oldest_pending(connection, stream, group).await?,
    })
}

/// Returns what Redis reports of a group; `None` if it or its stream does not exist.
pub(crate) async fn find_group(
    connection: &mut Connection,
    stream: &str,
    name: &str,
) -> RedisResult<Option<BTreeMap<String, Value>>> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("GROUPS").arg(stream);
    let all: Vec<BTreeMap<String, Value>> = match ask.query_async(connection).await {
        // `ERR no such key`; a refusal by an ACL has another code.
        Err(error) if error.code() == Some("ERR") => Vec::new(),
        answer => answer?,
    };
    let is_it = |group: &BTreeMap<String, Value>| {
        reply_field::<String>(group, "name").is_some_and(|found| found == name)
    };
    Ok(all.into_iter().find(is_it))
}

/// Returns the last entry that a consumer of a group has read.
pub(crate) fn last_delivered(group: &BTreeMap<String, Value>) -> Option<StreamId> {
    reply_field::<String>(group, "last-delivered-id")?
        .parse()
        .ok()
}

/// Returns the first entry of a group that is not acknowledged.
pub(crate) async fn oldest_pending(
    connection: &mut Connection,
    stream: &str,
    group: &str,
) -> RedisResult<Option<StreamId>> {
    let mut ask = redis::cmd("XPENDING");
    ask.arg(stream).arg(group).arg("-").arg("+").arg(1);
    let pending: Vec<(String, String, u64, u64)> = ask.query_async(connection).await?;
    Ok(pending.first().and_then(|(id, ..)| id.parse().ok()))
}

/// Returns the id of the first entry of a stream after `id`.
pub(crate) async fn first_after(
    connection: &mut Connection,
    stream: &str,
    id: StreamId,
) -> RedisResult<Option<StreamId>> {
    let mut ask = redis::cmd("XRANGE");
    ask.arg(stream).arg(id.next().to_string()).arg("+");
    ask.arg("COUNT").arg(1);
    let page = entries(ask.query_async(connection).await?).unwrap_or_default();
    Ok(page.first().map(|entry| StreamId {
        ms: entry.id.0,
        seq: entry.id.1,
    }))
}

/// Returns the age of the oldest reading of a partition that waits.
pub(crate) async fn readings(
    connection: &mut Connection,
    partition: PartitionId,
) -> RedisResult<Option<OldestEntry>> {
    let stream = PartitionKeys::of(partition).raw;
    let words = ["an entry is not read", "an entry is not committed"];
    oldest(connection, (&stream, DETECTOR_GROUP), words).await
}

/// Returns the age of the oldest alert of any partition that waits to be grouped.
pub(crate) async fn alerts(connection: &mut Connection) -> RedisResult<Option<OldestEntry>> {
    let partitions = Partitioning::read(connection).await?.partitions();
    let words = ["an alert is not read", "an alert is not grouped"];
    let mut all = None;
    for partition in partitions.all() {
        let stream = PartitionKeys::of(partition).alerts;
        let one = oldest(connection, (&stream, CORRELATOR_GROUP), words).await?;
        all = older(all, one);
    }
    Ok(all)
}

/// Returns the age of the oldest entry that waits, in the words for one that is unread or pending.
async fn oldest(
    connection: &mut Connection,
    (stream, group): (&str, &str),
    [unread, pending]: [&'static str; 2],
) -> RedisResult<Option<OldestEntry>> {
    let found = oldest_waiting(connection, stream, group).await?;
    let now = server_time(&mut connection.at(stream)).await?;
    let entry = |what, id: Option<StreamId>| {
        let since = Timestamp::from_millis(id?.ms)?;
        Some(OldestEntry {
            what,
            age: now.since(since),
        })
    };
    Ok(older(
        entry(pending, found.pending),
        entry(unread, found.unread),
    ))
}

/// Returns the one that waits longer; the first of equals.
fn older(one: Option<OldestEntry>, other: Option<OldestEntry>) -> Option<OldestEntry> {
    let age = |entry: &Option<OldestEntry>| entry.map_or(Duration::ZERO, |entry| entry.age);
    if one.is_none() || age(&other) > age(&one) {
        other
    } else {
        one
    }
}
