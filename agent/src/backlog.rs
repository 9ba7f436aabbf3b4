//! Readings that are not published yet, between the sampler and the publisher: in memory, and on
//! disk while Redis does not accept them.
//!
//! In: what the sampler reports. Out: entries in order, acknowledged once Redis has them, and the
//! descriptions that go before them. Entries that waited longer than a second go to the spool, and
//! are sent from there as frames, before anything in memory. When the spool is full, or when there
//! is no spool and more than `publish.queue` readings wait, the oldest are dropped, counted and
//! logged. Readings that are only in memory when the process dies are lost, and not counted.

mod pack;
mod queue;
mod recent;
mod spill;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::device::DeviceId;
use rackwatch_core::wire::Seq;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::PublishConfig;
use crate::host_clock::{ClockState, HostClock, Moment};
use crate::inventory::Inventory;
use crate::sampler::SamplerEvent;
use crate::spool::Spool;
use crate::spool::record::Record;
use crate::spool::segment_log::RecordEnd;

pub use queue::{Content, Entry, Queue};
use recent::RecentEntries;

/// Readings from disk per round trip: half a megabyte, and some milliseconds of Redis' time.
const READINGS_FROM_DISK: usize = 20_000;

/// Pause after a failed spool read.
const DISK_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Time for the sampler to report its last readings after the stop; exceeds the sampler's own grace
/// for a source that hangs.
const SAMPLER_GRACE: Duration = Duration::from_millis(500);

/// The backlog; clones share one state.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Locked while entries move to or from disk, so that no entry is in both places.
    spool: tokio::sync::Mutex<Option<Spool>>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    recent: RecentEntries,
    inventory: Inventory,
    clock: HostClock,
    is_closed: bool,
    /// Whether the disk holds readings.
    has_spooled: bool,
    /// End of the pause after a failed spool read.
    disk_retry_at: Option<Instant>,
    /// Whether the publisher is sending entries of the queue.
    is_sending: bool,
}

/// Work for the publisher: one round trip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Descriptions that go before the entries.
    pub descriptions: Vec<(DeviceId, String)>,
    /// Entries in the order of their sequence numbers.
    pub entries: Vec<Entry>,
    /// The skew of the host's clock in milliseconds that each entry has to report, if any.
    pub skews: Vec<Option<i64>>,
    /// Device to look up in Redis: if its description is missing, others may be lost too.
    pub probe: Option<DeviceId>,
    origin: Origin,
}

/// The source of the entries of one round trip.
#[derive(Clone, Debug, Default, PartialEq)]
enum Origin {
    /// Published entries that Redis may have lost.
    Recent,
    /// The spool, with the end of each record.
    Disk(Vec<RecordEnd>),
    /// The queue of unpublished entries.
    #[default]
    Memory,
}

impl Work {
    /// Returns work from memory.
    #[cfg(test)]
    pub(crate) fn from_memory(
        descriptions: Vec<(DeviceId, String)>,
        entries: Vec<Entry>,
        probe: Option<DeviceId>,
    ) -> Self {
        Self {
            descriptions,
            skews: vec![None; entries.len()],
            entries,
            probe,
            origin: Origin::Memory,
        }
    }
}

impl State {
    /// Returns whether the disk holds readings and may be read now.
    fn may_read_disk(&self) -> bool {
        self.has_spooled && self.disk_retry_at.is_none_or(|at| Instant::now() >= at)
    }
}

/// Counts of readings that are not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacklogStats {
    /// Readings dropped from memory or disk.
    pub dropped: u64,
    /// Readings that wait in memory.
    pub waiting: u64,
    /// Readings that wait on disk.
    pub spooled: u64,
    /// Whether a spool is configured and could not be opened yet.
    pub is_spool_closed: bool,
}

