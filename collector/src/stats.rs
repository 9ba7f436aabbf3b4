//! What the collector counts about itself: for the demo's live line, `/readyz` and the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rackwatch_core::alert::{AlertState, Severity};
use rackwatch_core::partition::PartitionId;
use serde::Serialize;

use crate::ingest::raw_stream::Commit;

/// Counters since the start. Shared by all stages; each number stands for itself, so that relaxed
/// ordering is enough.
#[derive(Debug, Default)]
pub struct Stats {
    ready: AtomicBool,
    entries: AtomicU64,
    readings: AtomicU64,
    faults: AtomicU64,
    dead: AtomicU64,
    firing: AtomicU64,
    critical: AtomicU64,
    resolved: AtomicU64,
    /// Devices known and episodes open, of each partition that is owned.
    known: Mutex<BTreeMap<PartitionId, (usize, usize)>>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Entries read.
    pub entries: u64,
    /// Readings in them, faults among them.
    pub readings: u64,
    /// Faults.
    pub faults: u64,
    /// Dead letters.
    pub dead: u64,
    /// Devices known.
    pub devices: u64,
    /// Firing records.
    pub firing: u64,
    /// Of those the critical ones.
    pub critical: u64,
    /// Resolved records.
    pub resolved: u64,
    /// Episodes that are open.
    pub open: u64,
}

impl Stats {
    /// The partition has been taken over, and readings are judged.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether [`Stats::ready`] has been said.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// A batch of so many readings was judged.
    pub fn batch(&self, readings: usize, commit: &Commit) {
        add(&self.entries, commit.done.len());
        add(&self.readings, readings);
        add(&self.dead, commit.dead.len());
        self.faults
            .fetch_add(commit.effects.tally.faults, Ordering::Relaxed);
        for alert in &commit.effects.alerts {
            match alert.state() {
                AlertState::Firing => add(&self.firing, 1),
                AlertState::Resolved => add(&self.resolved, 1),
            }
            if alert.state() == AlertState::Firing && alert.severity == Severity::Critical {
                add(&self.critical, 1);
            }
        }
    }

    /// So many devices are known of a partition, and so many episodes open, now.
    pub fn known(&self, partition: PartitionId, devices: usize, open: usize) {
        self.all_known().insert(partition, (devices, open));
    }

    /// Another collector owns this partition.
    pub fn forget(&self, partition: PartitionId) {
        self.all_known().remove(&partition);
    }

    fn all_known(&self) -> MutexGuard<'_, BTreeMap<PartitionId, (usize, usize)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let known = self.all_known();
        Counts {
            entries: get(&self.entries),
            readings: get(&self.readings),
            faults: get(&self.faults),
            dead: get(&self.dead),
            devices: known.values().map(|(devices, _)| *devices as u64).sum(),
            firing: get(&self.firing),
            critical: get(&self.critical),
            resolved: get(&self.resolved),
            open: known.values().map(|(_, open)| *open as u64).sum(),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
