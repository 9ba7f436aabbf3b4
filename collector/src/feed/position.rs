//! A stream of records in Redis, read from a position that Redis keeps for each reader.
//!
//! Several readers share one consumer group, which shows people how far the last of them is behind. They do not read
//! through it: a reader that gets stuck would keep entries from the others. A reader without a position starts at the
//! end of the stream, since old incidents are of no use in a chat.
//!
//! A position only moves past an entry that is acknowledged, and all before it. What lies behind it comes again after a
//! restart, and at no other time.
//!
//! A reader whose hash was damaged or deleted goes on from the group, which never moves past a reader whose position is
//! unknown. An error about that hash is [`StageError::Damaged`]; the same call may be repeated once the hash is mended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::{Fields, Reason};
use rackwatch_runtime::redis::{
    self as reply, Connection, Connector, Purpose, Remedy, Session, is_group_there, remedy,
    unless_refused,
};
use redis::{ErrorKind, RedisResult, Script, Value};
use tokio_util::sync::CancellationToken;

use super::damage::{POSITION, damage, position};
use super::{Feed, FeedEntry};
use crate::stage::StageError;
use crate::waiting::{find_group, last_delivered};

/// Longest time that a read blocks: short enough for a quick stop.
const BLOCK: Duration = Duration::from_millis(1000);
/// Records of one read: bounds the memory of a reader that is far behind.
const MAX_RECORDS: usize = 100;
/// Interval at which an idle reader makes sure that the group exists.
const GROUP_INTERVAL: Duration = Duration::from_secs(30);

/// A function that decodes the fields of an entry.
type Decode<T> = fn(&Fields) -> Result<T, Reason>;

/// The names of a reader in Redis.
#[derive(Clone, Debug)]
pub struct ReaderKeys {
    /// The group that shows the progress.
    pub group: String,
    /// The consumer of the group.
    pub consumer: &'static str,
    /// The hash of the reader, which has the position in the field `position`.
    pub progress: String,
    /// The hashes of the other readers of the group.
    pub others: Vec<String>,
    /// The position of the group before any of its readers was opened: a reader without a position of its own goes on
    /// there.
    pub group_position: Option<StreamId>,
}

/// A feed from a stream in Redis, for one reader.
#[derive(Debug)]
pub struct PositionFeed<T> {
    stream: String,
    decode: Decode<T>,
    names: ReaderKeys,
    stop: CancellationToken,
    reader: Session,
    commands: Session,
    script: Script,
    /// The last entry that was read.
    read: StreamId,
    /// The last entry that is acknowledged with all before it.
    position: StreamId,
    /// The position that Redis has.
    stored: Option<StreamId>,
    /// The position of the group, if the reader had none of its own.
    lost_progress_at: Option<StreamId>,
    /// Entries after the position that were read, and whether they are acknowledged.
    unfinished: BTreeMap<StreamId, bool>,
    looked_at_group: Instant,
}

