//! Moving entries from memory to disk.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Backlog, pack};

/// Time in memory after which entries go to disk.
const SPOOL_AFTER: Duration = Duration::from_secs(1);

/// Time between two checks whether entries waited that long.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Entries written to disk at a time.
const ENTRIES_AT_ONCE: usize = 5_000;

/// Time that the disk has at the stop for what is left.
const SAVE_TIMEOUT: Duration = Duration::from_secs(1);

impl Backlog {
    /// Moves entries that wait too long to disk, until `published` is cancelled: the publisher has
    /// ended.
    pub async fn spill(self, published: CancellationToken) {
        let mut checks = tokio::time::interval(CHECK_EVERY);
        while published.run_until_cancelled(checks.tick()).await.is_some() {
            self.spill_some(false).await;
        }
    }

    /// Moves all entries to disk for the next start, after the publisher has ended.
    pub async fn save(&self) {
        let save_all = async {
            while self.spill_some(true).await {}
            let last = self.lock().queue.last();
            if let Some(spool) = &mut *self.0.spool.lock().await
                && spool.is_open()
            {
                spool.close(last).await;
            }
        };
        // A disk that hangs is logged by the spool.
        let _elapsed = tokio::time::timeout(SAVE_TIMEOUT, save_all).await;
    }

    /// Moves a part of the queue to disk if that is due, or in any case with `all`. Returns whether
    /// anything was moved.
    async fn spill_some(&self, all: bool) -> bool {
        let mut spool = self.0.spool.lock().await;
        let Some(spool) = &mut *spool else {
            return false;
        };
        if !spool.is_open() {
            return false;
        }
        // What an earlier run left in a spool that has opened only now.
        self.lock().has_spooled |= !spool.is_empty();
        if !all && !spool.is_writable() {
            return false;
        }
        let entries = {
            let state = self.lock();
            let is_late = |queued: Instant| queued.elapsed() >= SPOOL_AFTER;
            let is_due = state.queue.oldest().is_some_and(is_late) || state.queue.is_half_full();
            if !all && (state.is_sending || !is_due) {
                return false;
            }
            let mut entries = state.queue.front(ENTRIES_AT_ONCE);
            for entry in &mut entries {
                // The next run does not know when the clock was set in this one.
                entry.clock.skew = state.clock.skew(&entry.run, entry.clock);
            }
            entries
        };
        let (records, last): (Vec<_>, Vec<_>) = pack::records(&entries).into_iter().unzip();
        let written = if records.is_empty() {
            0
        } else {
            spool.append(records).await
        };
        let mut state = self.lock();
        state.has_spooled = !spool.is_empty();
        match last.get(..written).and_then(<[u64]>::last) {
            Some(last) => state.queue.remove_through(*last),
            None => return false,
        }
        true
    }
}
