//! The raw stream in Redis, read through the consumer group.
//!
//! One connection of its own for the blocking read, another for everything else. After a failed
//! read, and at start, entries that are already this consumer's come first: a request that timed
//! out here may have been served there. A group or stream that has vanished is made again at the
//! last committed position.
//!
//! Transient trouble (Redis away, loading, read-only, out of memory) is waited out here, for as
//! long as it takes; the partition never sees it.

mod arrivals;
mod clock;
mod clock_offsets;
mod commit;
mod directory;
mod reader;
mod refused_descriptions;
mod reports;
mod resolutions;
mod saved_state;
mod undescribed;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rackwatch_core::clock_offsets::ClockOffsets;
use rackwatch_core::device::DeviceId;
use rackwatch_core::engine::{InventoryChange, Slice};
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_runtime::redis::{self as reply, Connector, Purpose, RequestError, Session};
use redis::{Cmd, FromRedisValue, Script, Value};
use tokio_util::sync::CancellationToken;

use self::clock::RedisClock;
use self::directory::Directory;
use self::reader::Reader;
use self::resolutions::WaitingResolutions;
use self::undescribed::Undescribed;
use super::{Batch, Commit, Entry, RawStream, RawStreamError, Restore, Resume, SliceNumber};
use crate::claims::NextLook;
use crate::config::StreamConfig;
use crate::fencing::{self, Answer, Fence};
use crate::ingest::relief::Relief;
use crate::optional_key::is_wrong_type;
use crate::stage::StageError;

/// A partition while this collector owns it.
#[derive(Clone, Debug)]
pub struct OwnedPartition {
    /// Names of its keys in Redis.
    pub keys: PartitionKeys,
    /// Epoch of the ownership term: only the newest may commit.
    pub epoch: u64,
    /// Cancelled when the term ends.
    pub stop: CancellationToken,
}

/// The raw stream of one partition in Redis.
#[derive(Debug)]
pub struct RedisRawStream {
    keys: PartitionKeys,
    commands: Session,
    reader: Reader,
    commit: Script,
    save: Script,
    fence: Fence,
    /// Last entry that was committed.
    committed: StreamId,
    /// Entries younger than this are kept for people to look at.
    keep: Duration,
    directory: Directory,
    /// Devices of agents that nothing describes.
    undescribed: Undescribed,
    /// The next look for entries that another consumer has pending.
    claims: NextLook,
    clock: RedisClock,
    /// Offsets of senders with a wrong clock.
    offsets: ClockOffsets,
    /// Readings further ahead of their entries than this are rejected, unless their clock is known to be wrong.
    max_future: Duration,
    /// Alerts that people resolved.
    resolutions: WaitingResolutions,
    /// The last warning of ids ahead of the clock.
    ahead_reported: Option<Instant>,
    /// Frees memory when Redis has none left.
    relief: Arc<Relief>,
    /// Whether descriptions were read for catching up, so that the series have not received them.
    catching_up: bool,
}

impl RedisRawStream {
    /// Creates a reader of the raw stream of `owned`. Reads block for a part of `lease`: a paused
    /// owner must not take entries long after its lease has expired.
    pub fn new(
        connector: Connector,
        owned: OwnedPartition,
        stream: &StreamConfig,
        lease: Duration,
        relief: Arc<Relief>,
    ) -> Self {
        let OwnedPartition { keys, epoch, stop } = owned;
        let reader = Reader::new(connector.clone(), keys.raw.clone(), lease / 4, stop.clone());
        Self {
            keys,
            commands: Session::new(connector, Purpose::Commands, stop),
            reader,
            commit: fencing::script(include_str!("redis/commit.lua")),
            save: fencing::script(include_str!("redis/save.lua")),
            fence: Fence { epoch, commit: 0 },
            committed: StreamId::ZERO,
            keep: stream.keep,
            directory: Directory::default(),
            undescribed: Undescribed::default(),
            claims: NextLook::default(),
            clock: RedisClock::default(),
            offsets: ClockOffsets::default(),
            max_future: stream.max_future,
            resolutions: WaitingResolutions::default(),
            ahead_reported: None,
            relief,
            catching_up: false,
        }
    }

