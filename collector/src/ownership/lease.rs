//! Leases: which collector owns a partition, or leads, and for how long.
//!
//! In: leases to take, renew and release. Out: the epoch of an ownership term, or that it has ended. A
//! lease is a key that expires. Taking it increments the epoch in the fence, and a commit is only
//! done for the newest epoch. So a collector that was paused past its lease can do no harm, whatever
//! its own clock says: the lease decides when another may take over, the epoch who writes.

use std::time::Duration;

use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, RequestError, Session};
use redis::{RedisError, RedisResult, Script};
use tokio_util::sync::CancellationToken;

use crate::peers;

/// Polls in a lease: several may fail before it expires.
const POLLS_PER_LEASE: u32 = 10;
/// Shortest interval between polls, so that a short lease does not keep Redis busy.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest interval between polls: a clean hand-over takes one, and should end within a second.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Longest wait for Redis at a stop; after that the leases expire by themselves.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of a collector, unique among all.
#[derive(Clone, Debug)]
pub(crate) struct CollectorName(String);

impl CollectorName {
    /// Builds `<start>-<host>-<process>`. Names sort by the time of start, in milliseconds since
    /// 1970.
    pub(crate) fn new(started_ms: u64, host: &str, process: u32) -> Self {
        Self(format!("{started_ms:014}-{host}-{process}"))
    }

    /// Returns the name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The keys of a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseKeys<'k> {
    /// Key that holds the owner and expires.
    pub lease: &'k str,
    /// Hash that holds the newest epoch.
    pub fence: &'k str,
}

impl<'k> From<&'k PartitionKeys> for LeaseKeys<'k> {
    fn from(keys: &'k PartitionKeys) -> Self {
        Self {
            lease: &keys.lease,
            fence: &keys.fence,
        }
    }
}

/// Takes and renews leases for one collector.
#[derive(Debug)]
pub(crate) struct Leases {
    connector: Connector,
    session: Session,
    me: CollectorName,
    duration: Duration,
    register: Script,
    take: Script,
    renew: Script,
    release: Script,
}

impl Leases {
    /// Creates leases of this duration for `me`; requests end when `stop` is cancelled.
    pub(crate) fn new(
        connector: Connector,
        me: CollectorName,
        duration: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            session: Session::new(connector.clone(), Purpose::Commands, stop),
            connector,
            me,
            duration,
            register: Script::new(include_str!("lease/register.lua")),
            take: Script::new(include_str!("lease/take.lua")),
            renew: Script::new(include_str!("lease/renew.lua")),
            release: Script::new(include_str!("lease/release.lua")),
        }
    }

    /// Returns the number of partitions that an empty Redis gets unless configured. A commit touches
    /// several keys, which have to be in one slot of a cluster: a cluster always has partitions.
    pub(crate) fn default_partitions(&self) -> Partitions {
        if self.connector.is_cluster() {
            Partitions::CLUSTER
        } else {
            Partitions::PLAIN
        }
    }

    /// Returns the name of this collector.
    pub(crate) fn me(&self) -> &str {
        self.me.as_str()
    }

    /// Returns the interval between polls.
    pub(crate) fn poll_interval(&self) -> Duration {
        (self.duration / POLLS_PER_LEASE).clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)
    }

    /// Returns the connection, opened first if there is none.
    pub(crate) async fn connection(&mut self) -> Result<Connection, RequestError> {
        self.session.connection().await
    }

    /// Records that Redis accepted a poll.
    pub(crate) fn accepted(&self) {
        self.connector.accepted();
    }

    /// Logs a failed poll, waits as `error` asks, and connects again.
    pub(crate) async fn recover(&mut self, error: &RedisError) -> Result<(), RequestError> {
        self.connector.refused(error);
        self.session.recover(error).await
    }

    /// Registers this collector as running. Returns all running collectors, the oldest first.
    pub(crate) async fn register(&self, connection: &mut Connection) -> RedisResult<Vec<String>> {
        let mut call = self.register.key(keys::COLLECTORS);
        call.arg(self.me.as_str()).arg(self.duration_ms());
        let mut all: Vec<String> = call.invoke_async(connection).await?;
        all.sort_unstable();
        Ok(all)
    }

    /// Takes a lease that no collector holds. Returns the epoch of the ownership term, or none.
    pub(crate) async fn take(
        &self,
        connection: &mut Connection,
        of: impl Into<LeaseKeys<'_>>,
    ) -> RedisResult<Option<u64>> {
        let LeaseKeys { lease, fence } = of.into();
        let mut call = self.take.key(lease);
        call.key(fence)
            .arg(self.me.as_str())
            .arg(self.duration_ms());
        let epoch: u64 = call.invoke_async(connection).await?;
        Ok((epoch > 0).then_some(epoch))
    }

    /// Renews a lease; false if the ownership term is over.
    pub(crate) async fn renew(
        &self,
        connection: &mut Connection,
        of: impl Into<LeaseKeys<'_>>,
        epoch: u64,
    ) -> RedisResult<bool> {
        let LeaseKeys { lease, fence } = of.into();
        let mut call = self.renew.key(lease);
        call.key(fence);
        call.arg(self.me.as_str())
            .arg(self.duration_ms())
            .arg(epoch);
        call.invoke_async(connection).await
    }

    /// Releases a lease, so that another collector can take it at once. If Redis does not answer in
    /// time, the lease expires by itself.
    pub(crate) async fn release(&self, of: impl Into<LeaseKeys<'_>>) {
        let Some(mut connection) = self.session.open_connection() else {
            return;
        };
        let lease = of.into().lease;
        let mut call = self.release.key(lease);
        call.arg(self.me.as_str());
        let released = call.invoke_async::<()>(&mut connection);
        log_unreleased(lease, tokio::time::timeout(RELEASE_TIMEOUT, released).await);
    }

    /// Removes this collector from those that run. If Redis does not answer in time, its entry
    /// expires by itself.
    pub(crate) async fn unregister(&self) {
        let Some(mut connection) = self.session.open_connection() else {
            return;
        };
        let mut remove = redis::cmd("ZREM");
        remove.arg(keys::COLLECTORS).arg(self.me.as_str());
        let removed = async {
            peers::withdraw(&mut connection.clone(), self.me.as_str()).await?;
            remove.exec_async(&mut connection).await
        };
        log_unreleased(
            keys::COLLECTORS,
            tokio::time::timeout(RELEASE_TIMEOUT, removed).await,
        );
    }

    fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

fn log_unreleased(key: &str, result: Result<RedisResult<()>, tokio::time::error::Elapsed>) {
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(key, %error, "lease not released, it will expire"),
        Err(_) => tracing::debug!(key, "lease not released in time, it will expire"),
    }
}
