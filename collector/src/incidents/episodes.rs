//! Open episodes of all partitions, as they are kept in Redis.

use std::collections::HashMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DeviceId, Verdict};
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_runtime::redis::{Connection, Partitioning, scan_hash};
use redis::RedisResult;

/// Those of one partition. What cannot be read is left out: a newer version wrote it.
pub async fn of_partition(
    connection: &mut Connection,
    keys: &PartitionKeys,
) -> RedisResult<Vec<Episode>> {
    let stored = scan_hash(connection, &keys.episodes).await?.into_values();
    let read = stored.filter_map(|json| serde_json::from_slice(&json).ok());
    Ok(read.collect())
}

/// Those of all.
pub async fn all(connection: &mut Connection) -> RedisResult<Vec<Episode>> {
    let layout = Partitioning::read(connection).await?;
    let mut all = Vec::new();
    for partition in layout.partitions().all() {
        all.extend(of_partition(connection, &PartitionKeys::of(partition)).await?);
    }
    Ok(all)
}

/// The worst that is open for each device.
pub fn worst(open: &[Episode]) -> HashMap<&DeviceId, Severity> {
    let mut worst = HashMap::new();
    for episode in open {
        let known = worst.entry(&episode.device).or_insert(episode.severity);
        *known = episode.severity.max(*known);
    }
    worst
}

/// What a device's own board says of it, where that is not what is open for it.
pub fn disagrees(board: Option<Verdict>, ours: Option<Severity>) -> Option<Verdict> {
    let ours = match ours {
        None | Some(Severity::Info) => Verdict::Ok,
        Some(Severity::Warning) => Verdict::Warning,
        Some(Severity::Critical) => Verdict::Critical,
    };
    board.filter(|board| *board != ours)
}
