//! Owns partitions: takes as many as are assigned to this collector, renews their leases, and gives
//! up the surplus.
//!
//! In: the partitioning and the list of collectors, read a few times in a lease. Out: an ownership
//! term for each partition that was taken, run by the caller's future. A term ends when the program
//! stops, when another collector is to have the partition, or when its lease is lost. Its state is
//! saved on the way out if that is still allowed, and only then is the lease released. So another
//! collector goes on within a poll after a clean stop, and within the lease after a crash.

mod error;
mod partitioning;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_runtime::redis::{Connection, Partitioning, RequestError};
use redis::{RedisError, RedisResult};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use error::OwnerError;

use self::error::PollError;
use super::assignment::assigned;
use super::lease::Leases;
use crate::failpoint;
use crate::progress::{Pulse, Stage};
use crate::stats::Stats;

/// The time for which this collector owns a partition.
#[derive(Clone, Debug)]
pub(crate) struct OwnershipTerm {
    /// Number of the partition.
    pub partition: PartitionId,
    /// Its names in Redis.
    pub keys: PartitionKeys,
    /// Count of its owners so far: only the newest may commit.
    pub epoch: u64,
    /// Cancelled when the term ends.
    pub stop: CancellationToken,
}

/// Owns partitions; `start` makes the future that runs a term.
pub(crate) struct Owner<S, E> {
    leases: Leases,
    wanted: Option<Partitions>,
    stop: CancellationToken,
    stats: Arc<Stats>,
    pulse: Pulse,
    start: S,
    terms: BTreeMap<PartitionId, OwnershipTerm>,
    running: JoinSet<(PartitionId, Result<(), E>)>,
}

impl<S, E> fmt::Debug for Owner<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("leases", &self.leases)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl<S, F, E> Owner<S, E>
where
    S: Fn(OwnershipTerm) -> F + Send,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: From<OwnerError> + Send + 'static,
{
    /// Creates an owner of no partitions; `wanted` is their total number if that is configured.
    pub(crate) fn new(
        leases: Leases,
        wanted: Option<Partitions>,
        stats: Arc<Stats>,
        stop: CancellationToken,
        start: S,
    ) -> Self {
        Self {
            leases,
            wanted,
            stop,
            pulse: stats.progress().begin(Stage::Leases),
            stats,
            start,
            terms: BTreeMap::new(),
            running: JoinSet::new(),
        }
    }

    /// Runs until the program stops or a term fails.
    pub(crate) async fn run(mut self) -> Result<(), E> {
        let ended = self.own().await;
        for term in self.terms.values() {
            term.stop.cancel();
        }
        let mut last = Ok(());
        while let Some(joined) = self.running.join_next().await {
            let (partition, result) = joined.map_err(OwnerError::Panicked)?;
            last = last.and(result);
            self.release(partition).await;
        }
        self.leases.unregister().await;
        ended.and(last)
    }

    async fn own(&mut self) -> Result<(), E> {
        let mut polls = tokio::time::interval(self.leases.poll_interval());
        polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                Some(joined) = self.running.join_next() => {
                    let (partition, result) = joined.map_err(OwnerError::Panicked)?;
                    self.release(partition).await;
                    result?;
                }
                _ = polls.tick() => self.poll().await?,
            }
        }
    }

    async fn poll(&mut self) -> Result<(), OwnerError> {
        let Ok(mut connection) = self.leases.connection().await else {
            return Ok(());
        };
        match self.rebalance(&mut connection).await {
            Ok(()) => {
                self.leases.accepted();
                self.pulse.beat();
                Ok(())
            }
            Err(PollError::Owner(error)) => Err(error),
            Err(PollError::Redis(error)) => recover(&mut self.leases, &error).await,
        }
    }

    /// Renews what is owned, takes what is missing, and ends what is too much.
    async fn rebalance(&mut self, connection: &mut Connection) -> Result<(), PollError> {
        // First, and whatever fails: on a cluster each lease is on a server of its own.
        let renewed = self.renew(connection).await;
        let default = self.leases.default_partitions();
        let partitioning = partitioning::read_or_set(connection, self.wanted, default).await?;
        let collectors = self.leases.register(connection).await?;
        let all: Vec<_> = partitioning.partitions().all().collect();
        let assigned = match partitioning {
            // A resize needs every partition to itself.
            Partitioning::Changing(_) => 0,
            Partitioning::Unset | Partitioning::Set(_) | Partitioning::Draining(_) => {
                assigned(self.leases.me(), &collectors, all.len())
            }
        };
        let surplus = self.terms.values().filter(|term| !term.stop.is_cancelled());
        for term in surplus.skip(assigned) {
            tracing::info!(partition = %term.partition, "handing over");
            term.stop.cancel();
        }
        let taken = self.take_missing(connection, &all, assigned).await;
        Ok(renewed.and(taken)?)
    }

    /// Renews the leases of all terms; returns the first error.
    async fn renew(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut first = Ok(());
        for term in self.terms.values().filter(|t| !t.stop.is_cancelled()) {
            failpoint::pass("before lease renewed");
            let renewed = self.leases.renew(connection, &term.keys, term.epoch).await;
            match renewed {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        partition = %term.partition,
                        "lease lost: another collector took it, or redis lost data"
                    );
                    term.stop.cancel();
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    /// Takes free partitions until this collector has as many as are assigned to it; returns the
    /// first error.
    async fn take_missing(
        &mut self,
        connection: &mut Connection,
        all: &[PartitionId],
        assigned: usize,
    ) -> RedisResult<()> {
        let mut first = Ok(());
        for &partition in all {
            if self.terms.len() >= assigned {
                break;
            }
            if self.terms.contains_key(&partition) {
                continue;
            }
            let keys = PartitionKeys::of(partition);
            match self.leases.take(connection, &keys).await {
                Ok(None) => {}
                Ok(Some(epoch)) => {
                    failpoint::pass("partition taken");
                    self.begin(partition, keys, epoch);
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    fn begin(&mut self, partition: PartitionId, keys: PartitionKeys, epoch: u64) {
        let term = OwnershipTerm {
            partition,
            keys,
            epoch,
            stop: self.stop.child_token(),
        };
        let run = (self.start)(term.clone());
        self.running.spawn(async move { (partition, run.await) });
        self.terms.insert(partition, term);
    }

    /// Releases the lease of a term that has ended.
    async fn release(&mut self, partition: PartitionId) {
        if let Some(term) = self.terms.remove(&partition) {
            self.stats.forget(partition);
            self.leases.release(&term.keys).await;
        }
    }
}

/// Prepares the next poll after a failed one; a stop is left to the caller's loop.
pub(super) async fn recover(leases: &mut Leases, error: &RedisError) -> Result<(), OwnerError> {
    match leases.recover(error).await {
        Ok(()) | Err(RequestError::Stopped) => Ok(()),
        Err(RequestError::Refused(error)) => Err(OwnerError::Refused(error)),
    }
}
