//! Repartitioning: changes the number of partitions without losing anything.
//!
//! Agents hold their readings back. Collectors finish what is in the streams and release their
//! partitions. Then a plan is written (`plan`), the old keys are renamed (`set_aside`), and detector
//! state, open episodes, the loss ledger, requests to resolve alerts, and past alerts with the groups that read them are
//! redistributed by the zone of each device.
//! The new number holds from one write on; the renamed keys are deleted after it. Each step can be
//! repeated, and the plan says which is next, so that a change that was killed anywhere is simply run
//! again.

mod groups;
mod plan;
mod redistribute;
mod set_aside;
mod stragglers;

use std::time::{Duration, Instant};

use rackwatch_core::keys::{self, PartitionKeys, SeriesKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Partitioning, entries};
use redis::{RedisResult, Value};
use tokio_util::sync::CancellationToken;

use self::plan::{Plan, Step};
use super::zones::Zones;
use crate::failpoint;

/// Interval at which to check whether agents and collectors are ready.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Time for which the streams must stay drained. An agent that publishes at longer intervals finds
/// its stream gone, and sends its readings again.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// The reason why the partitioning was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepartitionError {
    /// The program was stopped before anything was moved.
    #[error("interrupted: the partitioning is unchanged")]
    Interrupted,
    /// Agents or collectors were not ready in time.
    #[error("{what} for {}: the partitioning is unchanged", humantime::format_duration(*waited))]
    TimedOut {
        /// The condition that held too long.
        what: &'static str,
        /// Time for which it held.
        waited: Duration,
    },
    /// Entries wait, and no collector processes them.
    #[error(
        "no collector is running, and entries wait in the streams: start one, then run this again"
    )]
    NoCollector,
    /// A cluster without partitions.
    #[error("Redis Cluster needs partitions: give a number from 1")]
    NoPartitions,
    /// A key was written while nothing may write it.
    #[error(
        "{key} was written although partitions are being resized: stop the program that writes it, look at {key} and \
         {key}:aside, delete the wrong one, and run this again"
    )]
    InTheWay {
        /// The key that would replace the one that is aside.
        key: String,
    },
    /// Redis failed on the way.
    #[error("cannot change the partitioning: run it again when Redis is well, nothing is lost")]
    Redis(#[from] redis::RedisError),
    /// Redis sent a malformed reply.
    #[error("cannot change the partitioning: unexpected reply of Redis")]
    Reply(#[from] rackwatch_runtime::redis::ReplyError),
}

/// Counts of what was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct MovedCounts {
    /// Slices of detector state.
    pub slices: usize,
    /// Open episodes of all devices.
    pub episodes: usize,
    /// Agents in the loss ledger.
    pub agents: usize,
    /// Past records: alerts, losses and dead letters.
    pub alerts: usize,
}

