//! Whether collectors keep alerts and incidents up to date. An empty list proves nothing if they do not.

use std::time::Duration;

use rackwatch_core::keys::{PartitionKeys, incidents};
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::RedisResult;

use super::evaluate::MAX_AGE;
use crate::notify::line::format_duration;
use crate::progress::OldestEntry;
use crate::waiting;

/// Returns the reason why alerts and incidents may be out of date; `None` if collectors keep them up to date.
///
/// # Errors
///
/// If Redis refuses a command or gives an unexpected reply.
pub(crate) async fn unattended(connection: &mut Connection) -> RedisResult<Option<String>> {
    let partitioning = Partitioning::read(connection).await?;
    if matches!(partitioning, Partitioning::Changing(_)) {
        return Ok(Some("partitions are being resized".to_owned()));
    }
    let all: Vec<_> = partitioning.partitions().all().collect();
    let mut unowned = Vec::new();
    for partition in &all {
        if !exists(connection, &PartitionKeys::of(*partition).lease).await? {
            unowned.push(partition.to_string());
        }
    }
    if unowned.len() == all.len() {
        return Ok(Some("no collector is running".to_owned()));
    }
    if !unowned.is_empty() {
        let unowned = unowned.join(", ");
        return Ok(Some(format!("no collector owns partition {unowned}")));
    }
    if !exists(connection, incidents::LEASE).await? {
        return Ok(Some("no collector is the notification leader".to_owned()));
    }
    for partition in all {
        let oldest = waiting::readings(connection, partition).await?;
        if let Some(reason) = stuck(oldest) {
            return Ok(Some(format!("partition {partition} is stuck: {reason}")));
        }
    }
    let oldest = waiting::alerts(connection).await?;
    Ok(stuck(oldest).map(|reason| format!("the correlator is stuck: {reason}")))
}

/// Returns words for an entry that has waited too long.
fn stuck(oldest: Option<OldestEntry>) -> Option<String> {
    let OldestEntry { what, age } = oldest.filter(|entry| entry.age > MAX_AGE)?;
    let age = format_duration(Duration::from_secs(age.as_secs()));
    Some(format!("{what} for {age}"))
}

async fn exists(connection: &mut Connection, key: &str) -> RedisResult<bool> {
    let mut ask = redis::cmd("EXISTS");
    ask.arg(key).query_async(connection).await
}
