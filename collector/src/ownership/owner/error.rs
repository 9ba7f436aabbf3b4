//! The errors of owning partitions.

use rackwatch_core::partition::Partitions;
use redis::RedisError;
use tokio::task::JoinError;

/// The reason why partitions can no longer be owned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnerError {
    /// Redis holds readings with another partitioning than is configured.
    #[error(
        "partition.count asks for {wanted}, but this Redis holds readings with {found}: leave the key \
         out, or change the partitioning with `rackwatch-collector partitions resize`"
    )]
    Partitioning {
        /// Partitions that the configuration asks for.
        wanted: Partitions,
        /// Partitions that Redis holds.
        found: Partitions,
    },
    /// A cluster without partitions.
    #[error(
        "partition.count = 0 is not possible on Redis Cluster, where the keys of a partition must be in \
         one slot: leave the key out, or set a number from 1"
    )]
    NoPartitions,
    /// Redis refuses for a reason that does not pass by itself.
    #[error("Redis refused to give out leases of partitions")]
    Refused(#[source] RedisError),
    /// A term has a bug.
    #[error("a partition panicked")]
    Panicked(#[source] JoinError),
}

/// The reason why a poll failed.
pub(super) enum PollError {
    Redis(RedisError),
    Owner(OwnerError),
}

impl From<RedisError> for PollError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<OwnerError> for PollError {
    fn from(error: OwnerError) -> Self {
        Self::Owner(error)
    }
}
