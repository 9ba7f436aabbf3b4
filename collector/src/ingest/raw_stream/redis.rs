//! The raw stream in Redis, read through the consumer group.
//!
//! One connection of its own for the blocking read, another for everything else. Whenever a read
//! failed, and at start, the entries that are already this consumer's come first: a request that
//! timed out here may have been served there. A group or stream that has vanished is made again at
//! the last position known to be done.
//!
//! Transient trouble (Redis away, loading, read-only, out of memory) is waited out here, for as
//! long as it takes; the partition never sees it.

mod resume;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use rackwatch_core::engine::{InventoryChange, InventoryPlace, Slice};
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire;
use rackwatch_runtime::redis::{self as reply, Connection, Connector, Purpose, RawEntry};
use redis::Value;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::script::{self, Answer, Fence};
use super::{Batch, Commit, Entry, Log, LogError, Restore, Resume, SliceNumber};
use crate::config::StreamConfig;
use crate::ownership::owner::Tenure;
use crate::retry::{self, Trouble};

/// How long a read blocks: short enough that a stop is quick, long enough to cost nothing.
const BLOCK: Duration = Duration::from_millis(1000);
/// What racks come to is believed for so long.
const RACKS_LAST: Duration = Duration::from_mins(3);
/// Entries of the first read, before it is known how many readings an entry has: each may have
/// thousands.
const FIRST_ENTRIES: usize = 16;
/// Most entries of one read.
const MOST_ENTRIES: usize = 1000;
/// A batch is to have about so many readings, however many an entry has: it bounds memory and the
/// time a commit takes.
const READINGS_A_BATCH: usize = 5_000;

/// The raw stream.
#[derive(Debug)]
pub struct RedisLog {
    connector: Connector,
    keys: PartitionKeys,
    block: Duration,
    stop: CancellationToken,
    reader: Option<Connection>,
    commands: Option<Connection>,
    commit: redis::Script,
    fence: Fence,
    /// The last entry that was committed.
    done: StreamId,
    /// The oldest position that the saved slices stand for.
    saved: StreamId,
    /// Readings further ahead of their entries than this are rejected.
    max_future: Duration,
    /// Entries younger than this are kept for people to look at.
    keep: Duration,
    /// Read what is pending before what is new.
    pending_first: bool,
    /// How long the last read found nothing.
    waited: Duration,
    /// Entries to ask for, so that a batch has [`READINGS_A_BATCH`].
    count: usize,
    directory: Directory,
    /// What the directory has said so far was for warming up: the series have not heard it.
    warming: bool,
}

impl RedisLog {
    /// Reads the raw stream of `tenure`, for a part of `lease` at a time: a paused owner should not
    /// take entries long after it.
    pub fn new(
        connector: Connector,
        tenure: &Tenure,
        stream: &StreamConfig,
        lease: Duration,
    ) -> Self {
        Self {
            connector,
            keys: tenure.keys.clone(),
            block: BLOCK.min(lease / 4),
            stop: tenure.stop.clone(),
            reader: None,
            commands: None,
            commit: script::script(),
            fence: Fence {
                epoch: tenure.epoch,
                commit: 0,
            },
            done: StreamId::ZERO,
            saved: StreamId::ZERO,
            keep: stream.keep,
            max_future: stream.max_future,
            pending_first: true,
            waited: Duration::ZERO,
            count: FIRST_ENTRIES,
            directory: Directory::default(),
            warming: false,
        }
    }

    async fn commands(&mut self) -> Result<Connection, LogError> {
        retry::connection(
            &mut self.commands,
            &self.connector,
            Purpose::Commands,
            &self.stop,
        )
        .await
        .ok_or(LogError::Stopped)
    }

    /// After an error of `commands`: waits as the trouble asks for, or gives up.
    async fn wait_out(&mut self, error: redis::RedisError, what: &str) -> Result<(), LogError> {
        match retry::wait_out(&error, &self.stop).await {
            Trouble::Reconnect => self.commands = None,
            Trouble::Stopped => return Err(LogError::Stopped),
            Trouble::Lasting => return Err(self.refused(what, error)),
        }
        Ok(())
    }

