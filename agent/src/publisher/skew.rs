//! The skew between this host's clock and Redis'. Pure.

use std::time::{Duration, Instant};

use rackwatch_core::time::Timestamp;

/// Time between two measurements: clocks drift slowly.
const MEASURE_EVERY: Duration = Duration::from_mins(1);
/// Difference between the wall clock and the monotonic clock that is a step of the wall clock.
const STEP: Duration = Duration::from_secs(2);
/// Longest round trip of a measurement. A slower one could be wrong by more than a collector tolerates.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);

/// The last measurement of the skew.
#[derive(Debug, Default)]
pub(super) struct ClockSkew {
    measured: Option<(Instant, Timestamp)>,
    /// Skew that no entry has reported yet, in milliseconds.
    unreported: Option<i64>,
}

impl ClockSkew {
    /// Returns whether to measure again: after a while, or because this host's clock was set since. `now` is
    /// the time of that clock.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.measured.is_none_or(|(measured, at)| {
            let elapsed = measured.elapsed();
            elapsed >= MEASURE_EVERY || is_step(at.plus(elapsed), now)
        })
    }

    /// Records a measurement: at `asked_at` by this host's clock Redis was asked for its time, and
    /// `round_trip` later replied with seconds and microseconds since 1970.
    pub(super) fn update(
        &mut self,
        asked_at: Timestamp,
        round_trip: Duration,
        redis_time: (u64, u64),
    ) {
        self.measured = Some((Instant::now(), asked_at.plus(round_trip)));
        if round_trip > MAX_ROUND_TRIP {
            return;
        }
        self.unreported = Some(estimate(asked_at, round_trip, redis_time));
    }

    /// Returns by how many milliseconds this host's clock is ahead, unless that was reported.
    pub(super) fn unreported(&self) -> Option<i64> {
        self.unreported
    }

    /// Marks the last measurement as reported.
    pub(super) fn mark_reported(&mut self) {
        self.unreported = None;
    }
}

/// Returns whether the time `now` differs from the `expected` one because the clock was set.
fn is_step(expected: Timestamp, now: Timestamp) -> bool {
    now.since(expected) + expected.since(now) > STEP
}

/// Returns the skew in milliseconds, assuming that Redis replied halfway through the round trip.
fn estimate(asked_at: Timestamp, round_trip: Duration, (seconds, micros): (u64, u64)) -> i64 {
    let ours = asked_at.plus(round_trip / 2).millis();
    let theirs = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    ours.cast_signed().saturating_sub(theirs.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_measured_again_at_once() {
        let now = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let mut skew = ClockSkew::default();
        assert!(skew.is_due(now));
        skew.update(now, Duration::ZERO, (1_700_000_000, 0));
        assert!(!skew.is_due(now.plus(Duration::from_secs(1))));
        assert!(skew.is_due(now.plus(Duration::from_secs(3600))));
        assert!(skew.is_due(now.minus(Duration::from_secs(3600))));
    }

    #[test]
    fn a_slow_round_trip_is_no_measurement() {
        let now = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let mut skew = ClockSkew::default();
        skew.update(now, Duration::from_secs(20), (1_700_000_020, 0));
        assert_eq!(skew.unreported(), None);
    }

    #[test]
    fn half_the_round_trip_counts() {
        let asked_at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let round_trip = Duration::from_millis(20);
        let skew = |redis_time| estimate(asked_at, round_trip, redis_time);
        assert_eq!(skew((1_700_000_000, 10_000)), 0);
        assert_eq!(skew((1_700_000_007, 0)), -6_990);
        assert_eq!(skew((1_699_999_990, 0)), 10_010);
    }
}
