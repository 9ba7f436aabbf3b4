//! The skew between this host's clock and Redis'. Pure.

use std::time::{Duration, Instant};

use rackwatch_core::time::Timestamp;

/// Time between two measurements: clocks drift slowly.
const MEASURE_EVERY: Duration = Duration::from_mins(1);

/// The last measurement of the skew.
#[derive(Debug, Default)]
pub(super) struct ClockSkew {
    measured: Option<Instant>,
    /// Skew that no entry has reported yet, in milliseconds.
    unreported: Option<i64>,
}

impl ClockSkew {
    /// Returns whether to measure again.
    pub(super) fn is_due(&self) -> bool {
        self.measured
            .is_none_or(|measured| measured.elapsed() >= MEASURE_EVERY)
    }

    /// Records a measurement: at `asked_at` by this host's clock Redis was asked for its time, and
    /// `round_trip` later replied with seconds and microseconds since 1970.
    pub(super) fn update(
        &mut self,
        asked_at: Timestamp,
        round_trip: Duration,
        redis_time: (u64, u64),
    ) {
        self.measured = Some(Instant::now());
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
    fn half_the_round_trip_counts() {
        let asked_at = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let round_trip = Duration::from_millis(20);
        let skew = |redis_time| estimate(asked_at, round_trip, redis_time);
        assert_eq!(skew((1_700_000_000, 10_000)), 0);
        assert_eq!(skew((1_700_000_007, 0)), -6_990);
        assert_eq!(skew((1_699_999_990, 0)), 10_010);
    }
}
