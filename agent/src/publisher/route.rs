//! Where entries go: the stream of the zone's partition, and whether it is still the same Redis.
//!
//! In: the layout that the collectors keep, and Redis' replication id. Out: the stream to publish
//! to. A stream that has vanished, or another replication id (a failover, a restart), means that
//! Redis may have lost what it had acknowledged.

use rackwatch_core::keys::PartitionKeys;
use rackwatch_runtime::redis::Layout;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The stream.
    pub(super) stream: String,
    /// It is there: if it is not any more, it has vanished.
    pub(super) exists: bool,
    /// The layout that led here.
    pub(super) layout: Layout,
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
pub(super) async fn find(connection: &mut MultiplexedConnection, zone: &str) -> RedisResult<Found> {
    let layout = Layout::read(connection).await?;
    let mut ask = redis::cmd("INFO");
    let info: RedisResult<String> = ask.arg("replication").query_async(connection).await;
    // An access list may forbid it: then a failover shows only where the stream has vanished.
    let id = |info: String| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("master_replid:"));
        line.map(|id| id.trim().to_owned())
    };
    let route = match layout {
        Layout::Draining(_) | Layout::Changing(_) => None,
        Layout::Unset | Layout::Set(_) => Some(Route {
            stream: PartitionKeys::of(layout.partitions().of_zone(zone)).raw,
            exists: false,
            layout,
        }),
    };
    Ok(Found {
        route,
        replication: info.ok().and_then(id),
    })
}
