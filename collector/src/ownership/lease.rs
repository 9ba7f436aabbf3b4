//! Leases: which collector owns a partition, or the desk that tells people, and for how long.
//!
//! In: partitions to take, keep and give up. Out: the epoch of a tenure, or that it is over. A lease
//! is a key that expires; taking it counts up the epoch in the partition's fence, and a commit is
//! only done for the newest epoch. So a collector that was paused past its lease can do no harm,
//! whatever its own clock says: the lease decides when another may take over, the epoch who writes.

use std::time::Duration;

use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};
use redis::{RedisError, RedisResult, Script};
use tokio_util::sync::CancellationToken;

use crate::retry;

/// Polls in a lease.
const POLLS: u32 = 10;
const SHORTEST_POLL: Duration = Duration::from_millis(50);
/// A clean hand-over takes a poll, and should be done within a second.
const LONGEST_POLL: Duration = Duration::from_millis(400);

/// Who a collector is among others.
#[derive(Clone, Debug)]
pub struct CollectorName(String);

impl CollectorName {
    /// `<start>-<host>-<process>`: names sort by the time of start, in milliseconds since 1970.
    pub fn new(started_ms: u64, host: &str, process: u32) -> Self {
        Self(format!("{started_ms:014}-{host}-{process}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is owned: the names of its lease and of its fence.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'k> {
    /// The owner for as long as it lasts.
    pub lease: &'k str,
    /// Whose epoch is the newest.
    pub fence: &'k str,
}

impl<'k> From<&'k PartitionKeys> for Seat<'k> {
    fn from(keys: &'k PartitionKeys) -> Self {
        Self {
            lease: &keys.lease,
            fence: &keys.fence,
        }
    }
}

/// Asks Redis for leases as one collector.
#[derive(Debug)]
pub struct Leases {
    connector: Connector,
    connection: Option<Connection>,
    me: CollectorName,
    lease: Duration,
    enrol: Script,
    take: Script,
    keep: Script,
    free: Script,
}

impl Leases {
    /// Leases of this length for `me`.
    pub fn new(connector: Connector, me: CollectorName, lease: Duration) -> Self {
        Self {
            connector,
            connection: None,
            me,
            lease,
            enrol: Script::new(include_str!("lease/enrol.lua")),
            take: Script::new(include_str!("lease/take.lua")),
            keep: Script::new(include_str!("lease/keep.lua")),
            free: Script::new(include_str!("lease/free.lua")),
        }
    }

    /// How many partitions there are where nobody says otherwise. A commit touches several keys, which a
    /// cluster only lets it do in one slot: there are always partitions there.
    pub fn default_partitions(&self) -> Partitions {
        if self.connector.is_cluster() {
            Partitions::CLUSTER
        } else {
            Partitions::PLAIN
        }
    }

    /// Who asks.
    pub fn me(&self) -> &str {
        self.me.as_str()
    }

    /// How often to ask: several times in a lease, and often enough for a quick hand-over.
    pub fn poll(&self) -> Duration {
        (self.lease / POLLS).clamp(SHORTEST_POLL, LONGEST_POLL)
    }

    /// The connection to ask on, opened where there is none; none when `stop` comes first.
    pub async fn connection(&mut self, stop: &CancellationToken) -> Option<Connection> {
        let purpose = Purpose::Commands;
        retry::connection(&mut self.connection, &self.connector, purpose, stop).await
    }

    /// The connection, where one is open.
    pub fn open(&self) -> Option<Connection> {
        self.connection.clone()
    }

    /// Redis took what it was sent.
    pub fn accepted(&self) {
        self.connector.accepted();
    }

    /// Redis refused what it was sent.
    pub fn refused(&self, error: &RedisError) {
        self.connector.refused(error);
    }

    /// The connection broke.
    pub fn reconnect(&mut self) {
        self.connection = None;
    }

    /// Says that this collector runs; all that do, the oldest first.
    pub async fn enrol(&self, connection: &mut Connection) -> RedisResult<Vec<String>> {
        let mut call = self.enrol.key(keys::COLLECTORS);
        call.arg(self.me.as_str()).arg(self.term());
        let mut all: Vec<String> = call.invoke_async(connection).await?;
        all.sort_unstable();
        Ok(all)
    }

    /// Takes a partition if nobody owns it: the epoch of the tenure.
    pub async fn take(
        &self,
        connection: &mut Connection,
        of: impl Into<Seat<'_>>,
    ) -> RedisResult<Option<u64>> {
        let Seat { lease, fence } = of.into();
        let mut call = self.take.key(lease);
        call.key(fence).arg(self.me.as_str()).arg(self.term());
        let epoch: u64 = call.invoke_async(connection).await?;
        Ok((epoch > 0).then_some(epoch))
    }

    /// Prolongs a tenure; false where it is over.
    pub async fn keep(
        &self,
        connection: &mut Connection,
        of: impl Into<Seat<'_>>,
        epoch: u64,
    ) -> RedisResult<bool> {
        let Seat { lease, fence } = of.into();
        let mut call = self.keep.key(lease);
        call.key(fence);
        call.arg(self.me.as_str()).arg(self.term()).arg(epoch);
        call.invoke_async(connection).await
    }

    /// Gives a partition up, so that another can take it at once.
    pub async fn free(
        &self,
        connection: &mut Connection,
        of: impl Into<Seat<'_>>,
    ) -> RedisResult<()> {
        let mut call = self.free.key(of.into().lease);
        call.arg(self.me.as_str()).invoke_async(connection).await
    }

    /// Says that this collector runs no more.
    pub async fn leave(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut leave = redis::cmd("ZREM");
        leave.arg(keys::COLLECTORS).arg(self.me.as_str());
        leave.exec_async(connection).await
    }

    fn term(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }
}
