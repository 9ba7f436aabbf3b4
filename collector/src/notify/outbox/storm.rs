//! Storms: the rate of messages above which an outbox sends digests.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Window in which messages are counted: a person can read a few messages a minute.
const WINDOW: Duration = Duration::from_mins(1);
/// Time for which notifications are collected: most of a storm fits in, and the delay stays short.
pub(super) const COLLECT: Duration = Duration::from_secs(15);
/// Most notifications that are collected, which bounds memory.
pub(super) const COLLECT_LIMIT: usize = 1000;

/// Returns the default of `storm`: a person can read a message every six seconds, but no more.
pub(in crate::notify) fn default_threshold() -> usize {
    10
}

/// Counts the messages of the last minute.
#[derive(Debug)]
pub(super) struct StormDetector {
    /// The number of messages that makes a storm; zero means never.
    threshold: usize,
    sent: VecDeque<Instant>,
}

impl StormDetector {
    /// Creates a detector without messages.
    pub(super) fn new(threshold: usize) -> Self {
        Self {
            threshold,
            sent: VecDeque::new(),
        }
    }

    /// Counts a message that was sent now.
    pub(super) fn count(&mut self) {
        self.sent.push_back(Instant::now());
    }

    /// Returns whether the messages of the last minute make a storm.
    pub(super) fn is_storm(&mut self) -> bool {
        while self.sent.front().is_some_and(|at| at.elapsed() >= WINDOW) {
            self.sent.pop_front();
        }
        self.threshold > 0 && self.sent.len() >= self.threshold
    }
}
