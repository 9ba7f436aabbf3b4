//! Changing the layout: from one number of partitions to another, and nothing lost.
//!
//! Agents hold their readings back; collectors finish what is in the streams and give their
//! partitions up; then detector state, open episodes, the ledger and the alerts that were written are
//! dealt out anew by the zone of each device, and the new layout holds. What was there is put aside
//! under other names first, so that a change that was interrupted is simply begun again.

mod deal;
mod zones;

use std::time::{Duration, Instant};

use rackwatch_core::keys::{self, PartitionKeys, SeriesKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Layout, entries};
use redis::{RedisResult, Value};
use tokio_util::sync::CancellationToken;

use zones::Zones;

/// How often to look whether others are ready.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// An agent that writes at longer intervals than this finds its stream gone, and sends again.
const QUIET: Duration = Duration::from_secs(2);

/// The layout cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Told to stop while there was nothing to lose by it.
    #[error("interrupted: the layout is as it was")]
    Interrupted,
    /// Collectors do not finish or do not let go.
    #[error("{what} for {}: the layout is as it was", humantime::format_duration(*waited))]
    Waited {
        /// What did not happen.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The plain names on a cluster.
    #[error("Redis Cluster needs partitions: give a number from 1")]
    NoPartitions,
    /// Redis.
    #[error("cannot change the layout: begin it again when Redis is well, nothing is lost")]
    Redis(#[from] redis::RedisError),
    /// A reply that is none.
    #[error("cannot change the layout: Redis says what nobody understands")]
    Reply(#[from] rackwatch_runtime::redis::ReplyError),
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Slices of detector state.
    pub slices: usize,
    /// Open episodes.
    pub episodes: usize,
    /// Agents in the ledger.
    pub agents: usize,
    /// Records that were written: alerts, losses and dead letters.
    pub alerts: usize,
}

/// Changes the layout to `to`; others have `patience` to finish and to let go. Once they have, `stop`
/// is no longer listened to: the rest takes seconds, and half of it would keep agents waiting.
pub async fn migrate(
    connection: &mut Connection,
    to: Partitions,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<Moved, MigrationError> {
    if to == Partitions::PLAIN && connection.series_keys() == SeriesKeys::Cluster {
        return Err(MigrationError::NoPartitions);
    }
    let mut migration = Migration {
        zones: Zones::read(connection).await?,
        moved: Moved::default(),
        connection: connection.clone(),
        to,
    };
    let found = Layout::read(connection).await?;
    let from = found.partitions();
    if !migration.put_aside_before().await? {
        migration.set(from, "draining").await?;
        let made = stop
            .run_until_cancelled(migration.make_way(from, patience))
            .await;
        if let Err(error) = made.unwrap_or(Err(MigrationError::Interrupted)) {
            migration.set(from, "set").await?;
            return Err(error);
        }
        migration.put_aside(from).await?;
    }
    migration.deal(from).await?;
    migration.set(to, "set").await?;
    migration.forget_old(from).await?;
    migration.stragglers(from).await?;
    Ok(migration.moved)
}

#[derive(Debug)]
struct Migration {
    connection: Connection,
    zones: Zones,
    to: Partitions,
    moved: Moved,
}

impl Migration {
    async fn set(&mut self, partitions: Partitions, state: &str) -> RedisResult<()> {
        let mut set = redis::cmd("HSET");
        set.arg(keys::LAYOUT)
            .arg("partitions")
            .arg(u16::from(partitions));
        set.arg("state").arg(state);
        set.exec_async(&mut self.connection).await
    }

    /// Whether an earlier try got so far that what was there is put aside.
    async fn put_aside_before(&mut self) -> RedisResult<bool> {
        let mut ask = redis::cmd("HEXISTS");
        ask.arg(keys::LAYOUT).arg("aside");
        ask.query_async(&mut self.connection).await
    }

    /// Waits until collectors have finished and let go.
    async fn make_way(
        &mut self,
        from: Partitions,
        patience: Duration,
    ) -> Result<(), MigrationError> {
        let began = Instant::now();
        let mut quiet = Instant::now();
        while quiet.elapsed() < QUIET {
            if !self.is_drained(from).await? {
                quiet = Instant::now();
            }
            let what = "collectors have not finished what is in the streams";
            wait(began, patience, what).await?;
        }
        self.set(from, "changing").await?;
        let began = Instant::now();
        while self.is_owned(from).await? {
            wait(
                began,
                patience,
                "collectors have not let go of their partitions",
            )
            .await?;
        }
        if !self.is_drained(from).await? {
            return Err(MigrationError::Waited {
                what: "somebody goes on writing to the old streams",
                waited: began.elapsed(),
            });
        }
        Ok(())
    }

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

    /// Gives all that is to be dealt out another name; the streams of readings are done and go.
    async fn put_aside(&mut self, from: Partitions) -> RedisResult<()> {
        for keys in from.all().map(PartitionKeys::of) {
            for key in dealt(&keys) {
                if self.exists(key).await? {
                    let mut rename = redis::cmd("RENAME");
                    rename.arg(key).arg(aside(key));
                    rename.exec_async(&mut self.connection).await?;
                }
            }
            self.delete(&keys.raw).await?;
        }
        let mut told = redis::cmd("HSET");
        told.arg(keys::LAYOUT).arg("aside").arg(u16::from(from));
        told.exec_async(&mut self.connection).await
    }

    async fn forget_old(&mut self, from: Partitions) -> RedisResult<()> {
        for keys in from.all().map(PartitionKeys::of) {
            for key in dealt(&keys) {
                self.delete(&aside(key)).await?;
            }
        }
        let mut done = redis::cmd("HDEL");
        done.arg(keys::LAYOUT).arg("aside");
        done.exec_async(&mut self.connection).await
    }

    /// Moves what came to the old streams all the same: by an agent that had just asked for the
    /// layout, or by a plain client.
    async fn stragglers(&mut self, from: Partitions) -> Result<(), MigrationError> {
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
        }
        Ok(())
    }
}

/// What is dealt out, but for the readings.
fn dealt(keys: &PartitionKeys) -> [&String; 7] {
    [
        &keys.fence,
        &keys.snapshot,
        &keys.episodes,
        &keys.ledger,
        &keys.alerts,
        &keys.losses,
        &keys.dead,
    ]
}

/// The name under which a key is put aside: in the same slot of a cluster.
fn aside(key: &str) -> String {
    format!("{key}:aside")
}

async fn wait(
    began: Instant,
    patience: Duration,
    what: &'static str,
) -> Result<(), MigrationError> {
    let waited = began.elapsed();
    if waited > patience {
        let waited = Duration::from_secs(waited.as_secs());
        return Err(MigrationError::Waited { what, waited });
    }
    tokio::time::sleep(LOOK_EVERY).await;
    Ok(())
}