    /// Repeats `command` until Redis answers it; `what` completes "Redis refused to …".
    async fn query<T: FromRedisValue>(
        &mut self,
        what: &str,
        command: &Cmd,
    ) -> Result<T, RawStreamError> {
        loop {
            let connected = self.commands.connection().await;
            let mut connection = connected.map_err(|error| refused(&self.keys, what, error))?;
            match command.query_async(&mut connection).await {
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    self.relief.relieve(&mut connection, &error).await;
                    let recovered = self.commands.recover(&error).await;
                    recovered.map_err(|error| refused(&self.keys, what, error))?;
                }
            }
        }
    }

    /// Adds descriptions to `entries`.
    async fn with_descriptions(&mut self, entries: Vec<Entry>) -> Result<Batch, RawStreamError> {
        let waited = self.reader.take_waited();
        // An agent that leaves says so after its last entry, so that an empty batch may have news.
        if entries.is_empty() && self.directory.is_empty() {
            return Ok(Batch {
                waited,
                ..Batch::default()
            });
        }
        let refused = |error| refused(&self.keys, "look devices up", error);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            match self.directory.updates(&mut connection, &entries).await {
                Ok(descriptions) => {
                    return Ok(Batch {
                        descriptions,
                        waited,
                        entries,
                        ..Batch::default()
                    });
                }
                Err(error) => self.commands.recover(&error).await.map_err(refused)?,
            }
        }
    }

    async fn load(&mut self, restore: &mut Restore<'_>) -> Result<Resume, RawStreamError> {
        let refused = |error| refused(&self.keys, "load detector state", error);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            let epoch = self.fence.epoch;
            match saved_state::load(&mut connection, &self.keys, epoch, restore).await {
                Ok(Some(saved)) => {
                    self.fence.commit = saved.commit;
                    self.offsets = saved.offsets;
                    return Ok(saved.resume);
                }
                Ok(None) => return Err(RawStreamError::TakenOver),
                Err(error) => self.commands.recover(&error).await.map_err(refused)?,
            }
        }
    }

    /// Creates the consumer group at the last committed entry, unless it exists.
    async fn create_group(&mut self) -> Result<(), RawStreamError> {
        let mut create = redis::cmd("XGROUP");
        create
            .arg("CREATE")
            .arg(&self.keys.raw)
            .arg(keys::DETECTOR_GROUP)
            .arg(self.committed.to_string())
            .arg("MKSTREAM");
        match self.commands.query::<()>(&create).await {
            Err(RequestError::Refused(error)) if reply::is_group_there(&error) => Ok(()),
            created => {
                created.map_err(|error| refused(&self.keys, "create the consumer group", error))
            }
        }
    }

    /// Writes down the devices that nothing describes. It is a report, so a failure is no reason to stop: a later
    /// arrival writes it again.
    async fn write_undescribed(&mut self) {
        let Some(all) = self.undescribed.take_due() else {
            return;
        };
        // Not repeated: the next command waits until Redis is well.
        if let Ok(mut connection) = self.commands.connection().await
            && let Err(error) = all.exec_async(&mut connection).await
        {
            tracing::debug!(%error, key = keys::UNDESCRIBED, "not written");
        }
    }

    /// Deletes entries that are older than every slice of detector state and than `keep`.
    async fn trim(&mut self) -> Result<(), RawStreamError> {
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let oldest_kept = StreamId {
            ms: self.committed.ms.saturating_sub(keep),
            seq: 0,
        };
        let mut trim = redis::cmd("XTRIM");
        trim.arg(&self.keys.raw)
            .arg("MINID")
            .arg("~")
            .arg(oldest_kept.min(self.committed).to_string());
        self.query("trim", &trim).await
    }
}

/// Names the operation and the stream in the error of a request.
fn refused(keys: &PartitionKeys, what: &str, error: RequestError) -> RawStreamError {
    StageError::of_request(format!("Redis refused to {what} on {}", keys.raw), error).into()
}

#[async_trait]
impl RawStream for RedisRawStream {
    async fn resume(&mut self, restore: &mut Restore<'_>) -> Result<Resume, RawStreamError> {
        let resume = self.load(restore).await?;
        self.committed = resume.done;
        self.relief
            .cover(resume.saved.unwrap_or(StreamId::ZERO).min(resume.done));
        self.reader.read_pending_first();
        self.directory.reset();
        self.create_group().await?;
        self.read_clock().await?;
        self.claims.hurry();
        Ok(resume)
    }

