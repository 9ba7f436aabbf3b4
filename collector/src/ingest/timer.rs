//! Work that a loop does now and then, between its batches.

use std::time::{Duration, Instant};

/// An interval since the work was last done.
#[derive(Debug)]
pub(super) struct Timer {
    interval: Duration,
    last: Instant,
}

impl Timer {
    /// Starts a timer that is due after `interval`.
    pub(super) fn every(interval: Duration) -> Self {
        Self {
            interval,
            last: Instant::now(),
        }
    }

    /// Returns whether the interval has passed.
    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= self.interval
    }

    /// Starts the next interval.
    pub(super) fn restart(&mut self) {
        self.last = Instant::now();
    }
}