/// Changes the number of partitions to `to`, after a change that was interrupted is finished. Agents and
/// collectors have `patience` to finish and to release their partitions. After that `stop` no longer
/// counts: the rest takes seconds, and half of it would keep agents waiting.
pub(crate) async fn repartition(
    connection: &mut Connection,
    to: Partitions,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<MovedCounts, RepartitionError> {
    if to == Partitions::PLAIN && connection.series_keys() == SeriesKeys::Cluster {
        return Err(RepartitionError::NoPartitions);
    }
    let mut moved = MovedCounts::default();
    if let Some(plan) = Plan::read(connection).await? {
        tracing::info!(from = %plan.from, to = %plan.to, "finishing a resize that was interrupted");
        let mut change = Repartition::new(connection, plan.to).await?;
        change.finish(plan).await?;
        moved = change.moved;
    }
    let found = Partitioning::read(connection).await?;
    if found == Partitioning::Set(to) {
        return Ok(moved);
    }
    let mut change = Repartition::new(connection, to).await?;
    let plan = change.prepare(found, patience, stop).await?;
    change.finish(plan).await?;
    Ok(change.moved)
}

#[derive(Debug)]
struct Repartition {
    connection: Connection,
    zones: Zones,
    to: Partitions,
    moved: MovedCounts,
}

impl Repartition {
    async fn new(connection: &Connection, to: Partitions) -> RedisResult<Self> {
        let mut connection = connection.clone();
        Ok(Self {
            zones: Zones::read(&mut connection).await?,
            moved: MovedCounts::default(),
            connection,
            to,
        })
    }

    /// Waits until nothing is left to read and no partition has an owner, and writes the plan.
    async fn prepare(
        &mut self,
        found: Partitioning,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<Plan, RepartitionError> {
        let from = found.partitions();
        // After a kill in this phase collectors may have released everything: they take it again.
        let was_begun = matches!(found, Partitioning::Draining(_) | Partitioning::Changing(_));
        if !was_begun && !self.is_owned(from).await? && !self.is_drained(from).await? {
            return Err(RepartitionError::NoCollector);
        }
        self.set(from, "draining").await?;
        failpoint::pass("resize draining");
        let made = stop
            .run_until_cancelled(self.wait_until_released(from, patience))
            .await;
        if let Err(error) = made.unwrap_or(Err(RepartitionError::Interrupted)) {
            self.set(from, "set").await?;
            return Err(error);
        }
        failpoint::pass("resize released");
        let to = self.to;
        let step = Step::SetAside;
        let plan = Plan { from, to, step };
        plan.write(&mut self.connection).await?;
        failpoint::pass("resize planned");
        Ok(plan)
    }

    /// Does what is left of a plan.
    async fn finish(&mut self, mut plan: Plan) -> Result<(), RepartitionError> {
        let from = plan.from;
        if plan.step == Step::SetAside {
            self.set_aside(from).await?;
            plan.step = Step::Redistribute;
            plan.write(&mut self.connection).await?;
            failpoint::pass("resize set aside");
        }
        if plan.step == Step::Redistribute {
            self.trim_committed(from).await?;
            failpoint::pass("resize trimmed");
            self.redistribute(from).await?;
            failpoint::pass("resize redistributed");
            self.move_stragglers(from).await?;
            plan.step = Step::CleanUp;
            plan.write(&mut self.connection).await?;
            failpoint::pass("resize switched");
        }
        for keys in from.all().map(PartitionKeys::of) {
            for key in redistributed(&keys) {
                self.delete(&aside(key)).await?;
                failpoint::pass("resize old key deleted");
            }
        }
        self.move_late_entries(from).await?;
        Ok(Plan::remove(&mut self.connection).await?)
    }

    /// Writes the partitioning with its state.
    async fn set(&mut self, partitions: Partitions, state: &str) -> RedisResult<()> {
        let mut set = redis::cmd("HSET");
        set.arg(keys::PARTITIONING)
            .arg("partitions")
            .arg(u16::from(partitions));
        set.arg("state").arg(state);
        set.exec_async(&mut self.connection).await
    }

    /// Waits until collectors have finished and released their partitions.
    async fn wait_until_released(
        &mut self,
        from: Partitions,
        patience: Duration,
    ) -> Result<(), RepartitionError> {
        let began = Instant::now();
        let mut drained_since = Instant::now();
        while drained_since.elapsed() < DRAINED_FOR {
            if !self.is_drained(from).await? {
                drained_since = Instant::now();
            }
            let what = "collectors have not finished reading the streams";
            wait(began, patience, what).await?;
        }
        self.set(from, "changing").await?;
        let began = Instant::now();
        while self.is_owned(from).await? {
            wait(
                began,
                patience,
                "collectors have not released their partitions",
            )
            .await?;
        }
        if !self.is_drained(from).await? {
            return Err(RepartitionError::TimedOut {
                what: "a client keeps writing to the old streams",
                waited: began.elapsed(),
            });
        }
        Ok(())
    }

    /// Returns whether every entry of the old streams is committed.
    async fn is_drained(&mut self, from: Partitions) -> RedisResult<bool> {
        for keys in from.all().map(PartitionKeys::of) {
            let newest: Value = redis::cmd("XREVRANGE")
                .arg(&keys.raw)
                .arg(&["+", "-", "COUNT", "1"])
                .query_async(&mut self.connection)
                .await?;
            let newest = entries(newest).unwrap_or_default();
            let Some(newest) = newest.first() else {
                continue;
            };
            let done: Option<String> = redis::cmd("HGET")
                .arg(&keys.fence)
                .arg("done")
                .query_async(&mut self.connection)
                .await?;
            let (ms, seq) = newest.id;
            if done.as_deref() != Some(&format!("{ms}-{seq}")) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether any partition has an owner.
    async fn is_owned(&mut self, from: Partitions) -> RedisResult<bool> {
        for keys in from.all().map(PartitionKeys::of) {
            if self.exists(&keys.lease).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn exists(&mut self, key: &str) -> RedisResult<bool> {
        redis::cmd("EXISTS")
            .arg(key)
            .query_async(&mut self.connection)
            .await
    }

    async fn delete(&mut self, key: &str) -> RedisResult<()> {
        redis::cmd("UNLINK")
            .arg(key)
            .exec_async(&mut self.connection)
            .await
    }
}

/// Returns the keys to redistribute: all except the readings.
fn redistributed(keys: &PartitionKeys) -> [&String; 10] {
    [
        &keys.fence,
        &keys.snapshot,
        &keys.episodes,
        &keys.loss_ledger,
        &keys.clocks,
        &keys.tally,
        &keys.resolutions,
        &keys.alerts,
        &keys.losses,
        &keys.dead,
    ]
}

/// Returns the name under which a key is set aside: in the same slot of a cluster.
fn aside(key: &str) -> String {
    format!("{key}:aside")
}

/// Waits until the next check; fails after `patience`.
async fn wait(
    began: Instant,
    patience: Duration,
    what: &'static str,
) -> Result<(), RepartitionError> {
    let waited = began.elapsed();
    if waited > patience {
        let waited = Duration::from_secs(waited.as_secs());
        return Err(RepartitionError::TimedOut { what, waited });
    }
    tokio::time::sleep(CHECK_INTERVAL).await;
    Ok(())
}
