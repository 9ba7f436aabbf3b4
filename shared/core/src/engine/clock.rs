//! Wrong clocks of devices: set back, ahead, or late for good.
//!
//! **Set back**: a device whose readings stay older than its newest one. Such readings are usually late or
//! repeated, and are not evaluated. After a clock was set back they are the only ones, and waiting for the clock
//! to catch up would leave the device unwatched. The pace distinguishes them. Late readings of a backlog arrive
//! much faster than they were taken; those of a clock that was set back arrive as fast as they are taken, for as
//! long as one looks.
//!
//! **Ahead**: a plain client whose clock is ahead. Its readings are corrected before they come here.
//!
//! **Late**: readings that keep arriving long after their timestamps, and do not catch up as a backlog does.
//! Their alerts are of the past, and send no notification, so people must know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertRecord, Severity};
use crate::time::Timestamp;

/// The least number of readings behind, one after the other.
const MIN_READINGS: u32 = 3;
/// The least time that they take, by the clock of entry ids, which is Redis' own.
const MIN_TIME: Duration = Duration::from_secs(10);
/// The greatest factor by which timestamps may advance faster than entry ids. A backlog is much faster.
const MAX_PACE: u32 = 2;
/// The longest time for which a clock that was set back is an alert.
const FORGIVEN_AFTER: Duration = Duration::from_mins(15);
/// The delay from which readings are late: their alerts would not be news.
const LATE: Duration = AlertRecord::NEWS;
/// The time for which readings must be late without catching up.
const LATE_FOR: Duration = Duration::from_secs(60);
/// The decrease of the delay that counts as catching up.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// The state of a device's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// The readings behind since the last one in time.
    #[serde(rename = "behind", default, skip_serializing_if = "Option::is_none")]
    behind: Option<Box<Behind>>,
    /// The late readings since the last one that was not.
    #[serde(rename = "late", default, skip_serializing_if = "Option::is_none")]
    late: Option<Box<Late>>,
    /// The open alert about this clock.
    #[serde(rename = "wrong", default, skip_serializing_if = "Option::is_none")]
    pub(super) wrong: Option<WrongClock>,
}

/// Late readings that do not catch up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Late {
    /// The arrival of the first, in milliseconds by Redis' clock.
    #[serde(rename = "arrived")]
    arrived: u64,
    /// The delay of the first.
    #[serde(rename = "delay_ms")]
    delay_ms: u64,
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

/// The open alert about a clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct WrongClock {
    #[serde(rename = "started")]
    pub(super) started: Timestamp,
    #[serde(rename = "cause")]
    pub(super) cause: WrongBy,
}

/// The way in which a clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrongBy {
    /// Set back from this time; none where that is unknown after a restart.
    SetBack(Option<Timestamp>),
    /// Ahead, with readings that are corrected.
    Ahead,
    /// Readings keep arriving late.
    Late,
}

impl WrongBy {
    /// Returns the severity of the alert. Readings that are late for good leave a sensor unwatched.
    pub(super) fn severity(self) -> Severity {
        match self {
            Self::SetBack(_) | Self::Ahead => Severity::Warning,
            Self::Late => Severity::Critical,
        }
    }
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

    /// Begins a new time with the reading of `at`; `from` is the newest of the old time. Returns whether that is
    /// a new alert. A clock that is right now raises none.
    pub(super) fn begin(&mut self, at: Timestamp, from: Timestamp, is_right: bool) -> bool {
        self.behind = None;
        if is_right && self.wrong.is_none() {
            return false;
        }
        let is_open = self.wrong.is_some();
        self.wrong = Some(WrongClock {
            started: at,
            cause: WrongBy::SetBack(Some(from)),
        });
        !is_open
    }

    /// Closes the alert about a clock that was set back if the reading of `at` shows that it caught up, or that
    /// the time of the alert is over.
    pub(super) fn recovers(&mut self, at: Timestamp) -> Option<WrongClock> {
        let wrong = self.wrong?;
        let WrongBy::SetBack(from) = wrong.cause else {
            return None;
        };
        let caught_up = from.is_some_and(|from| at > from);
        if caught_up || at.since(wrong.started) >= FORGIVEN_AFTER {
            self.wrong = None;
            return Some(wrong);
        }
        None
    }

    /// Opens an alert at `at`, or changes the cause of the open one. Returns when it started if that must be
    /// reported: it is new, or became critical.
    pub(super) fn open(&mut self, at: Timestamp, cause: WrongBy) -> Option<Timestamp> {
        let before = self.wrong;
        let started = before.map_or(at, |wrong| wrong.started);
        self.wrong = Some(WrongClock { started, cause });
        let is_news = before.is_none_or(|before| before.cause.severity() < cause.severity());
        is_news.then_some(started)
    }

    /// Closes the alert if it has this cause.
    pub(super) fn close(&mut self, cause: WrongBy) -> Option<WrongClock> {
        self.wrong.take_if(|wrong| wrong.cause == cause)
    }

    /// Takes in that the reading of `at` arrived at `arrived`, in milliseconds by Redis' clock. Returns the
    /// delay if readings have been late for a while and do not catch up.
    pub(super) fn delay(&mut self, arrived: u64, at: Timestamp) -> Delay {
        let delay = Duration::from_millis(arrived.saturating_sub(at.millis()));
        if delay < LATE {
            self.late = None;
            return Delay::None;
        }
        let delay_ms = arrived.saturating_sub(at.millis());
        let now = Late { arrived, delay_ms };
        let first = self.late.get_or_insert_with(|| Box::new(now));
        if delay + CATCHING_UP < Duration::from_millis(first.delay_ms) {
            **first = now;
        }
        let lasted = Duration::from_millis(arrived.saturating_sub(first.arrived));
        if lasted >= LATE_FOR {
            Delay::Lasting(delay)
        } else {
            Delay::Some
        }
    }
}

/// The delay of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delay {
    /// Arrival soon enough to be news.
    None,
    /// Late, but perhaps catching up.
    Some,
    /// Late by about the same time as the readings before it.
    Lasting(Duration),
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