impl<T> PositionFeed<T> {
    /// Opens a feed at the stored position, or at the end of the stream. No record that is written from now on is
    /// missed.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn open(
        connector: Connector,
        (stream, decode): (String, Decode<T>),
        names: ReaderKeys,
        stop: CancellationToken,
    ) -> Result<Self, StageError> {
        let mut feed = Self {
            reader: Session::new(connector.clone(), Purpose::Blocking(BLOCK), stop.clone()),
            commands: Session::new(connector, Purpose::Commands, stop.clone()),
            script: Script::new(include_str!("position.lua")),
            stream,
            decode,
            names,
            stop,
            read: StreamId::ZERO,
            position: StreamId::ZERO,
            stored: None,
            lost_progress_at: None,
            unfinished: BTreeMap::new(),
            looked_at_group: Instant::now(),
        };
        let start = feed.start().await?;
        (feed.read, feed.position) = (start, start);
        feed.store_position().await?;
        Ok(feed)
    }

    /// Returns the position of the group if the progress of the reader was lost, so that it goes on there.
    pub fn lost_progress_at(&self) -> Option<StreamId> {
        self.lost_progress_at
    }

    /// Returns the stored position, that of the group, or the end of the stream.
    async fn start(&mut self) -> Result<StreamId, StageError> {
        loop {
            let mut connection = self.connection().await?;
            match starting_point(&mut connection, &self.stream, &self.names.progress).await {
                Ok((Some(stored), _)) => return Ok(stored),
                Ok((None, end)) => {
                    self.lost_progress_at = self.names.group_position;
                    return Ok(self.names.group_position.unwrap_or(end));
                }
                Err(error) => self.recover(&error).await?,
            }
        }
    }

    async fn connection(&mut self) -> Result<Connection, StageError> {
        let connected = self.commands.connection().await;
        connected.map_err(|error| StageError::of_request(refusal(&self.stream, &self.names), error))
    }

    async fn recover(&mut self, error: &redis::RedisError) -> Result<(), StageError> {
        self.check_damage(error).await?;
        let recovered = self.commands.recover(error).await;
        recovered.map_err(|error| StageError::of_request(refusal(&self.stream, &self.names), error))
    }

    /// Fails if the hash of the reader is the reason for `error`.
    async fn check_damage(&mut self, error: &redis::RedisError) -> Result<(), StageError> {
        if remedy(error) != Remedy::Fatal {
            return Ok(());
        }
        let mut connection = self.connection().await?;
        match damage(&mut connection, &self.names.progress).await {
            Ok(Some(line)) => Err(StageError::Damaged { line }),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Writes the position, and moves or creates the group.
    async fn store_position(&mut self) -> Result<(), StageError> {
        self.looked_at_group = Instant::now();
        loop {
            let mut connection = self.connection().await?;
            let mut call = self.script.prepare_invoke();
            call.key(&self.stream).key(&self.names.progress);
            for other in &self.names.others {
                call.key(other);
            }
            call.arg(&self.names.group).arg(self.position.to_string());
            call.arg(self.names.consumer);
            let done: RedisResult<String> = call.invoke_async(&mut connection).await;
            match done {
                Ok(_) => {
                    self.stored = Some(self.position);
                    return Ok(());
                }
                Err(error) => self.recover(&error).await?,
            }
        }
    }

    /// Reads the entries after the last one; none if nothing came for a while.
    async fn read(&mut self) -> Result<Value, StageError> {
        let refused = || refusal(&self.stream, &self.names);
        loop {
            let connected = self.reader.connection().await;
            let mut connection =
                connected.map_err(|error| StageError::of_request(refused(), error))?;
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(MAX_RECORDS);
            command.arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(&self.stream);
            command.arg(self.read.to_string());
            let reading = command.query_async(&mut connection);
            let answer = self.stop.run_until_cancelled(reading).await;
            match answer.ok_or(StageError::Stopped)? {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let recovered = self.reader.recover(&error).await;
                    recovered.map_err(|error| StageError::of_request(refused(), error))?;
                }
            }
        }
    }
}

/// Returns the operation that failed.
fn refusal(stream: &str, names: &ReaderKeys) -> String {
    format!("Redis refused to read {stream} for {}", names.group)
}

/// Returns the stored position of a reader, and the end of the stream.
async fn starting_point(
    connection: &mut Connection,
    stream: &str,
    progress: &str,
) -> RedisResult<(Option<StreamId>, StreamId)> {
    let mut command = redis::cmd("HGET");
    command.arg(progress).arg(POSITION);
    let stored: Option<Vec<u8>> = command.query_async(connection).await?;
    let end = end(connection, stream).await?;
    let Some(stored) = stored else {
        return Ok((None, end));
    };
    let Some(stored) = position(&stored) else {
        return Err((ErrorKind::Client, "position is no id").into());
    };
    if stored > end {
        // No entry has such an id: Redis lost the entries, or the position is garbage. New entries must not wait for it.
        let mut command = redis::cmd("HSET");
        command.arg(progress).arg(POSITION).arg(end.to_string());
        command.exec_async(connection).await?;
    }
    Ok((Some(stored.min(end)), end))
}

