//! Clocks that were set back: a device whose readings stay older than its newest one.
//!
//! Such readings are usually late or repeated, and are not evaluated. After a clock was set back they are the
//! only ones, and waiting for the clock to catch up would leave the device unwatched. The pace distinguishes
//! them. Late readings of a backlog arrive much faster than they were taken; those of a clock that was set
//! back arrive as fast as they are taken, for as long as one looks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The least number of readings behind, one after the other.
const MIN_READINGS: u32 = 3;
/// The least time that they take, by the clock of entry ids, which is Redis' own.
const MIN_TIME: Duration = Duration::from_secs(10);
/// The greatest factor by which timestamps may advance faster than entry ids. A backlog is much faster.
const MAX_PACE: u32 = 2;
/// The longest time for which a clock that was set back is an alert.
const FORGIVEN_AFTER: Duration = Duration::from_mins(15);

/// The state of a device's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// The readings behind since the last one in time.
    #[serde(rename = "behind", default, skip_serializing_if = "Option::is_none")]
    behind: Option<Box<Behind>>,
    /// The open alert about this clock.
    #[serde(rename = "set_back", default, skip_serializing_if = "Option::is_none")]
    pub(super) set_back: Option<SetBack>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Behind {
    #[serde(rename = "readings")]
    readings: u32,
    /// The arrival of the first, in milliseconds by Redis' clock.
    #[serde(rename = "arrived")]
    arrived: u64,
    #[serde(rename = "since")]
    since: Timestamp,
    #[serde(rename = "last")]
    last: Timestamp,
}

/// A clock that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SetBack {
    /// The first reading of the new time.
    #[serde(rename = "started")]
    pub(super) started: Timestamp,
    /// The newest reading of the old time; none where it is unknown after a restart.
    #[serde(rename = "from")]
    pub(super) from: Option<Timestamp>,
}

impl Clock {
    /// Returns whether there is nothing to store.
    pub(super) fn is_fine(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in a reading that is not newer than the device's newest, and
    /// arrived at `arrived`, in milliseconds by Redis' clock. Returns whether a new time begins with
    /// it.
    pub(super) fn behind(&mut self, arrived: u64, at: Timestamp) -> bool {
        let first = Behind {
            readings: 1,
            arrived,
            since: at,
            last: at,
        };
        let Some(behind) = &mut self.behind else {
            self.behind = Some(Box::new(first));
            return false;
        };
        if at <= behind.last {
            // Repeated or out of order: that has nothing to do with the clock.
            return false;
        }
        behind.readings += 1;
        behind.last = at;
        let elapsed = Duration::from_millis(arrived.saturating_sub(behind.arrived));
        if at.since(behind.since) > elapsed * MAX_PACE + MIN_TIME {
            **behind = first;
            return false;
        }
        let is_lasting = behind.readings >= MIN_READINGS && elapsed >= MIN_TIME;
        is_lasting && at.since(behind.since) <= elapsed * MAX_PACE
    }

    /// Takes in a reading that is newer than the device's newest.
    pub(super) fn in_time(&mut self) {
        self.behind = None;
    }

    /// Begins a new time with the reading of `at`; `from` is the newest of the old time.
    pub(super) fn begin(&mut self, at: Timestamp, from: Timestamp) {
        self.behind = None;
        self.set_back = Some(SetBack {
            started: at,
            from: Some(from),
        });
    }

    /// Closes the alert if the reading of `at` shows that the clock caught up, or that the time of the alert is
    /// over.
    pub(super) fn recovers(&mut self, at: Timestamp) -> Option<SetBack> {
        let set_back = self.set_back?;
        let caught_up = set_back.from.is_some_and(|from| at > from);
        if caught_up || at.since(set_back.started) >= FORGIVEN_AFTER {
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

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    proptest! {
        #[test]
        fn a_clock_that_is_set_back_is_noticed(back in 60_000u64..86_400_000, step in 500u64..20_000) {
            let mut clock = Clock::default();
            let noticed = (0..100u64).find(|n| {
                let now = NOW + n * step;
                clock.behind(now, at(now - back))
            });
            let noticed = noticed.expect("a clock that stays behind is noticed");
            prop_assert!(noticed >= 2, "at least three readings");
            prop_assert!(noticed * step >= 10_000 && (noticed - 1) * step <= 40_000);
        }

        #[test]
        fn a_backlog_is_not_a_clock_set_back(pace in 5u64..500, step in 500u64..20_000, count in 10u64..400) {
            let mut clock = Clock::default();
            for n in 0..count {
                let behind = clock.behind(NOW + n * step / pace, at(NOW - (count - n) * step));
                prop_assert!(!behind);
            }
        }

        #[test]
        fn repeated_readings_are_not_a_clock_set_back(times in prop::collection::vec(0u64..60_000, 3..50)) {
            let mut clock = Clock::default();
            for (n, time) in (0..).zip(times) {
                // The same minute repeated, faster than it was recorded.
                prop_assert!(!clock.behind(NOW + n * 10, at(NOW - 60_000 + time)));
            }
        }
    }
}
