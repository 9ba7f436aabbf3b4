//! Owning partitions: takes its share of them, keeps their leases, and gives up what is too much.
//!
//! In: the layout and the list of collectors, asked for a few times in a lease. Out: a tenure for
//! each partition that was taken, run by whoever was asked to start it. A tenure ends when the
//! program stops, when another collector is to have the partition, or when its lease is lost; its
//! state is saved on the way out where that is still allowed, and only then is the lease given up.
//! So another collector goes on within a poll after a clean stop, and within the lease after a
//! crash.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_runtime::redis::{Connection, Layout};
use redis::{RedisError, RedisResult};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::failpoint;
use crate::ownership::assignment::share;
use crate::ownership::lease::Leases;
use crate::retry::{self, Trouble};
use crate::stats::Stats;

/// At the stop Redis has this long to hear of it; then the leases run out by themselves.
const GOODBYE: Duration = Duration::from_secs(1);

/// A partition that was taken.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// Which.
    pub partition: PartitionId,
    /// Its names in Redis.
    pub keys: PartitionKeys,
    /// Only who has the newest epoch may commit.
    pub epoch: u64,
    /// When to end.
    pub stop: CancellationToken,
}

/// Why partitions can be owned no more.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another layout than is configured.
    #[error(
        "partition.count asks for {wanted}, but this Redis holds readings with {found}: leave the key \
         out, or change the layout with `rackwatch-collector partitions resize`"
    )]
    Layout {
        /// What the configuration asks for.
        wanted: Partitions,
        /// What holds.
        found: Partitions,
    },
    /// The plain names on a cluster.
    #[error(
        "partition.count = 0 cannot be on Redis Cluster, where all of a partition has to be in one slot: \
         leave the key out, or give a number from 1"
    )]
    NoPartitions,
    /// Redis refuses for a reason that does not pass.
    #[error("Redis refused to give out leases of partitions")]
    Refused(#[source] RedisError),
    /// A tenure has a bug.
    #[error("a partition panicked")]
    Panicked(#[source] JoinError),
}

/// Owns partitions; `start` makes the future that runs a tenure.
pub struct Owner<S, E> {
    leases: Leases,
    wanted: Option<Partitions>,
    poll: Duration,
    stop: CancellationToken,
    stats: Arc<Stats>,
    start: S,
    tenures: BTreeMap<PartitionId, Tenure>,
    running: JoinSet<(PartitionId, Result<(), E>)>,
}

impl<S, E> fmt::Debug for Owner<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("leases", &self.leases)
            .field("tenures", &self.tenures)
            .finish_non_exhaustive()
    }
}

