//! A stream of records in Redis, read through a consumer group.
//!
//! At start, and after a failed read, the entries that this consumer has pending come first. A missing group is created at
//! the end of the stream, since last year's alerts are of no use on the console. A group that vanished is created again
//! after the last record that was acknowledged.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::{Fields, Reason};
use rackwatch_runtime::redis::{self as reply, Connector, Purpose, RawEntry, Session};
use redis::Value;
use tokio_util::sync::CancellationToken;

use super::{Feed, FeedEntry};
use crate::claims::{self, NextLook};
use crate::stage::StageError;

/// Longest time that a read blocks: short enough for a quick stop.
const BLOCK: Duration = Duration::from_millis(1000);
/// Records of one read: bounds the time until the first is acknowledged.
const MAX_RECORDS: usize = 100;

/// A function that decodes the fields of an entry.
type Decode<T> = fn(&Fields) -> Result<T, Reason>;

/// A feed from a stream in Redis.
#[derive(Debug)]
pub struct RedisFeed<T> {
    decode: Decode<T>,
    stream: String,
    stop: CancellationToken,
    reader: Session,
    commands: Session,
    group: String,
    consumer: &'static str,
    /// The last record that this program acknowledged.
    acknowledged: Option<StreamId>,
    group_exists: bool,
    pending_first: bool,
    /// The next look for entries that another consumer has pending.
    claims: NextLook,
}

impl<T> RedisFeed<T> {
    /// Creates a feed that reads a stream as `consumer` of `group`.
    pub fn new(
        connector: Connector,
        (stream, decode): (String, Decode<T>),
        group: String,
        consumer: &'static str,
        stop: CancellationToken,
    ) -> Self {
        Self {
            decode,
            reader: Session::new(connector.clone(), Purpose::Blocking(BLOCK), stop.clone()),
            commands: Session::new(connector, Purpose::Commands, stop.clone()),
            stream,
            stop,
            group,
            consumer,
            acknowledged: None,
            group_exists: false,
            pending_first: true,
            claims: NextLook::default(),
        }
    }

    /// Repeats `command` until Redis answers it; none if the group is missing.
    async fn run(
        &mut self,
        command: &redis::Cmd,
        blocking: bool,
    ) -> Result<Option<Value>, StageError> {
        let what = || format!("Redis refused to read {} as {}", self.stream, self.group);
        let session = if blocking {
            &mut self.reader
        } else {
            &mut self.commands
        };
        loop {
            let connected = session.connection().await;
            let mut connection =
                connected.map_err(|error| StageError::of_request(what(), error))?;
            let answer = command.query_async(&mut connection);
            // An acknowledgement under way is worth its answer even while stopping.
            let answer = if blocking {
                let stopped = self.stop.run_until_cancelled(answer).await;
                stopped.ok_or(StageError::Stopped)?
            } else {
                answer.await
            };
            let error = match answer {
                Ok(value) => return Ok(Some(value)),
                Err(error) => error,
            };
            if reply::is_no_group(&error) {
                return Ok(None);
            }
            if reply::is_group_there(&error) {
                return Ok(Some(Value::Nil));
            }
            self.pending_first = true;
            let recovered = session.recover(&error).await;
            recovered.map_err(|error| StageError::of_request(what(), error))?;
        }
    }

    /// Creates the group if it is missing, so that no record written from now on is missed.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn begin(&mut self) -> Result<(), StageError> {
        if self.group_exists {
            return Ok(());
        }
        self.create_group().await
    }

    /// Removes the group if it exists: no collector reads it any more.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn remove(&mut self) -> Result<(), StageError> {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(&self.stream);
        let found = self.run(&exists, false).await?;
        // Redis refuses a group of a stream that does not exist.
        if found != Some(Value::Int(1)) {
            return Ok(());
        }
        let mut command = redis::cmd("XGROUP");
        command.arg("DESTROY").arg(&self.stream).arg(&self.group);
        self.run(&command, false).await.map(drop)
    }

    async fn create_group(&mut self) -> Result<(), StageError> {
        let at = match (self.acknowledged, self.group_exists) {
            (Some(id), _) => id.to_string(),
            // The stream vanished with its group, so all its entries are new.
            (None, true) => "0".to_owned(),
            (None, false) => "$".to_owned(),
        };
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.stream)
            .arg(&self.group)
            .arg(at)
            .arg("MKSTREAM");
        self.run(&command, false).await?;
        self.group_exists = true;
        Ok(())
    }

    /// Takes over what other consumers have pending, to be read first.
    async fn claim_from_others(&mut self) -> Result<(), StageError> {
        let what = || format!("Redis refused to read {} as {}", self.stream, self.group);
        loop {
            let connected = self.commands.connection().await;
            let mut connection =
                connected.map_err(|error| StageError::of_request(what(), error))?;
            let claimed =
                claims::take_over(&mut connection, &self.stream, &self.group, self.consumer).await;
            match claimed {
                Ok(claimed) => {
                    self.pending_first |= claimed > 0;
                    return Ok(());
                }
                Err(error) => {
                    let recovered = self.commands.recover(&error).await;
                    recovered.map_err(|error| StageError::of_request(what(), error))?;
                }
            }
        }
    }

    async fn read(&mut self, from: &str) -> Result<Vec<FeedEntry<T>>, StageError> {
        loop {
            self.begin().await?;
            let mut command = redis::cmd("XREADGROUP");
            command
                .arg("GROUP")
                .arg(&self.group)
                .arg(self.consumer)
                .arg("COUNT")
                .arg(MAX_RECORDS);
            command.arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(&self.stream).arg(from);
            let Some(answer) = self.run(&command, true).await? else {
                tracing::warn!(
                    group = %self.group,
                    "consumer group is gone, creating it again"
                );
                self.create_group().await?;
                continue;
            };
            let streams = reply::streams(answer).map_err(|error| StageError::Refused {
                what: format!("unexpected reply to a read of {}", self.stream),
                source: Box::new(error),
            })?;
            return Ok(streams
                .into_iter()
                .flat_map(|(_, entries)| entries)
                .map(|entry| feed_entry(entry, self.decode))
                .collect());
        }
    }
}

fn feed_entry<T>(raw: RawEntry, decode: Decode<T>) -> FeedEntry<T> {
    let id = StreamId {
        ms: raw.id.0,
        seq: raw.id.1,
    };
    let record = match raw.fields {
        Some(fields) => decode(&fields).map_err(|reason| reason.to_string()),
        None => Err("the entry was trimmed before it was read".to_owned()),
    };
    FeedEntry { id, record }
}

#[async_trait]
impl<T: Send> Feed for RedisFeed<T> {
    type Record = T;

    async fn next(&mut self) -> Result<Vec<FeedEntry<T>>, StageError> {
        if self.claims.take_due() {
            self.claim_from_others().await?;
        }
        if self.pending_first {
            let pending = self.read("0").await?;
            self.pending_first = !pending.is_empty();
            if self.pending_first {
                return Ok(pending);
            }
        }
        self.read(">").await
    }

    async fn acknowledge(&mut self, ids: &[StreamId]) -> Result<(), StageError> {
        let Some(last) = ids.last() else {
            return Ok(());
        };
        let mut command = redis::cmd("XACK");
        command.arg(&self.stream).arg(&self.group);
        for id in ids {
            command.arg(id.to_string());
        }
        self.run(&command, false).await?;
        self.acknowledged = Some(*last);
        Ok(())
    }
}