/// Returns the id of the last entry that the stream had.
async fn end(connection: &mut Connection, stream: &str) -> RedisResult<StreamId> {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(stream);
    // Without the stream there is nothing to skip.
    let info: Option<BTreeMap<String, Value>> =
        unless_refused(command.query_async(connection).await)?;
    let end = info.and_then(|info| reply::reply_field::<String>(&info, "last-generated-id"));
    Ok(end
        .and_then(|text| text.parse().ok())
        .unwrap_or(StreamId::ZERO))
}

/// Returns the position of the consumer group `group`, if it exists.
///
/// # Errors
///
/// Fails on a stop, and if Redis refuses for a lasting reason.
pub(crate) async fn group_position(
    session: &mut Session,
    (stream, group): (&str, &str),
) -> Result<Option<StreamId>, StageError> {
    position_of_group(session, (stream, group), false).await
}

/// Returns the position of the consumer group `group`, created at the end of the stream if it is missing.
///
/// # Errors
///
/// Fails on a stop, and if Redis refuses for a lasting reason.
pub(crate) async fn ensure_group(
    session: &mut Session,
    (stream, group): (&str, &str),
) -> Result<Option<StreamId>, StageError> {
    position_of_group(session, (stream, group), true).await
}

async fn position_of_group(
    session: &mut Session,
    (stream, group): (&str, &str),
    create: bool,
) -> Result<Option<StreamId>, StageError> {
    let what = || format!("Redis refused to read {stream} for {group}");
    loop {
        let connected = session.connection().await;
        let mut connection = connected.map_err(|error| StageError::of_request(what(), error))?;
        match find_or_create(&mut connection, (stream, group), create).await {
            Ok(position) => return Ok(position),
            Err(error) => {
                let recovered = session.recover(&error).await;
                recovered.map_err(|error| StageError::of_request(what(), error))?;
            }
        }
    }
}

async fn find_or_create(
    connection: &mut Connection,
    (stream, group): (&str, &str),
    create: bool,
) -> RedisResult<Option<StreamId>> {
    let found = find_group(connection, stream, group).await?;
    if let Some(position) = found.as_ref().and_then(last_delivered) {
        return Ok(Some(position));
    }
    if !create {
        return Ok(None);
    }
    let end = end(connection, stream).await?;
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(stream).arg(group);
    command.arg(end.to_string()).arg("MKSTREAM");
    match command.exec_async(connection).await {
        Err(error) if !is_group_there(&error) => Err(error),
        _ => Ok(Some(end)),
    }
}

#[async_trait]
impl<T: Send> Feed for PositionFeed<T> {
    type Record = T;

    async fn next(&mut self) -> Result<Vec<FeedEntry<T>>, StageError> {
        let answer = self.read().await?;
        let streams = reply::streams(answer).map_err(|error| StageError::Refused {
            what: format!("unexpected reply to a read of {}", self.stream),
            source: Box::new(error),
        })?;
        let mut fed = Vec::new();
        for raw in streams.into_iter().flat_map(|(_, entries)| entries) {
            let (ms, seq) = raw.id;
            let id = StreamId { ms, seq };
            self.read = id;
            self.unfinished.insert(id, false);
            let record = match raw.fields {
                Some(fields) => (self.decode)(&fields).map_err(|reason| reason.to_string()),
                None => Err("the entry was trimmed before it was read".to_owned()),
            };
            fed.push(FeedEntry { id, record });
        }
        if fed.is_empty() && self.looked_at_group.elapsed() >= GROUP_INTERVAL {
            self.store_position().await?;
        }
        Ok(fed)
    }

    async fn acknowledge(&mut self, ids: &[StreamId]) -> Result<(), StageError> {
        for id in ids {
            if let Some(is_done) = self.unfinished.get_mut(id) {
                *is_done = true;
            }
        }
        while let Some(first) = self.unfinished.first_entry()
            && *first.get()
        {
            self.position = *first.key();
            first.remove();
        }
        if self.stored == Some(self.position) {
            return Ok(());
        }
        self.store_position().await
    }
}
