//! How far this host's clock is from Redis'. Pure.

use std::time::{Duration, Instant};

use rackwatch_core::time::Timestamp;

/// How often to look: clocks drift slowly.
const EVERY: Duration = Duration::from_mins(1);

/// What is known of this host's clock.
#[derive(Debug, Default)]
pub(super) struct Skew {
    looked: Option<Instant>,
    /// Not said yet.
    news: Option<i64>,
}

impl Skew {
    /// Whether to ask Redis again.
    pub(super) fn is_due(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= EVERY)
    }

    /// Redis was asked at `asked` by this host's clock, the answer took `took` and said `told`,
    /// seconds and microseconds since 1970.
    pub(super) fn learn(&mut self, asked: Timestamp, took: Duration, told: (u64, u64)) {
        self.looked = Some(Instant::now());
        self.news = Some(estimate(asked, took, told));
    }

    /// Milliseconds that this host's clock is ahead, where that has not been said yet.
    pub(super) fn news(&self) -> Option<i64> {
        self.news
    }

    /// It has been said.
    pub(super) fn said(&mut self) {
        self.news = None;
    }
}

/// The answer was made in the middle between question and arrival, as far as anybody knows.
fn estimate(asked: Timestamp, took: Duration, (seconds, micros): (u64, u64)) -> i64 {
    let ours = asked.plus(took / 2).millis();
    let theirs = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    ours.cast_signed().saturating_sub(theirs.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_round_trip_counts() {
        let asked = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let took = Duration::from_millis(20);
        assert_eq!(estimate(asked, took, (1_700_000_000, 10_000)), 0);
        assert_eq!(estimate(asked, took, (1_700_000_007, 0)), -6_990);
        assert_eq!(estimate(asked, took, (1_699_999_990, 0)), 10_010);
    }
}