impl Backlog {
    /// Returns the backlog of `run`, including the readings in `spool`; `prev` is the last sequence
    /// number of the previous run.
    pub fn new(
        config: &PublishConfig,
        inventory: Inventory,
        run: &str,
        spool: Option<Spool>,
        prev: Option<Seq>,
    ) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(config.format, config.queue.get(), run, prev),
                recent: RecentEntries::new(config.queue.get()),
                inventory,
                clock: HostClock::new(run, Moment::now()),
                is_closed: false,
                has_spooled: spool.as_ref().is_some_and(|spool| !spool.is_empty()),
                disk_retry_at: None,
                is_sending: false,
            }),
            spool: tokio::sync::Mutex::new(spool),
            changed: Notify::new(),
        }))
    }

    /// Accepts events until the sampler ends, or until `SAMPLER_GRACE` after the stop.
    pub async fn fill(self, mut events: mpsc::Receiver<SamplerEvent>, stop: CancellationToken) {
        let accept_all = async {
            while let Some(event) = events.recv().await {
                self.accept(event);
            }
        };
        let grace_over = async {
            stop.cancelled().await;
            tokio::time::sleep(SAMPLER_GRACE).await;
        };
        tokio::select! {
            () = accept_all => {}
            () = grace_over => {}
        }
        self.lock().is_closed = true;
        self.0.changed.notify_one();
    }

    fn accept(&self, event: SamplerEvent) {
        let mut state = self.lock();
        match event {
            SamplerEvent::Discovered(devices) => state.inventory.update(devices),
            SamplerEvent::Sample(mut sample, stamped) => {
                let State {
                    queue,
                    inventory,
                    clock,
                    ..
                } = &mut *state;
                sample.readings.retain(|r| inventory.is_on(&r.device));
                queue.push(sample, clock.state(stamped));
            }
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Waits for work; returns false once the backlog is closed and has no entries to send now.
    ///
    /// Only one caller may wait at a time.
    pub async fn wait(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.queue.is_empty() || state.recent.must_resend() || state.may_read_disk() {
                    return true;
                }
                if state.is_closed {
                    return false;
                }
                if !state.inventory.pending(Instant::now()).is_empty() {
                    return true;
                }
            }
            // Nothing signals that a disk has recovered, so look again.
            let changed = self.0.changed.notified();
            let _elapsed = tokio::time::timeout(DISK_RETRY_AFTER, changed).await;
        }
    }

    /// Returns the descriptions that are due and the first entries; `limit` bounds entries from memory.
    /// Entries stay in the backlog until [`Backlog::acknowledge`], descriptions until
    /// [`Backlog::mark_descriptions_written`].
    pub async fn next(&self, limit: usize) -> Work {
        let records = self.read_disk().await;
        let mut state = self.lock();
        let (entries, origin) = if state.recent.must_resend() {
            (state.recent.to_resend(limit), Origin::Recent)
        } else if records.is_empty() {
            // While the disk cannot be read, newer readings overtake those on it.
            state.is_sending = true;
            (state.queue.front(limit), Origin::Memory)
        } else {
            let (records, ends): (Vec<_>, Vec<_>) = records.into_iter().unzip();
            let entries = records.into_iter().map(pack::entry).collect();
            (entries, Origin::Disk(ends))
        };
        Work {
            descriptions: state.inventory.pending(Instant::now()),
            probe: state.inventory.probe(),
            skews: state.clock.reports(clock_states(&entries)),
            entries,
            origin,
        }
    }

    /// Returns records from disk; none while entries have to be resent first.
    async fn read_disk(&self) -> Vec<(Record, RecordEnd)> {
        let mut spool = self.0.spool.lock().await;
        let is_wanted = {
            let state = self.lock();
            state.has_spooled && !state.recent.must_resend()
        };
        if !is_wanted {
            return Vec::new();
        }
        let mut records = Vec::new();
        if let Some(spool) = spool.as_mut().filter(|spool| spool.is_readable()) {
            records = spool.front(READINGS_FROM_DISK).await;
            self.lock().has_spooled = !spool.is_empty();
        }
        if records.is_empty() {
            self.lock().disk_retry_at = Some(Instant::now() + DISK_RETRY_AFTER);
        }
        records
    }

    /// Acknowledges the first `count` entries of `work`; the others will be sent again.
    pub async fn acknowledge(&self, mut work: Work, count: usize) {
        work.entries.truncate(count);
        let (entries, last) = (work.entries, self.lock().queue.last());
        match work.origin {
            Origin::Recent => self.lock().recent.resent(entries.len()),
            Origin::Memory => {
                let mut state = self.lock();
                state.is_sending = false;
                if let Some(last) = entries.last() {
                    state.queue.remove_through(last.n);
                }
            }
            Origin::Disk(mut ends) => {
                ends.truncate(entries.len());
                let readings = entries.iter().map(|entry| entry.readings() as u64).sum();
                if let Some(spool) = &mut *self.0.spool.lock().await {
                    spool.acknowledge(readings, ends, last);
                    self.lock().has_spooled = !spool.is_empty();
                }
            }
        }
        let mut state = self.lock();
        state.clock.mark_reported(clock_states(&entries));
        state.recent.add(entries, Instant::now());
    }

    /// Schedules the entries of the last minute to be sent again, after Redis may have lost them,
    /// and returns how many there are.
    pub fn resend(&self) -> usize {
        self.lock().recent.resend()
    }

    /// Returns whether the skew of the host's clock has to be measured before the next entry is sent.
    pub fn is_skew_due(&self, now: Moment) -> bool {
        self.lock().clock.is_due(now)
    }

    /// Records a measurement of the skew: at `asked` Redis was asked for its time, and `round_trip` later replied with
    /// seconds and microseconds since 1970.
    pub fn update_skew(&self, asked: Moment, round_trip: Duration, redis_time: (u64, u64)) {
        self.lock().clock.update(asked, round_trip, redis_time);
    }

    /// Marks these descriptions as written.
    pub fn mark_descriptions_written(&self, written: &[(DeviceId, String)]) {
        let now = Instant::now();
        let mut state = self.lock();
        for (device, json) in written {
            state.inventory.mark_written(device, json, now);
        }
    }

    /// Schedules all descriptions to be written again, after Redis may have lost them.
    pub fn rewrite_descriptions(&self) {
        self.lock().inventory.mark_all_unwritten();
    }

    /// Returns the description of every device, marked as leaving.
    pub fn leaving(&self) -> Vec<(DeviceId, String)> {
        self.lock().inventory.leaving()
    }

    /// Counts the readings that are not published.
    pub async fn stats(&self) -> BacklogStats {
        let mut spool = self.0.spool.lock().await;
        let is_spool_closed = spool.as_mut().is_some_and(|spool| !spool.is_open());
        let state = self.lock();
        BacklogStats {
            is_spool_closed,
            dropped: state.queue.dropped() + spool.as_ref().map_or(0, Spool::dropped),
            waiting: state.queue.waiting() as u64,
            spooled: spool.as_ref().map_or(0, Spool::waiting),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held stops the whole agent anyway.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the run of each entry, and the state of the clock when its readings were taken.
fn clock_states(entries: &[Entry]) -> impl Iterator<Item = (&Arc<str>, ClockState)> {
    entries.iter().map(|entry| (&entry.run, entry.clock))
}