    /// A consumer group, made where it is missing.
    async fn make_group(&mut self, stream: &str, group: &str, at: &str) -> Result<(), LogError> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(stream)
            .arg(group)
            .arg(at)
            .arg("MKSTREAM");
        loop {
            let mut connection = self.commands().await?;
            let made = command.exec_async(&mut connection).await;
            match made {
                Ok(()) => return Ok(()),
                Err(error) if reply::is_group_there(&error) => return Ok(()),
                Err(error) => self.wait_out(error, "make the consumer group").await?,
            }
        }
    }

    async fn read(&mut self, from: &str) -> Result<Vec<RawEntry>, LogError> {
        loop {
            let purpose = Purpose::Blocking(self.block);
            let reader =
                retry::connection(&mut self.reader, &self.connector, purpose, &self.stop).await;
            let mut reader = reader.ok_or(LogError::Stopped)?;
            let mut command = redis::cmd("XREADGROUP");
            command
                .arg("GROUP")
                .arg(keys::DETECTOR_GROUP)
                .arg(keys::DETECTOR_CONSUMER);
            command
                .arg("COUNT")
                .arg(self.count)
                .arg("BLOCK")
                .arg(self.block.as_millis().to_string());
            command.arg("STREAMS").arg(&self.keys.raw).arg(from);
            // Dropping the read when told to stop is safe: what Redis hands out meanwhile stays
            // pending, and comes first at the next start.
            let began = Instant::now();
            let read = self
                .stop
                .run_until_cancelled(command.query_async::<Value>(&mut reader));
            let Some(read) = read.await else {
                return Err(LogError::Stopped);
            };
            match read {
                Ok(reply) => {
                    let streams = reply::streams(reply).map_err(|e| self.refused("read", e))?;
                    // Nothing at all, and from an end that was listened at.
                    self.waited = if streams.is_empty() && from == ">" {
                        began.elapsed()
                    } else {
                        Duration::ZERO
                    };
                    return Ok(streams
                        .into_iter()
                        .flat_map(|(_, entries)| entries)
                        .collect());
                }
                Err(error) => {
                    self.waited = Duration::ZERO;
                    self.pending_first = true;
                    if reply::is_no_group(&error) {
                        return Err(LogError::Gone);
                    }
                    match retry::wait_out(&error, &self.stop).await {
                        Trouble::Reconnect => self.reader = None,
                        Trouble::Stopped => return Err(LogError::Stopped),
                        Trouble::Lasting => return Err(self.refused("read", error)),
                    }
                    // The pending entries come first from here on.
                    if from == ">" {
                        return Ok(Vec::new());
                    }
                }
            }
        }
    }

    /// Keeps batches near the size they are meant to have.
    fn learn(&mut self, entries: &[Entry]) {
        let readings: usize = entries
            .iter()
            .map(|entry| entry.decoded.readings.len())
            .sum();
        let an_entry = readings.div_ceil(entries.len().max(1)).max(1);
        self.count = (READINGS_A_BATCH / an_entry).clamp(1, MOST_ENTRIES);
    }

    /// A batch of `entries`, with what has become known of devices.
    async fn with_descriptions(&mut self, entries: Vec<Entry>) -> Result<Batch, LogError> {
        let waited = std::mem::take(&mut self.waited);
        // Who leaves says so after its last entry.
        if entries.is_empty() && self.directory.is_empty() {
            return Ok(Batch {
                waited,
                ..Batch::default()
            });
        }
        if !entries.is_empty() {
            self.learn(&entries);
        }
        loop {
            let mut connection = self.commands().await?;
            match self.directory.news(&mut connection, &entries).await {
                Ok(descriptions) => {
                    return Ok(Batch {
                        descriptions,
                        waited,
                        entries,
                    });
                }
                Err(error) => self.wait_out(error, "look devices up").await?,
            }
        }
    }

    async fn load(&mut self, restore: &mut Restore<'_>) -> Result<Resume, LogError> {
        loop {
            let mut connection = self.commands().await?;
            let epoch = self.fence.epoch;
            match resume::load(&mut connection, &self.keys, epoch, restore).await {
                Ok(Some((commit, resume))) => {
                    self.fence.commit = commit;
                    return Ok(resume);
                }
                Ok(None) => return Err(LogError::TakenOver),
                Err(error) => self.wait_out(error, "load detector state").await?,
            }
        }
    }

    fn refused<E>(&self, what: &str, source: E) -> LogError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        LogError::Refused {
            what: format!("Redis refused to {what} on {}", self.keys.raw),
            source: Box::new(source),
        }
    }
}

fn entry(raw: RawEntry, max_future: Duration) -> Entry {
    let id = StreamId {
        ms: raw.id.0,
        seq: raw.id.1,
    };
    // Trimmed while it was pending: nothing to judge, but to be acknowledged.
    let fields = raw.fields.unwrap_or_default();
    if fields.is_empty() {
        return Entry {
            id,
            decoded: wire::Decoded::default(),
            fields,
        };
    }
    let arrived = Timestamp::from_millis(id.ms).unwrap_or_default();
    let decoded = wire::decode(&fields).without_future(arrived, max_future);
    let fields = if decoded.reject.is_some() {
        fields
    } else {
        Vec::new()
    };
    Entry {
        id,
        decoded,
        fields,
    }
}

#[async_trait]
impl Log for RedisLog {
    async fn resume(&mut self, restore: &mut Restore<'_>) -> Result<Resume, LogError> {
        let resume = self.load(restore).await?;
        self.done = resume.done;
        self.saved = resume.saved.unwrap_or_default();
        self.pending_first = true;
        self.directory = Directory::default();
        let done = self.done.to_string();
        let (raw, alerts) = (self.keys.raw.clone(), self.keys.alerts.clone());
        self.make_group(&raw, keys::DETECTOR_GROUP, &done).await?;
        // Before the first alert is written, so that the console misses none.
        self.make_group(&alerts, keys::LOGGER_GROUP, "$").await?;
        Ok(resume)
    }

