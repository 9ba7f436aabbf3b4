//! The raw stream as a partition sees it: batches of entries in, commits out.
//!
//! Promise: entries come at least once, in order, and come again until a commit acknowledges them.
//! A commit is one step: alert records, episode changes, dead letters and acknowledgement, all or
//! nothing. A batch also has the alerts that people resolved. Two implementations: [`redis`], and [`memory`] for the demo.

pub mod memory;
pub mod redis;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::AlertId;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Effects, InventoryChange, Slice};
use rackwatch_core::episode::Episode;
use rackwatch_core::loss_ledger::Runs;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::{Decoded, Fields};

use crate::incidents::resolve_request::ResolveRequest;
use crate::stage::StageError;

/// A device and its new description, or `None` if the description was deleted.
pub type DescriptionUpdate = (DeviceId, Option<Box<Description>>);

/// An alert that a person resolved, and the request.
pub type ResolvedByHand = (AlertId, ResolveRequest);

/// The input of one engine step.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Descriptions that are new or changed, to be applied before the readings.
    pub descriptions: Vec<DescriptionUpdate>,
    /// Time that the reader waited for these entries while nothing came.
    pub waited: Duration,
    /// Alerts that people resolved, by id.
    pub resolutions: Vec<ResolvedByHand>,
    /// Entries in the order of the stream.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Returns whether it has something to take in, be it that time passed.
    pub fn has_news(&self) -> bool {
        !self.entries.is_empty()
            || !self.descriptions.is_empty()
            || !self.resolutions.is_empty()
            || !self.waited.is_zero()
    }
}

/// One entry of the raw stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Position in the stream.
    pub id: StreamId,
    /// Distance of the id ahead of Redis' clock, if it is more than a minute; else zero.
    pub ahead: Duration,
    /// Seconds that its sender's clock is ahead, subtracted from the timestamps of its readings; `None` if that
    /// clock was always right.
    pub clock_offset: Option<i64>,
    /// Content, and the reason if a part of it was rejected.
    pub decoded: Decoded,
    /// Original fields, kept only if a part of the entry was rejected.
    pub fields: Fields,
}

impl Entry {
    /// Returns its arrival by Redis' clock.
    pub fn arrived(&self) -> Timestamp {
        let id = Timestamp::from_millis(self.id.ms).unwrap_or(Timestamp::MAX);
        id.minus(self.ahead)
    }
}

/// A copy of an entry that could not be used, or not in full.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Position in the raw stream.
    pub id: StreamId,
    /// Reason of the rejection.
    pub reason: String,
    /// Original fields of the entry.
    pub fields: Fields,
}

/// The output of one engine step, and the entries that it finishes.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Entries to acknowledge, in order: the whole batch.
    pub done: Vec<StreamId>,
    /// Entries that were rejected in whole or in part.
    pub dead: Vec<DeadLetter>,
    /// Readings that were refused because their devices are beyond the bound.
    pub beyond: u64,
    /// Alerts whose requests to resolve them this step took in. The requests are deleted.
    pub resolutions: Vec<AlertId>,
    /// Effects of the engine step.
    pub effects: Effects,
}

impl Commit {
    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let effects = &self.effects;
        self.done.is_empty()
            && self.dead.is_empty()
            && self.resolutions.is_empty()
            && effects.alerts.is_empty()
            && effects.losses.is_empty()
            && effects.episodes.is_empty()
            && effects.agents.is_empty()
    }
}

/// The state that the last owner left.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Oldest stream position among the saved slices of detector state; `None` without slices.
    pub saved: Option<StreamId>,
    /// Open episodes of the partition.
    pub episodes: Vec<Episode>,
    /// Open episodes that are not stored any more, as the alerts of incidents show.
    pub lost: Vec<Episode>,
    /// Sequence numbers of each agent's last readings.
    pub agents: Vec<(String, Runs)>,
    /// Last entry that was committed.
    pub done: StreamId,
}

/// The number of a slice. The slice of a device depends on the count of slices, so slices of another
/// count stay until a save is complete: a crash during it loses no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceNumber {
    /// Index of the slice, from 0.
    pub number: usize,
    /// Count of all slices.
    pub of: usize,
}

/// An error after which a partition must stop or load its state again.
#[derive(Debug, thiserror::Error)]
pub enum RawStreamError {
    /// The ownership term is over: another collector owns the partition, or Redis lost the fence.
    #[error("another collector owns the partition")]
    TakenOver,
    /// Redis does not hold what was committed (FLUSHALL, restart without persistence, failover), or
    /// the reply to the last commit was lost: state must be loaded again.
    #[error("outcome of the last commit is unknown")]
    OutcomeUnknown,
    /// The program stops, or Redis refuses for good.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// Receives slices of detector state.
pub type Restore<'a> = dyn FnMut(Slice) + Send + 'a;

/// A raw stream with the state that its owner keeps beside it.
#[async_trait]
pub trait RawStream: Send {
    /// Loads the state that the last owner left. Passes each slice to `restore` as it is read, so
    /// that only one is in memory. After an interruption it passes all of them again.
    async fn resume(&mut self, restore: &mut Restore<'_>) -> Result<Resume, RawStreamError>;

    /// Reads committed entries after `from` and up to `to`, as many as fit in a batch, with the
    /// descriptions of their devices.
    async fn read_committed(
        &mut self,
        from: StreamId,
        to: StreamId,
    ) -> Result<Batch, RawStreamError>;

    /// Waits for the next batch. It has no entries if nothing came for a while.
    async fn next(&mut self) -> Result<Batch, RawStreamError>;

    /// Forgets devices whose readings are refused, so that they take no memory.
    fn forget_devices(&mut self, devices: &HashSet<DeviceId>);

    /// Takes over described devices, and whether plain clients write them, from the restored state: their descriptions
    /// may have changed meanwhile.
    fn restore_devices(&mut self, devices: Vec<(DeviceId, bool)>);

    /// Returns the last entry that was committed.
    fn last_committed(&self) -> StreamId;

    /// Returns the time by the clock that stamps entries.
    fn now(&self) -> Timestamp;

    /// Writes the effects of a batch and acknowledges it.
    async fn commit(&mut self, commit: Commit) -> Result<(), RawStreamError>;

    /// Stores one slice of detector state as of the last commit.
    async fn save_slice(&mut self, number: SliceNumber, slice: Slice)
    -> Result<(), RawStreamError>;

    /// Ends a save of `slices` slices: deletes slices of other counts, and trims entries that no
    /// restart needs any more.
    async fn finish_save(&mut self, slices: usize) -> Result<(), RawStreamError>;

    /// Publishes the aggregates of each rack, as JSON that expires.
    async fn publish_rack_aggregates(&mut self, json: String) -> Result<(), RawStreamError>;

    /// Publishes changes of the inventory.
    async fn publish_inventory_changes(
        &mut self,
        changes: &[InventoryChange],
    ) -> Result<(), RawStreamError>;
}
