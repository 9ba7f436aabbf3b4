//! A stream of records in Redis, read through a consumer group.
//!
//! At start, and whenever a read failed, what is already this consumer's comes first. A group that
//! does not exist begins at the end of the stream (nobody wants last year's alerts on the console);
//! one that has vanished goes on after the last record that was told.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::{Fields, Reason};
use rackwatch_runtime::redis::{self as reply, Connector, Purpose, RawEntry, Session};
use redis::Value;
use tokio_util::sync::CancellationToken;

use super::{Fed, Feed};
use crate::stage::StageError;

/// How long a read blocks.
const BLOCK: Duration = Duration::from_millis(1000);
/// Records of one read.
const MOST: usize = 100;

/// Reads a record out of an entry's fields.
type Decode<T> = fn(&Fields) -> Result<T, Reason>;

/// A reader of a stream of records.
#[derive(Debug)]
pub struct RedisFeed<T> {
    decode: Decode<T>,
    stream: String,
    stop: CancellationToken,
    reader: Session,
    commands: Session,
    group: String,
    consumer: &'static str,
    /// The last record that was told by this program.
    told: Option<StreamId>,
    group_made: bool,
    pending_first: bool,
}

impl<T> RedisFeed<T> {
    /// Reads a stream as `consumer` of `group`; `decode` understands its entries.
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
            told: None,
            group_made: false,
            pending_first: true,
        }
    }

    /// Runs `command`, waiting out what passes; none where the group is missing.
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

    /// Makes the group where it is missing, so that nothing is missed that is written from now on.
    ///
    /// # Errors
    ///
    /// When told to stop, or when Redis refuses for a reason that does not pass.
    pub async fn begin(&mut self) -> Result<(), StageError> {
        if self.group_made {
            return Ok(());
        }
        self.make_group().await
    }

    async fn make_group(&mut self) -> Result<(), StageError> {
        let at = match (self.told, self.group_made) {
            (Some(told), _) => told.to_string(),
            // The stream has vanished with its group: all that is there now is new.
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
        self.group_made = true;
        Ok(())
    }

    async fn read(&mut self, from: &str) -> Result<Vec<Fed<T>>, StageError> {
        loop {
            self.begin().await?;
            let mut command = redis::cmd("XREADGROUP");
            command
                .arg("GROUP")
                .arg(&self.group)
                .arg(self.consumer)
                .arg("COUNT")
                .arg(MOST);
            command.arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(&self.stream).arg(from);
            let Some(answer) = self.run(&command, true).await? else {
                tracing::warn!(
                    group = %self.group,
                    "consumer group has vanished, made again"
                );
                self.make_group().await?;
                continue;
            };
            let streams = reply::streams(answer).map_err(|error| StageError::Refused {
                what: format!("reply to a read of {} cannot be understood", self.stream),
                source: Box::new(error),
            })?;
            return Ok(streams
                .into_iter()
                .flat_map(|(_, entries)| entries)
                .map(|entry| fed(entry, self.decode))
                .collect());
        }
    }
}

fn fed<T>(raw: RawEntry, decode: Decode<T>) -> Fed<T> {
    let id = StreamId {
        ms: raw.id.0,
        seq: raw.id.1,
    };
    let record = match raw.fields {
        Some(fields) => decode(&fields).map_err(|reason| reason.to_string()),
        None => Err("it was trimmed before it was told".to_owned()),
    };
    Fed { id, record }
}

#[async_trait]
impl<T: Send> Feed for RedisFeed<T> {
    type Record = T;

    async fn next(&mut self) -> Result<Vec<Fed<T>>, StageError> {
        if self.pending_first {
            let pending = self.read("0").await?;
            self.pending_first = !pending.is_empty();
            if self.pending_first {
                return Ok(pending);
            }
        }
        self.read(">").await
    }

    async fn done(&mut self, ids: &[StreamId]) -> Result<(), StageError> {
        let Some(last) = ids.last() else {
            return Ok(());
        };
        let mut command = redis::cmd("XACK");
        command.arg(&self.stream).arg(&self.group);
        for id in ids {
            command.arg(id.to_string());
        }
        self.run(&command, false).await?;
        self.told = Some(*last);
        Ok(())
    }
}
