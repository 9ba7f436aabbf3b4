//! Open episodes of all partitions, read from Redis.

use std::collections::HashMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DeviceId, Verdict};
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::stored::StoredValues;
use rackwatch_runtime::redis::{Connection, Partitioning, scan_hash};
use redis::RedisResult;

/// Reads the open episodes of one partition. Values of another version are left out.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn of_partition(
    connection: &mut Connection,
    keys: &PartitionKeys,
) -> RedisResult<Vec<Episode>> {
    let stored = scan_hash(connection, &keys.episodes).await?;
    Ok(StoredValues::from_hash(stored).into_values().collect())
}

/// Reads the open episodes of all partitions.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn all(connection: &mut Connection) -> RedisResult<Vec<Episode>> {
    let partitioning = Partitioning::read(connection).await?;
    let mut all = Vec::new();
    for partition in partitioning.partitions().all() {
        all.extend(of_partition(connection, &PartitionKeys::of(partition)).await?);
    }
    Ok(all)
}

/// Returns the highest open severity of each device.
pub fn worst(open: &[Episode]) -> HashMap<&DeviceId, Severity> {
    let mut worst = HashMap::new();
    for episode in open {
        let known = worst
            .entry(episode.subject.as_id())
            .or_insert(episode.severity);
        *known = episode.severity.max(*known);
    }
    worst
}

/// Returns the verdict of a device's own board, if it differs from the severity of our open alerts.
pub fn disagrees(board: Option<Verdict>, ours: Option<Severity>) -> Option<Verdict> {
    let ours = match ours {
        None | Some(Severity::Info) => Verdict::Ok,
        Some(Severity::Warning) => Verdict::Warning,
        Some(Severity::Critical) => Verdict::Critical,
    };
    board.filter(|board| *board != ours)
}
