//! Clocks that go wrong: a device whose readings stay older than its newest one.
//!
//! Such readings are late or repeated, as a rule, and not judged. But where a clock was set back they
//! are all there is: to wait until it has caught up would be blind for as long. What tells the two
//! apart is the pace. Late readings of a backlog come much faster than they were taken; those of a
//! clock set back come at the pace of the entries, however long one looks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{StreamId, Timestamp};

/// So many readings in a row have to be behind.
const READINGS: u32 = 3;
/// For so long by the clock of entry ids, which is Redis' own.
const LASTING: Duration = Duration::from_secs(10);
/// Their timestamps may advance by so much more than that clock: a backlog is sent much faster.
const PACE: u32 = 2;
/// An episode of a clock set back is over after this long at the latest.
pub(super) const FORGIVEN: Duration = Duration::from_mins(15);

/// What is remembered of a device's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// Readings in a row that are behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Box<Behind>>,
    /// It was set back, and that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) set_back: Option<SetBack>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Behind {
    readings: u32,
    since_entry: u64,
    since: Timestamp,
    last: Timestamp,
}

/// A clock that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SetBack {
    /// The first reading by the new time.
    pub(super) started: Timestamp,
    /// The newest reading by the old time; none where it is not known any more.
    pub(super) from: Option<Timestamp>,
}

impl Clock {
    /// Nothing but the usual.
    pub(super) fn is_fine(&self) -> bool {
        *self == Self::default()
    }

    /// A reading that is not newer than the device's newest; whether a new time begins with it.
    pub(super) fn behind(&mut self, entry: StreamId, at: Timestamp) -> bool {
        let begun = Behind {
            readings: 1,
            since_entry: entry.ms,
            since: at,
            last: at,
        };
        let Some(behind) = &mut self.behind else {
            self.behind = Some(Box::new(begun));
            return false;
        };
        if at <= behind.last {
            // Repeated, or out of order: no clock.
            return false;
        }
        behind.readings += 1;
        behind.last = at;
        let elapsed = Duration::from_millis(entry.ms.saturating_sub(behind.since_entry));
        if at.since(behind.since) > elapsed * PACE + LASTING {
            **behind = begun;
            return false;
        }
        let lasting = behind.readings >= READINGS && elapsed >= LASTING;
        lasting && at.since(behind.since) <= elapsed * PACE
    }

    /// A reading that is newer than the device's newest.
    pub(super) fn in_time(&mut self) {
        self.behind = None;
    }

    /// A new time begins with the reading of `at`.
    pub(super) fn begin(&mut self, at: Timestamp, from: Timestamp) {
        self.behind = None;
        self.set_back = Some(SetBack {
            started: at,
            from: Some(from),
        });
    }

    /// Whether what was said of it is over, with the reading of `at`.
    pub(super) fn recovers(&mut self, at: Timestamp) -> Option<SetBack> {
        let set_back = self.set_back?;
        let caught_up = set_back.from.is_some_and(|from| at > from);
        if caught_up || at.since(set_back.started) >= FORGIVEN {
            self.set_back = None;
            return Some(set_back);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn entry(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    proptest! {
        #[test]
        fn a_clock_set_back_is_noticed(back in 60_000u64..86_400_000, step in 500u64..20_000) {
            let mut clock = Clock::default();
            let noticed = (0..100u64).find(|n| {
                let now = NOW + n * step;
                clock.behind(entry(now), at(now - back))
            });
            let noticed = noticed.expect("it must be");
            prop_assert!(noticed >= 2, "three readings at least");
            prop_assert!(noticed * step >= 10_000 && (noticed - 1) * step <= 40_000);
        }

        #[test]
        fn a_backlog_that_is_sent_is_none(pace in 5u64..500, step in 500u64..20_000, count in 10u64..400) {
            let mut clock = Clock::default();
            for n in 0..count {
                let behind = clock.behind(entry(NOW + n * step / pace), at(NOW - (count - n) * step));
                prop_assert!(!behind);
            }
        }

        #[test]
        fn repeated_readings_are_none(times in prop::collection::vec(0u64..60_000, 3..50)) {
            let mut clock = Clock::default();
            for (n, time) in (0..).zip(times) {
                // The same minute again and again, faster than it was.
                prop_assert!(!clock.behind(entry(NOW + n * 10), at(NOW - 60_000 + time)));
            }
        }
    }
}
