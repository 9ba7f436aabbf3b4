//! The raw stream as a partition sees it: batches of entries in, commits out.
//!
//! Promise: entries come at least once, in order, and come again until a commit acknowledges them.
//! A commit is one step: alert records, episode changes, dead letters and acknowledgement, all or
//! nothing. Two kinds: [`redis`], and [`memory`] for the demo.

mod directory;
pub mod memory;
pub mod redis;
mod script;

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Effects, InventoryChange, Slice};
use rackwatch_core::episode::Episode;
use rackwatch_core::ledger::Runs;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::{Decoded, Fields};

/// What is to be judged next.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What has become known of devices, to be taken in before the readings.
    pub descriptions: Vec<(DeviceId, Option<Box<Description>>)>,
    /// How long nothing came though somebody listened, before the entries.
    pub waited: Duration,
    /// The entries, in the order of the stream.
    pub entries: Vec<Entry>,
}

/// One entry of the raw stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: StreamId,
    /// What it says.
    pub decoded: Decoded,
    /// Its fields, kept where a part of it could not be understood.
    pub fields: Fields,
}

/// Something for the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The entry it came in.
    pub id: StreamId,
    /// Why it could not be used.
    pub reason: String,
    /// The original fields.
    pub fields: Fields,
}

/// The end of a batch.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The entries that are done, in order: all of the batch.
    pub done: Vec<StreamId>,
    /// What could not be understood.
    pub dead: Vec<DeadLetter>,
    /// What the engine found.
    pub effects: Effects,
}

impl Commit {
    /// There is nothing to write down.
    pub fn is_empty(&self) -> bool {
        let effects = &self.effects;
        self.done.is_empty()
            && self.dead.is_empty()
            && effects.alerts.is_empty()
            && effects.losses.is_empty()
            && effects.episodes.is_empty()
            && effects.agents.is_empty()
    }
}

/// Where an owner goes on.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// The oldest position that a slice of detector state stands for; none where there is none.
    pub saved: Option<StreamId>,
    /// The open episodes.
    pub episodes: Vec<Episode>,
    /// How far agents had come.
    pub agents: Vec<(String, Runs)>,
    /// The last entry that was committed.
    pub done: StreamId,
}

/// Which slice of how many. Devices are dealt by that count, so slices of another count stay until
/// the new ones are complete: a crash between them loses no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceNumber {
    /// From 0.
    pub number: usize,
    /// Slices in all.
    pub of: usize,
}

/// Why the loop cannot go on as it is.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The program is to stop.
    #[error("stopped")]
    Stopped,
    /// The tenure is over: another collector has the partition, or Redis has lost the fence.
    #[error("the partition is owned by another collector now")]
    TakenOver,
    /// Redis no longer holds what was committed (FLUSHALL, restart without persistence, failover), or
    /// nobody knows what of the last commit it holds: state must be loaded again.
    #[error("it is not known what of the last commit is in Redis")]
    Gone,
    /// Redis refuses for a reason that does not pass by itself.
    #[error("{what}")]
    Refused {
        /// What was tried, on what, and what to do.
        what: String,
        /// What Redis says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What takes slices in.
pub type Restore<'a> = dyn FnMut(Slice) + Send + 'a;

/// A raw stream, and what belongs to it.
#[async_trait]
pub trait Log: Send {
    /// Says where to go on. Each slice of detector state goes to
    /// `restore` as it is read, so that no two are in memory; after an interruption all of them
    /// once more.
    async fn resume(&mut self, restore: &mut Restore<'_>) -> Result<Resume, LogError>;

    /// Committed entries after `from`, up to `to` and to some number, with what is known of their
    /// devices: for warming up.
    async fn committed(&mut self, from: StreamId, to: StreamId) -> Result<Batch, LogError>;

    /// The next batch; without entries when nothing came for a while.
    async fn next(&mut self) -> Result<Batch, LogError>;

    /// The last entry that was committed.
    fn done(&self) -> StreamId;

    /// Ends the batch.
    async fn commit(&mut self, commit: Commit) -> Result<(), LogError>;

    /// Keeps one slice of detector state, which stands for the stream up to the last commit.
    async fn save(&mut self, number: SliceNumber, slice: Slice) -> Result<(), LogError>;

    /// Says what each rack's sensors come to, for a while.
    async fn tell_racks(&mut self, json: String) -> Result<(), LogError>;

    /// Says what stands elsewhere than before.
    async fn tell_moves(&mut self, changes: &[InventoryChange]) -> Result<(), LogError>;

    /// All of so many slices are kept: forgets others, and entries that nobody needs any more.
    async fn saved(&mut self, slices: usize) -> Result<(), LogError>;
}
