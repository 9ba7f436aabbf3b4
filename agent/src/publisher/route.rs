//! The stream that entries go to, and the identity of the Redis that holds it.
//!
//! In: the partitioning that the collectors keep, and Redis' replication id. Out: the stream of the
//! zone's partition. If the stream vanishes or the replication id changes (a failover, a restart),
//! Redis may have lost entries that it acknowledged.

use rackwatch_core::keys::{PartitionKeys, SeriesKeys};
use rackwatch_runtime::redis::{Connection, Partitioning, replication_id};
use redis::RedisResult;

/// The destination of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Key of the stream.
    pub(super) stream: String,
    /// Whether the stream exists: if it is missing later, it has vanished.
    pub(super) exists: bool,
    /// Partitioning that led here.
    pub(super) partitioning: Partitioning,
}

/// Redis' answer before the first entry of a connection.
#[derive(Debug)]
pub(super) struct RouteReply {
    /// Destination; `None` while the partitioning is being changed.
    pub(super) route: Option<Route>,
    /// Replication id; `None` if Redis does not reveal it.
    pub(super) replication: Option<String>,
}

/// Asks Redis for the destination of entries of `zone`.
pub(super) async fn find(connection: &mut Connection, zone: &str) -> RedisResult<RouteReply> {
    let partitioning = Partitioning::read(connection).await?;
    let stream = PartitionKeys::of(partitioning.partitions().of_zone(zone)).raw;
    // An access list may forbid this: then a failover is noticed only if the stream vanished.
    let replication = replication_id(&mut connection.at(&stream)).await?;
    let route = match partitioning {
        Partitioning::Draining(_) | Partitioning::Changing(_) => None,
        // On a cluster there are always partitions; a collector sets how many.
        Partitioning::Unset if connection.series_keys() == SeriesKeys::Cluster => None,
        Partitioning::Unset | Partitioning::Set(_) => Some(Route {
            stream,
            exists: false,
            partitioning,
        }),
    };
    Ok(RouteReply { route, replication })
}