impl<S, F, E> Owner<S, E>
where
    S: Fn(Tenure) -> F + Send,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: From<OwnerError> + Send + 'static,
{
    /// Owns a share of the partitions; `wanted` is how many there are to be, where that is
    /// configured.
    pub fn new(
        leases: Leases,
        wanted: Option<Partitions>,
        stats: Arc<Stats>,
        stop: CancellationToken,
        start: S,
    ) -> Self {
        Self {
            poll: leases.poll(),
            leases,
            wanted,
            stop,
            stats,
            start,
            tenures: BTreeMap::new(),
            running: JoinSet::new(),
        }
    }

    /// Runs until told to stop, or until a tenure fails.
    pub async fn run(mut self) -> Result<(), E> {
        let ended = self.own().await;
        for tenure in self.tenures.values() {
            tenure.stop.cancel();
        }
        let mut last = Ok(());
        while let Some(joined) = self.running.join_next().await {
            let (partition, result) = ended_tenure(joined)?;
            last = last.and(result);
            self.give_up(partition).await;
        }
        self.leave().await;
        ended.and(last)
    }

    async fn own(&mut self) -> Result<(), E> {
        let mut polls = tokio::time::interval(self.poll);
        polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                Some(joined) = self.running.join_next() => {
                    let (partition, result) = ended_tenure(joined)?;
                    self.give_up(partition).await;
                    result?;
                }
                _ = polls.tick() => self.poll().await?,
            }
        }
    }

    async fn poll(&mut self) -> Result<(), E> {
        let stop = self.stop.clone();
        let Some(mut connection) = self.leases.connection(&stop).await else {
            return Ok(());
        };
        let polled = self.share_out(&mut connection).await;
        let Err(error) = polled else {
            self.leases.accepted();
            return Ok(());
        };
        let cause = match error {
            ShareError::Layout(error) => return Err(error.into()),
            ShareError::Redis(cause) => cause,
        };
        self.leases.refused(&cause);
        match retry::wait_out(&cause, &stop).await {
            Trouble::Reconnect => self.leases.reconnect(),
            Trouble::Stopped => {}
            Trouble::Lasting => return Err(OwnerError::Refused(cause).into()),
        }
        Ok(())
    }

    /// Keeps what is owned, takes what is missing, ends what is too much.
    async fn share_out(&mut self, connection: &mut Connection) -> Result<(), ShareError> {
        // First of all, and whatever became of others: on a cluster each is on a server of its own.
        let kept = self.keep(connection).await;
        let layout = self.layout(connection).await?;
        let collectors = self.leases.enrol(connection).await?;
        let all: Vec<_> = layout.partitions().all().collect();
        let share = match layout {
            // Whoever changes it needs every partition to himself.
            Layout::Changing(_) => 0,
            Layout::Unset | Layout::Set(_) | Layout::Draining(_) => {
                share(self.leases.me(), &collectors, all.len())
            }
        };
        let surplus = self
            .tenures
            .values()
            .filter(|t| !t.stop.is_cancelled())
            .skip(share);
        for tenure in surplus {
            tracing::info!(partition = %tenure.partition, "handed over");
            tenure.stop.cancel();
        }
        let mut failed = kept;
        for partition in all {
            if self.tenures.len() >= share {
                break;
            }
            if self.tenures.contains_key(&partition) {
                continue;
            }
            let keys = PartitionKeys::of(partition);
            match self.leases.take(connection, &keys).await {
                Ok(None) => {}
                Ok(Some(epoch)) => {
                    failpoint::pass("partition taken");
                    self.begin(partition, keys, epoch);
                }
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        if share == 0 && self.tenures.is_empty() {
            // Others own everything: ready to take over from them.
            self.stats.ready();
        }
        Ok(failed?)
    }

    /// Keeps what is owned; the first error.
    async fn keep(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut failed = Ok(());
        for tenure in self.tenures.values().filter(|t| !t.stop.is_cancelled()) {
            failpoint::pass("before lease kept");
            let kept = self
                .leases
                .keep(connection, &tenure.keys, tenure.epoch)
                .await;
            match kept {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(partition = %tenure.partition, "the lease is lost: another collector has it, or redis lost its data");
                    tenure.stop.cancel();
                }
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed
    }

    /// The layout, written where nobody has.
    async fn layout(&self, connection: &mut Connection) -> Result<Layout, ShareError> {
        let layout = Layout::read(connection).await?;
        if layout == Layout::Unset {
            let default = self.leases.default_partitions();
            let (wanted, found) = (self.wanted.unwrap_or(default), Partitions::PLAIN);
            if wanted == found && wanted != default {
                return Err(ShareError::Layout(OwnerError::NoPartitions));
            }
            if wanted != found && holds_readings(connection).await? {
                return Err(ShareError::Layout(OwnerError::Layout { wanted, found }));
            }
            let mut set = redis::cmd("HSETNX");
            set.arg(keys::LAYOUT)
                .arg("partitions")
                .arg(u16::from(wanted));
            set.exec_async(connection).await?;
            return Ok(Layout::read(connection).await?);
        }
        let found = layout.partitions();
        let wanted = self.wanted.unwrap_or(found);
        if wanted != found {
            return Err(ShareError::Layout(OwnerError::Layout { wanted, found }));
        }
        Ok(layout)
    }

    fn begin(&mut self, partition: PartitionId, keys: PartitionKeys, epoch: u64) {
        let tenure = Tenure {
            partition,
            keys,
            epoch,
            stop: self.stop.child_token(),
        };
        let run = (self.start)(tenure.clone());
        self.running.spawn(async move { (partition, run.await) });
        self.tenures.insert(partition, tenure);
    }

    /// A tenure has ended: another may have the partition.
    async fn give_up(&mut self, partition: PartitionId) {
        let Some(tenure) = self.tenures.remove(&partition) else {
            return;
        };
        self.stats.forget(partition);
        if let Some(mut connection) = self.leases.open() {
            let free = self.leases.free(&mut connection, &tenure.keys);
            said(tokio::time::timeout(GOODBYE, free).await);
        }
    }

    async fn leave(&mut self) {
        if let Some(mut connection) = self.leases.open() {
            let leave = self.leases.leave(&mut connection);
            said(tokio::time::timeout(GOODBYE, leave).await);
        }
    }
}

enum ShareError {
    Redis(RedisError),
    Layout(OwnerError),
}

impl From<RedisError> for ShareError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

fn ended_tenure<E: From<OwnerError>>(
    joined: Result<(PartitionId, Result<(), E>), JoinError>,
) -> Result<(PartitionId, Result<(), E>), E> {
    joined.map_err(|panic| OwnerError::Panicked(panic).into())
}

/// Whether a collector or a client has used the plain names.
async fn holds_readings(connection: &mut Connection) -> RedisResult<bool> {
    let plain = PartitionKeys::of(PartitionId::PLAIN);
    for key in [&plain.fence, &plain.raw] {
        let found: bool = redis::cmd("EXISTS")
            .arg(key)
            .query_async(connection)
            .await?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What cannot be said to Redis runs out by itself.
fn said(result: Result<RedisResult<()>, tokio::time::error::Elapsed>) {
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a lease is left to run out"),
        Err(_) => tracing::debug!("a lease is left to run out: no answer in time"),
    }
}
