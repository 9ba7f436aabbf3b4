//! Delays before the next attempt, doubling from a minimum to a maximum.
//!
//! Pure: the caller waits, and supplies the randomness that keeps many programs from retrying at the
//! same moment.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// The delays between failed attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates delays from `min` to `max`; a `max` below `min` counts as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            next: min,
        }
    }

    /// Returns the delay before the next attempt: twice the previous one, up to the maximum.
    fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.max);
        delay
    }

    /// Returns the next delay times a factor, from one half for `random` = 0 to one for
    /// [`u64::MAX`]. Pass a number from [`random`].
    pub fn next_jittered(&mut self, random: u64) -> Duration {
        let half = self.next_delay() / 2;
        half + half.mul_f64(random as f64 / u64::MAX as f64)
    }

    /// Starts again from the minimum, after a success.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

/// Returns a number that differs between calls and programs: for jitter, not for secrets.
pub fn random() -> u64 {
    // The standard library seeds its hash maps at random, which saves a dependency.
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_millis(500);

    #[test]
    fn delays_double_up_to_the_maximum_until_reset() {
        let mut backoff = Backoff::new(MIN, MAX);
        let waits: Vec<_> = (0..5).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 500, 500]);

        backoff.reset();
        assert_eq!(backoff.next_delay(), MIN);
    }

    #[test]
    fn jitter_shortens_a_delay_by_at_most_half() {
        let mut backoff = Backoff::new(MIN, MIN);
        assert_eq!(backoff.next_jittered(0), MIN / 2);
        assert_eq!(backoff.next_jittered(u64::MAX), MIN);
        assert!((MIN / 2..=MIN).contains(&backoff.next_jittered(random())));
    }

    #[test]
    fn a_maximum_below_the_minimum_is_raised_to_it() {
        let mut backoff = Backoff::new(MAX, MIN);
        assert_eq!((backoff.next_delay(), backoff.next_delay()), (MAX, MAX));
    }
}
