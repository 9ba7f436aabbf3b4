//! Open episodes of all partitions, as they are kept in Redis.

use std::collections::HashMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DeviceId, Verdict};
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::stored::Decoded;
use rackwatch_runtime::redis::{Connection, Layout};
use redis::RedisResult;

use crate::scan::scan;

/// Returns those of one partition. Values of another version are left out.
pub async fn of_partition(
    connection: &mut Connection,
    keys: &PartitionKeys,
) -> RedisResult<Vec<Episode>> {
    let stored = scan(connection, &keys.episodes).await?;
    Ok(Decoded::from_hash(stored).into_values().collect())
}

/// Those of all.
pub async fn all(connection: &mut Connection) -> RedisResult<Vec<Episode>> {
    let layout = Layout::read(connection).await?;
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
        let known = worst
            .entry(episode.subject.as_id())
            .or_insert(episode.severity);
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
