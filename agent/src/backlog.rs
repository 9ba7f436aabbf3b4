//! What is not published yet, in memory, between the sampler and the publisher.
//!
//! In: what the sampler says. Out: entries in order, to be taken off once Redis has them, and the
//! descriptions that go before them. Lost: the oldest readings when more wait than the queue holds
//! (`publish.queue`; Redis is away for long), counted and logged when it begins and ends; everything
//! in it when the process dies.
//!
//! This is the place of a spool on disk: the stages on both sides know only what is public here.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::device::DeviceId;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::PublishConfig;
use crate::inventory::Inventory;
use crate::sampler::Observed;

pub use queue::{Content, Entry, Queue};

/// How long after the stop the sampler may take to say its last: longer than it waits for a source
/// that hangs.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The backlog; clones are the same one.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    inventory: Inventory,
    closed: bool,
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
}

impl Backlog {
    /// An empty backlog.
    pub fn new(config: &PublishConfig, inventory: Inventory) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(config.layout, config.queue.get()),
                inventory,
                closed: false,
            }),
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
                if !state.queue.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
                if !state.inventory.pending(Instant::now()).is_empty() {
                    return true;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// The descriptions that are due and the first `limit` entries; they stay here until
    /// [`Backlog::done`] and [`Backlog::described`].
    pub fn next(&self, limit: usize) -> Work {
        let mut state = self.lock();
        Work {
            descriptions: state.inventory.pending(Instant::now()),
            entries: state.queue.first(limit),
            probe: state.inventory.probe(),
        }
    }

    /// Redis has all entries up to number `n`.
    pub fn done(&self, n: u64) {
        self.lock().queue.done(n);
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

    /// Readings dropped so far, and readings that wait.
    pub fn losses(&self) -> (u64, usize) {
        let state = self.lock();
        (state.queue.dropped(), state.queue.waiting())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics while holding it stops the whole agent anyway.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
