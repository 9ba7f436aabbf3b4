//! Where entries go: the stream of the zone's partition, and whether it is still the same Redis.
//!
//! In: the layout that the collectors keep, and Redis' replication id. Out: the stream to publish
//! to. A stream that has vanished, or another replication id (a failover, a restart), means that
//! Redis may have lost what it had acknowledged.

use rackwatch_core::keys::{PartitionKeys, SeriesKeys};
use rackwatch_runtime::redis::{Connection, Partitioning, replication_id};
use redis::RedisResult;

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The stream.
    pub(super) stream: String,
    /// It is there: if it is not any more, it has vanished.
    pub(super) exists: bool,
    /// The layout that led here.
    pub(super) layout: Partitioning,
}

/// What Redis says before the first entry on a connection.
#[derive(Debug)]
pub(super) struct Found {
    /// Where to publish; none while the layout is being changed.
    pub(super) route: Option<Route>,
    /// Which data this is; none where Redis does not tell.
    pub(super) replication: Option<String>,
}

/// Asks where entries of `zone` go.
pub(super) async fn find(connection: &mut Connection, zone: &str) -> RedisResult<Found> {
    let layout = Partitioning::read(connection).await?;
    let stream = PartitionKeys::of(layout.partitions().of_zone(zone)).raw;
    // An access list may forbid it: then a failover shows only where the stream has vanished.
    let replication = replication_id(&mut connection.at(&stream)).await?;
    let route = match layout {
        Partitioning::Draining(_) | Partitioning::Changing(_) => None,
        // On a cluster there are always partitions, once a collector has said how many.
        Partitioning::Unset if connection.series_keys() == SeriesKeys::Cluster => None,
        Partitioning::Unset | Partitioning::Set(_) => Some(Route {
            stream,
            exists: false,
            layout,
        }),
    };
    Ok(Found { route, replication })
}
