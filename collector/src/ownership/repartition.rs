//! Repartitioning: changes the number of partitions without losing anything.
//!
//! Agents hold their readings back. Collectors finish what is in the streams and release their
//! partitions. Then detector state, open episodes, the loss ledger and past alerts are redistributed
//! by the zone of each device, and the new number holds. The old keys are renamed first, so that an
//! interrupted change can simply be run again.

mod redistribute;

use std::time::{Duration, Instant};

use rackwatch_core::keys::{self, PartitionKeys, SeriesKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Partitioning, entries};
use redis::{RedisResult, Value};
use tokio_util::sync::CancellationToken;

use super::zones::Zones;

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

/// Changes the number of partitions to `to`. Agents and collectors have `patience` to finish and to
/// release their partitions. After that `stop` no longer counts: the rest takes seconds, and half of
/// it would keep agents waiting.
pub(crate) async fn repartition(
    connection: &mut Connection,
    to: Partitions,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<MovedCounts, RepartitionError> {
    if to == Partitions::PLAIN && connection.series_keys() == SeriesKeys::Cluster {
        return Err(RepartitionError::NoPartitions);
    }
    let mut change = Repartition {
        zones: Zones::read(connection).await?,
        moved: MovedCounts::default(),
        connection: connection.clone(),
        to,
    };
    let found = Partitioning::read(connection).await?;
    let from = found.partitions();
    if !change.is_set_aside().await? {
        if !change.is_owned(from).await? && !change.is_drained(from).await? {
            return Err(RepartitionError::NoCollector);
        }
        change.set(from, "draining").await?;
        let made = stop
            .run_until_cancelled(change.wait_until_released(from, patience))
            .await;
        if let Err(error) = made.unwrap_or(Err(RepartitionError::Interrupted)) {
            change.set(from, "set").await?;
            return Err(error);
        }
        change.set_aside(from).await?;
    }
    change.redistribute(from).await?;
    change.set(to, "set").await?;
    change.delete_old(from).await?;
    change.move_stragglers(from).await?;
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
    /// Writes the partitioning with its state.
    async fn set(&mut self, partitions: Partitions, state: &str) -> RedisResult<()> {
        let mut set = redis::cmd("HSET");
        set.arg(keys::PARTITIONING)
            .arg("partitions")
            .arg(u16::from(partitions));
        set.arg("state").arg(state);
        set.exec_async(&mut self.connection).await
    }

    /// Returns whether an earlier try has renamed the old keys.
    async fn is_set_aside(&mut self) -> RedisResult<bool> {
        let mut ask = redis::cmd("HEXISTS");
        ask.arg(keys::PARTITIONING).arg("aside");
        ask.query_async(&mut self.connection).await
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

    /// Renames all keys to redistribute, and deletes the streams of readings, which are committed.
    async fn set_aside(&mut self, from: Partitions) -> RedisResult<()> {
        for keys in from.all().map(PartitionKeys::of) {
            for key in redistributed(&keys) {
                if self.exists(key).await? {
                    let mut rename = redis::cmd("RENAME");
                    rename.arg(key).arg(aside(key));
                    rename.exec_async(&mut self.connection).await?;
                }
            }
            self.delete(&keys.raw).await?;
        }
        let mut mark = redis::cmd("HSET");
        mark.arg(keys::PARTITIONING)
            .arg("aside")
            .arg(u16::from(from));
        mark.exec_async(&mut self.connection).await
    }

    /// Deletes the renamed keys.
    async fn delete_old(&mut self, from: Partitions) -> RedisResult<()> {
        for keys in from.all().map(PartitionKeys::of) {
            for key in redistributed(&keys) {
                self.delete(&aside(key)).await?;
            }
        }
        let mut unmark = redis::cmd("HDEL");
        unmark.arg(keys::PARTITIONING).arg("aside");
        unmark.exec_async(&mut self.connection).await
    }

    /// Moves entries that reached the old streams meanwhile, from a plain client or from an agent that
    /// had just read the partitioning.
    async fn move_stragglers(&mut self, from: Partitions) -> Result<(), RepartitionError> {
        let new: Vec<_> = self.to.all().collect();
        for partition in from.all().filter(|partition| !new.contains(partition)) {
            let old = PartitionKeys::of(partition).raw;
            let late: Value = redis::cmd("XRANGE")
                .arg(&old)
                .arg(&["-", "+"])
                .query_async(&mut self.connection)
                .await?;
            for entry in entries(late)? {
                let fields = entry.fields.unwrap_or_default();
                let stream = PartitionKeys::of(self.zones.of_entry(self.to, &fields)).raw;
                let mut add = redis::cmd("XADD");
                add.arg(stream).arg("*").arg(fields);
                add.exec_async(&mut self.connection).await?;
            }
            self.delete(&old).await?;
            // A group created meanwhile made the stream of alerts again. It is empty: no owner writes there.
            self.delete(&PartitionKeys::of(partition).alerts).await?;
        }
        Ok(())
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