    async fn read_committed(
        &mut self,
        from: StreamId,
        to: StreamId,
    ) -> Result<Batch, RawStreamError> {
        self.catching_up = true;
        let mut range = redis::cmd("XRANGE");
        range
            .arg(&self.keys.raw)
            .arg(from.next().to_string())
            .arg(to.to_string())
            .arg("COUNT")
            .arg(self.reader.batch_entries());
        let reply: Value = self.query("read committed entries", &range).await?;
        let raw =
            reply::entries(reply).map_err(|error| reader::unexpected(&self.keys.raw, error))?;
        let mut entries = self.reader.decode(raw, self.clock);
        self.correct_again(&mut entries);
        self.with_descriptions(entries).await
    }

    async fn next(&mut self) -> Result<Batch, RawStreamError> {
        if std::mem::take(&mut self.catching_up) {
            self.directory.reset();
        }
        if self.claims.take_due() {
            self.claim_from_others().await?;
        }
        if self.clock.is_due() {
            self.read_clock().await?;
        }
        let entries = self.reader.next(self.clock).await?;
        let mut entries = self.drop_committed(entries).await?;
        self.correct(&mut entries);
        self.report_ahead(&entries);
        let mut batch = self.with_descriptions(entries).await?;
        self.undescribed
            .note(&batch.entries, self.directory.waiting());
        if self.resolutions.take_due() {
            batch.resolutions = self.read_resolutions().await?;
        }
        Ok(batch)
    }

    fn forget_devices(&mut self, devices: &HashSet<DeviceId>) {
        self.directory.forget(devices);
        self.undescribed.forget(devices);
    }

    fn restore_devices(&mut self, devices: Vec<(DeviceId, bool)>) {
        self.directory.restore(devices);
    }

    fn last_committed(&self) -> StreamId {
        self.committed
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), RawStreamError> {
        let refused = |error| refused(&self.keys, "commit", error);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            let (script, offsets) = (&self.commit, &self.offsets);
            let call = commit::invocation(script, &self.keys, self.fence, &commit, offsets);
            match call.invoke_async::<String>(&mut connection).await {
                Ok(word) => match Answer::parse(&word) {
                    Answer::Done => break,
                    Answer::TakenOver => return Err(RawStreamError::TakenOver),
                    Answer::StateLost => return Err(RawStreamError::OutcomeUnknown),
                },
                Err(error) if reply::is_no_group(&error) => {
                    return Err(RawStreamError::OutcomeUnknown);
                }
                Err(error) if reply::may_be_another(&error) => {
                    // The readings were stored on the server before. Committing on another could
                    // acknowledge readings that it lacks, so the batch has to come again.
                    self.commands.recover(&error).await.map_err(refused)?;
                    return Err(RawStreamError::OutcomeUnknown);
                }
                Err(error) => {
                    self.relief.relieve(&mut connection, &error).await;
                    let waited = self.commands.recover_in_place(&error).await;
                    waited.map_err(refused)?;
                }
            }
        }
        self.fence.commit += 1;
        self.offsets.mark_stored();
        self.committed = commit.done.last().copied().unwrap_or(self.committed);
        self.write_undescribed().await;
        Ok(())
    }

    async fn save_slice(
        &mut self,
        number: SliceNumber,
        slice: Slice,
    ) -> Result<(), RawStreamError> {
        let refused = |error| refused(&self.keys, "save detector state", error);
        let call = saved_state::save(&self.save, &self.keys, self.fence, number, &slice);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            match call.invoke_async(&mut connection).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(RawStreamError::OutcomeUnknown),
                Err(error) => {
                    self.relief.relieve(&mut connection, &error).await;
                    self.commands.recover(&error).await.map_err(refused)?;
                }
            }
        }
    }

    async fn finish_save(&mut self, slices: usize) -> Result<(), RawStreamError> {
        let deleted = saved_state::delete_others(&mut self.commands, &self.keys, slices).await;
        deleted.map_err(|error| refused(&self.keys, "delete old detector state", error))?;
        self.relief.cover(self.committed);
        self.trim().await
    }

    async fn publish_rack_aggregates(&mut self, json: String) -> Result<(), RawStreamError> {
        let set = reports::rack_aggregates(&self.keys, &json);
        self.query("publish rack aggregates", &set).await
    }

    async fn publish_inventory_changes(
        &mut self,
        changes: &[InventoryChange],
    ) -> Result<(), RawStreamError> {
        let add = reports::inventory_changes(changes);
        match self.commands.exec(&add).await {
            Err(RequestError::Refused(error)) if is_wrong_type(&error) => Ok(()),
            added => added.map_err(|error| refused(&self.keys, "publish inventory changes", error)),
        }
    }
}
