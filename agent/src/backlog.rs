//! What is not published yet, between the sampler and the publisher: in memory, and on disk where
//! Redis does not take it for long.
//!
//! In: what the sampler says. Out: entries in order, to be taken off once Redis has them, and the
//! descriptions that go before them. Entries that waited longer than a second go to the spool, and
//! come back from there as frames before anything in memory. Lost: the oldest readings when the spool
//! is full or there is none and more wait than the queue holds (`publish.queue`), counted, and logged
//! when it begins and ends; what is in memory alone when the process dies.

mod pack;
mod queue;
mod recent;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::device::DeviceId;
use rackwatch_core::wire::Seq;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::PublishConfig;
use crate::inventory::Inventory;
use crate::sampler::Observed;
use crate::spool::Spool;
use crate::spool::log::End;

pub use queue::{Content, Entry, Queue};
use recent::Recent;

/// What waited for so long goes to disk.
const SPOOL_AFTER: Duration = Duration::from_secs(1);
/// How often to look whether something does.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Entries written to disk in one go.
const SPOOLED_AT_ONCE: usize = 5_000;
/// Readings of one round trip from disk: half a megabyte, and some milliseconds of Redis' time.
const DRAINED_AT_ONCE: usize = 20_000;
/// A disk that does not give back what it has is left in peace for so long.
const DISK_RESTS: Duration = Duration::from_secs(1);
/// At the stop the disk has this long for what is left.
const SAVE_DEADLINE: Duration = Duration::from_secs(1);

/// How long after the stop the sampler may take to say its last: longer than it waits for a source
/// that hangs.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The backlog; clones are the same one.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Held while entries go to disk or come from there, so that none is in both places.
    spool: tokio::sync::Mutex<Option<Spool>>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    recent: Recent,
    inventory: Inventory,
    closed: bool,
    /// Something is on disk.
    spooled: bool,
    /// When to look there again, where the disk does not give it back.
    disk_rests: Option<Instant>,
    /// The publisher has entries of the queue under way.
    in_flight: bool,
}

/// What to send next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Descriptions that go first.
    pub descriptions: Vec<(DeviceId, String)>,
    /// Entries, in order.
    pub entries: Vec<Entry>,
    /// A device to ask for, to notice that descriptions were lost.
    pub probe: Option<DeviceId>,
    /// Where they come from.
    origin: Origin,
}

/// Where entries come from.
#[derive(Clone, Debug, Default, PartialEq)]
enum Origin {
    /// They were sent before, and Redis may have lost them.
    Again,
    /// The spool; where each ends there.
    Disk(Vec<End>),
    /// The queue.
    #[default]
    Memory,
}

impl Work {
    /// These, from memory.
    #[cfg(test)]
    pub(crate) fn of(
        descriptions: Vec<(DeviceId, String)>,
        entries: Vec<Entry>,
        probe: Option<DeviceId>,
    ) -> Self {
        Self {
            descriptions,
            entries,
            probe,
            origin: Origin::Memory,
        }
    }
}

impl State {
    /// Whether something is on disk, and it is worth asking for it.
    fn gives_from_disk(&self) -> bool {
        self.spooled && self.disk_rests.is_none_or(|until| Instant::now() >= until)
    }
}

/// What became of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Dropped because too many waited.
    pub dropped: u64,
    /// In memory.
    pub waiting: u64,
    /// On disk.
    pub spooled: u64,
}

