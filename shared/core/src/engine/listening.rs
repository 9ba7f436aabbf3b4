//! The clock of absence: how long the collector has listened.
//!
//! It runs on the ids of entries, which are Redis' own clock, and on the time that the collector waited at the
//! end of a stream. A gap between two entries counts for half a minute at most unless it was waited out: while
//! Redis or the collector was away, nothing could arrive from anyone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The longest part of a gap between two entries that counts, in milliseconds.
const MAX_GAP_MS: u64 = 30_000;
/// The interval of checks for absence, in milliseconds of listening.
const CHECK_EVERY_MS: u64 = 5_000;

/// The time that the collector has listened, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Listening {
    /// The count so far. It starts at one, so that zero means never.
    #[serde(rename = "count")]
    pub(super) count: u64,
    /// The end of the time listened, by Redis' clock.
    #[serde(rename = "until")]
    until: u64,
    /// The count at the last check.
    #[serde(rename = "checked")]
    checked: u64,
}

impl Listening {
    /// Takes in an entry that arrived at `ms`. Returns whether a check is due.
    pub(super) fn entry(&mut self, ms: u64) -> bool {
        if self.count == 0 {
            *self = Self {
                count: 1,
                until: ms,
                checked: 1,
            };
        }
        let gap = ms.saturating_sub(self.until).min(MAX_GAP_MS);
        self.until = self.until.max(ms);
        self.count += gap;
        self.is_due()
    }

    /// Takes in a time without entries. Returns whether a check is due.
    pub(super) fn waited(&mut self, wait: Duration) -> bool {
        if self.count == 0 {
            return false;
        }
        let wait = u64::try_from(wait.as_millis()).unwrap_or(0);
        self.count += wait;
        self.until += wait;
        self.is_due()
    }

    fn is_due(&mut self) -> bool {
        let due = self.count - self.checked >= CHECK_EVERY_MS;
        if due {
            self.checked = self.count;
        }
        due
    }

    /// Returns the end of the time listened, by Redis' clock.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.until).unwrap_or_default()
    }
}
