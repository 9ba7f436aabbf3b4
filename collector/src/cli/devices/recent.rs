//! The devices whose readings arrived last.
//!
//! Devices that nothing describes are in no hash; only the raw streams name them.

use std::collections::BTreeMap;

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::wire;
use rackwatch_runtime::redis::{Connection, Partitioning, entries};

/// Newest entries that are looked at, for each partition.
const MAX_ENTRIES: usize = 1000;

/// Reads the newest entries of all raw streams. Returns their devices, and whether an agent sends them.
pub(super) async fn senders(
    connection: &mut Connection,
) -> anyhow::Result<BTreeMap<DeviceId, bool>> {
    let mut senders: BTreeMap<DeviceId, bool> = BTreeMap::new();
    for partition in Partitioning::read(connection).await?.partitions().all() {
        let mut read = redis::cmd("XREVRANGE");
        read.arg(PartitionKeys::of(partition).raw).arg("+").arg("-");
        read.arg("COUNT").arg(MAX_ENTRIES);
        for entry in entries(read.query_async(connection).await?)? {
            let decoded = wire::decode(&entry.fields.unwrap_or_default());
            let by_agent = decoded.agent.is_some();
            for reading in decoded.readings {
                *senders.entry(reading.device).or_default() |= by_agent;
            }
        }
    }
    Ok(senders)
}