impl Backlog {
    /// A backlog of `run`, with what is in `spool`; `prev` is the last number of the run before.
    pub fn new(
        config: &PublishConfig,
        inventory: Inventory,
        run: &str,
        spool: Option<Spool>,
        prev: Option<Seq>,
    ) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(config.layout, config.queue.get(), run, prev),
                recent: Recent::new(config.queue.get()),
                inventory,
                closed: false,
                spooled: spool.as_ref().is_some_and(|spool| !spool.is_empty()),
                disk_rests: None,
                in_flight: false,
            }),
            spool: tokio::sync::Mutex::new(spool),
            changed: Notify::new(),
        }))
    }

    /// Takes what the sampler says until it ends, or hangs at the stop.
    pub async fn fill(self, mut observed: mpsc::Receiver<Observed>, stop: CancellationToken) {
        let take_all = async {
            while let Some(observed) = observed.recv().await {
                self.take(observed);
            }
        };
        let hangs = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = take_all => {}
            () = hangs => {}
        }
        self.lock().closed = true;
        self.0.changed.notify_one();
    }

    fn take(&self, observed: Observed) {
        let mut state = self.lock();
        match observed {
            Observed::Found(found) => state.inventory.found(found),
            Observed::Sample(mut sample) => {
                let State {
                    queue, inventory, ..
                } = &mut *state;
                sample.readings.retain(|r| inventory.is_on(&r.device));
                queue.push(sample);
            }
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Waits for something to send; false when nothing is left and nothing will come.
    ///
    /// For one caller at a time.
    pub async fn wait(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.queue.is_empty() || state.recent.is_due() || state.gives_from_disk() {
                    return true;
                }
                if state.closed {
                    return false;
                }
                if !state.inventory.pending(Instant::now()).is_empty() {
                    return true;
                }
            }
            // A disk that rests does not say when it is well again.
            let changed = self.0.changed.notified();
            let _rested = tokio::time::timeout(DISK_RESTS, changed).await;
        }
    }

    /// The descriptions that are due and the first entries, of memory at most `limit`; they stay
    /// here until [`Backlog::done`] and [`Backlog::described`].
    pub async fn next(&self, limit: usize) -> Work {
        let mut spool = self.0.spool.lock().await;
        let mut drained = Vec::new();
        let from_disk = {
            let state = self.lock();
            state.spooled && !state.recent.is_due()
        };
        let usable = spool.as_mut().filter(|spool| from_disk && spool.gives());
        if let Some(spool) = usable {
            drained = spool.first(DRAINED_AT_ONCE).await;
            self.lock().spooled = !spool.is_empty();
        }
        if from_disk && drained.is_empty() {
            self.lock().disk_rests = Some(Instant::now() + DISK_RESTS);
        }
        let mut state = self.lock();
        let (entries, origin) = if state.recent.is_due() {
            (state.recent.again(limit), Origin::Again)
        } else if drained.is_empty() {
            // Also while a disk cannot be read: what is now comes before what was.
            state.in_flight = true;
            (state.queue.first(limit), Origin::Memory)
        } else {
            let (records, ends): (Vec<_>, Vec<_>) = drained.into_iter().unzip();
            let entries = records.into_iter().map(pack::entry).collect();
            (entries, Origin::Disk(ends))
        };
        Work {
            descriptions: state.inventory.pending(Instant::now()),
            probe: state.inventory.probe(),
            entries,
            origin,
        }
    }

    /// Redis has the first `count` entries of `work`; the rest is to be sent again.
    pub async fn done(&self, mut work: Work, count: usize) {
        work.entries.truncate(count);
        let (entries, last) = (work.entries, self.lock().queue.last());
        match work.origin {
            Origin::Again => self.lock().recent.sent_again(entries.len()),
            Origin::Memory => {
                let mut state = self.lock();
                state.in_flight = false;
                if let Some(last) = entries.last() {
                    state.queue.done(last.n);
                }
            }
            Origin::Disk(mut ends) => {
                ends.truncate(entries.len());
                let readings = entries.iter().map(|entry| entry.readings() as u64).sum();
                if let Some(spool) = &mut *self.0.spool.lock().await {
                    spool.done(readings, ends, last);
                    self.lock().spooled = !spool.is_empty();
                }
            }
        }
        self.lock().recent.sent(entries, Instant::now());
    }

    /// Redis may have lost what it had: all of the last minute is to be sent again. Says how many
    /// entries that is.
    pub fn send_again(&self) -> usize {
        self.lock().recent.send_again()
    }

    /// Moves to disk what waits too long, until the publisher has ended.
    pub async fn spill(self, ended: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while ended.run_until_cancelled(looks.tick()).await.is_some() {
            self.spill_some(false).await;
        }
    }

    /// Moves a part of the queue to disk where that is due, or all of it; false where nothing was.
    async fn spill_some(&self, all: bool) -> bool {
        let mut spool = self.0.spool.lock().await;
        let Some(spool) = spool.as_mut().filter(|spool| all || spool.takes()) else {
            return false;
        };
        let entries = {
            let state = self.lock();
            let late = |taken: Instant| taken.elapsed() >= SPOOL_AFTER;
            let due = state.queue.oldest().is_some_and(late) || state.queue.is_filling();
            if !all && (state.in_flight || !due) {
                return false;
            }
            state.queue.first(SPOOLED_AT_ONCE)
        };
        let (records, last): (Vec<_>, Vec<_>) = pack::records(&entries).into_iter().unzip();
        let taken = if records.is_empty() {
            0
        } else {
            spool.append(records).await
        };
        let mut state = self.lock();
        state.spooled = !spool.is_empty();
        match last.get(..taken).and_then(<[u64]>::last) {
            Some(last) => state.queue.done(*last),
            None => return false,
        }
        true
    }

    /// The publisher has ended: what is left goes to disk for the next start.
    pub async fn save(&self) {
        let all = async {
            while self.spill_some(true).await {}
            let last = self.lock().queue.last();
            if let Some(spool) = &mut *self.0.spool.lock().await {
                spool.close(last).await;
            }
        };
        // A disk that hangs has its own log line.
        let _late = tokio::time::timeout(SAVE_DEADLINE, all).await;
    }

    /// Redis has these descriptions.
    pub fn described(&self, written: &[(DeviceId, String)]) {
        let now = Instant::now();
        let mut state = self.lock();
        for (device, json) in written {
            state.inventory.written(device, json, now);
        }
    }

    /// Redis has lost the descriptions, or may have.
    pub fn descriptions_lost(&self) {
        self.lock().inventory.forget_written();
    }

    /// Every device with the JSON that says its agent stopped.
    pub fn leaving(&self) -> Vec<(DeviceId, String)> {
        self.lock().inventory.leaving()
    }

    /// What became of the readings that are not published.
    pub async fn fate(&self) -> Fate {
        let spool = self.0.spool.lock().await;
        let state = self.lock();
        Fate {
            dropped: state.queue.dropped() + spool.as_ref().map_or(0, Spool::dropped),
            waiting: state.queue.waiting() as u64,
            spooled: spool.as_ref().map_or(0, Spool::waiting),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics while holding it stops the whole agent anyway.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
