//! Counters of this collector, for the live line of the demo and `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rackwatch_core::alert::{AlertState, Severity};
use rackwatch_core::engine::Effects;
use rackwatch_core::partition::PartitionId;
use serde::Serialize;

use crate::peers::Announcement;
use crate::progress::Progress;

/// Counters since the start, shared by all stages. Relaxed ordering is enough, because each number
/// stands for itself.
#[derive(Debug, Default)]
pub struct Stats {
    progress: Arc<Progress>,
    entries: AtomicU64,
    readings: AtomicU64,
    faults: AtomicU64,
    late: AtomicU64,
    duplicate: AtomicU64,
    conflicting: AtomicU64,
    beyond: AtomicU64,
    dead: AtomicU64,
    firing: AtomicU64,
    critical: AtomicU64,
    resolved: AtomicU64,
    /// Known devices and open episodes of each owned partition.
    known: Mutex<BTreeMap<PartitionId, (usize, usize)>>,
    /// The running collectors, as of the last look.
    peers: Mutex<BTreeMap<String, Announcement>>,
}

/// Values of the counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Entries of raw streams that were read.
    pub entries: u64,
    /// Readings in those entries, including faults.
    pub readings: u64,
    /// Readings that are faults.
    pub faults: u64,
    /// Readings older than their device's last, which are stored and not evaluated.
    pub late: u64,
    /// Readings that came again.
    pub duplicate: u64,
    /// Readings that differ from another of the same device and time. The first one counts.
    pub conflicting: u64,
    /// Readings of devices beyond `partition.max_devices`, which became dead letters.
    pub beyond: u64,
    /// Entries and readings that became dead letters.
    pub dead: u64,
    /// Known devices of all owned partitions.
    pub devices: u64,
    /// Alert records with state firing.
    pub firing: u64,
    /// Firing records that are critical.
    pub critical: u64,
    /// Alert records with state resolved.
    pub resolved: u64,
    /// Open episodes of all owned partitions.
    pub open: u64,
}

impl Stats {
    /// Creates counters at zero beside `progress`.
    pub fn new(progress: Progress) -> Self {
        Self {
            progress: Arc::new(progress),
            ..Self::default()
        }
    }

    /// Returns the progress of the stages.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Counts the entries of a batch, its readings, and its dead letters.
    pub fn count_entries(&self, entries: usize, readings: usize, dead: usize) {
        add(&self.entries, entries);
        add(&self.readings, readings);
        add(&self.dead, dead);
    }

    /// Counts readings of devices beyond the bound.
    pub fn count_beyond(&self, readings: u64) {
        self.beyond.fetch_add(readings, Ordering::Relaxed);
    }

    /// Counts the faults and alert records of an engine step.
    pub fn count_effects(&self, effects: &Effects) {
        let tally = &effects.tally;
        for (counter, count) in [
            (&self.faults, tally.faults),
            (&self.late, tally.late),
            (&self.duplicate, tally.duplicate),
            (&self.conflicting, tally.conflicting),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        for alert in &effects.alerts {
            match alert.state() {
                AlertState::Firing => add(&self.firing, 1),
                AlertState::Resolved => add(&self.resolved, 1),
            }
            if alert.state() == AlertState::Firing && alert.severity == Severity::Critical {
                add(&self.critical, 1);
            }
        }
    }

    /// Sets the number of known devices and open episodes of a partition.
    pub fn set_known(&self, partition: PartitionId, devices: usize, open: usize) {
        self.all_known().insert(partition, (devices, open));
    }

    /// Drops the numbers of a partition that this collector no longer owns.
    pub fn forget(&self, partition: PartitionId) {
        self.all_known().remove(&partition);
    }

    /// Sets what the running collectors announce.
    pub fn set_peers(&self, peers: BTreeMap<String, Announcement>) {
        *self.peers.lock().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Returns what the running collectors announce, as of the last look.
    pub fn peers(&self) -> BTreeMap<String, Announcement> {
        let peers = self.peers.lock();
        peers.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn all_known(&self) -> MutexGuard<'_, BTreeMap<PartitionId, (usize, usize)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the values of all counters.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let known = self.all_known();
        Counts {
            entries: get(&self.entries),
            readings: get(&self.readings),
            faults: get(&self.faults),
            late: get(&self.late),
            duplicate: get(&self.duplicate),
            conflicting: get(&self.conflicting),
            beyond: get(&self.beyond),
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