    async fn committed(&mut self, from: StreamId, to: StreamId) -> Result<Batch, LogError> {
        self.warming = true;
        loop {
            let mut connection = self.commands().await?;
            let read = redis::cmd("XRANGE")
                .arg(&self.keys.raw)
                .arg(from.next().to_string())
                .arg(to.to_string())
                .arg("COUNT")
                .arg(self.count)
                .query_async::<Value>(&mut connection)
                .await;
            match read {
                Ok(reply) => {
                    let raw = reply::entries(reply).map_err(|e| self.refused("read", e))?;
                    let entries: Vec<_> = raw
                        .into_iter()
                        .map(|raw| entry(raw, self.max_future))
                        .collect();
                    return self.with_descriptions(entries).await;
                }
                Err(error) => self.wait_out(error, "read committed entries").await?,
            }
        }
    }

    async fn next(&mut self) -> Result<Batch, LogError> {
        if std::mem::take(&mut self.warming) {
            self.directory = Directory::default();
        }
        let mut raw = Vec::new();
        if self.pending_first {
            raw = self.read("0").await?;
            self.pending_first = !raw.is_empty();
        }
        if raw.is_empty() {
            raw = self.read(">").await?;
        }
        let entries: Vec<_> = raw
            .into_iter()
            .map(|raw| entry(raw, self.max_future))
            .collect();
        self.with_descriptions(entries).await
    }

    fn done(&self) -> StreamId {
        self.done
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), LogError> {
        loop {
            let mut connection = self.commands().await?;
            let call = script::invocation(&self.commit, &self.keys, self.fence, &commit);
            match call.invoke_async::<String>(&mut connection).await {
                Ok(word) => match Answer::of(&word) {
                    Answer::Done => break,
                    Answer::Taken => return Err(LogError::TakenOver),
                    Answer::Gone | Answer::Behind => return Err(LogError::Gone),
                },
                Err(error) if reply::is_no_group(&error) => {
                    return Err(LogError::Gone);
                }
                Err(error) if reply::may_be_another(&error) => {
                    // What was stored went to the server before, so that committing here could
                    // acknowledge what this one does not have: the batch has to come again.
                    self.wait_out(error, "commit").await?;
                    return Err(LogError::Gone);
                }
                Err(error) => {
                    self.wait_out(error, "commit").await?;
                    self.commands = Some(connection);
                }
            }
        }
        self.fence.commit += 1;
        self.done = commit.done.last().copied().unwrap_or(self.done);
        Ok(())
    }

    async fn save(&mut self, number: SliceNumber, slice: Slice) -> Result<(), LogError> {
        loop {
            let mut connection = self.commands().await?;
            match resume::save(&mut connection, &self.keys, self.fence, number, &slice).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(LogError::Gone),
                Err(error) => self.wait_out(error, "save detector state").await?,
            }
        }
    }

    async fn tell_racks(&mut self, json: String) -> Result<(), LogError> {
        let mut set = redis::cmd("SET");
        set.arg(&self.keys.racks).arg(json);
        set.arg("PX")
            .arg(u64::try_from(RACKS_LAST.as_millis()).unwrap_or(0));
        loop {
            let mut connection = self.commands().await?;
            match set.exec_async(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_out(error, "say what racks come to").await?,
            }
        }
    }

    async fn tell_moves(&mut self, changes: &[InventoryChange]) -> Result<(), LogError> {
        let mut all = redis::pipe();
        for change in changes {
            // Strings and numbers only: this cannot fail.
            let place = |place: &InventoryPlace| serde_json::to_string(place).unwrap_or_default();
            all.cmd("XADD")
                .arg(keys::MOVES)
                .arg(&[
                    "MAXLEN",
                    "~",
                    "10000",
                    "*",
                    "device_id",
                    change.device.as_str(),
                ])
                .arg(&["was", change.was.as_str(), "from"])
                .arg(place(&change.from))
                .arg("to")
                .arg(place(&change.to))
                .ignore();
        }
        loop {
            let mut connection = self.commands().await?;
            match all.exec_async(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_out(error, "say what stands elsewhere").await?,
            }
        }
    }

    async fn saved(&mut self, slices: usize) -> Result<(), LogError> {
        loop {
            let mut connection = self.commands().await?;
            match resume::forget(&mut connection, &self.keys, slices).await {
                Ok(()) => break,
                Err(error) => self.wait_out(error, "forget old detector state").await?,
            }
        }
        self.saved = self.done;
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let young = StreamId {
            ms: self.done.ms.saturating_sub(keep),
            seq: 0,
        };
        loop {
            let mut connection = self.commands().await?;
            let trimmed = redis::cmd("XTRIM")
                .arg(&self.keys.raw)
                .arg("MINID")
                .arg("~")
                .arg(young.min(self.saved).to_string())
                .exec_async(&mut connection)
                .await;
            match trimmed {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_out(error, "trim").await?,
            }
        }
    }
}
