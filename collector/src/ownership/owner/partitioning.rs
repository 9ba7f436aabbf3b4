//! Reads the partitioning from Redis, or sets it in an empty Redis.

use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::RedisResult;

use super::error::{OwnerError, PollError};

/// Reads the partitioning. If Redis holds none, sets `wanted` from the configuration, or else `default`.
/// Fails if Redis has another partitioning than `wanted`.
pub(super) async fn read_or_set(
    connection: &mut Connection,
    wanted: Option<Partitions>,
    default: Partitions,
) -> Result<Partitioning, PollError> {
    let partitioning = Partitioning::read(connection).await?;
    if partitioning != Partitioning::Unset {
        let found = partitioning.partitions();
        let wanted = wanted.unwrap_or(found);
        if wanted != found {
            return Err(OwnerError::Partitioning { wanted, found }.into());
        }
        return Ok(partitioning);
    }
    let wanted = wanted.unwrap_or(default);
    // On a cluster, which must have partitions, the default is not `PLAIN`.
    if wanted == Partitions::PLAIN && default != Partitions::PLAIN {
        return Err(OwnerError::NoPartitions.into());
    }
    if wanted != Partitions::PLAIN && is_used_unpartitioned(connection).await? {
        let found = Partitions::PLAIN;
        return Err(OwnerError::Partitioning { wanted, found }.into());
    }
    let mut set = redis::cmd("HSETNX");
    set.arg(keys::PARTITIONING)
        .arg("partitions")
        .arg(u16::from(wanted));
    set.exec_async(connection).await?;
    Ok(Partitioning::read(connection).await?)
}

/// Returns whether this Redis has been used without partitions: its fence or its raw stream exists.
async fn is_used_unpartitioned(connection: &mut Connection) -> RedisResult<bool> {
    let plain = PartitionKeys::of(PartitionId::PLAIN);
    for key in [&plain.fence, &plain.raw] {
        let exists: bool = redis::cmd("EXISTS")
            .arg(key)
            .query_async(connection)
            .await?;
        if exists {
            return Ok(true);
        }
    }
    Ok(false)
}
