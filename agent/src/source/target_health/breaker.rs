//! The circuit breaker of one target: it is tried less and less often while it fails. Pure: the
//! caller passes the time.

use std::time::Duration;

use tokio::time::Instant;

/// Longest time between two attempts: a target that comes back is noticed within it.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Recent attempts at a target.
#[derive(Clone, Debug, Default)]
pub(super) struct CircuitBreaker {
    /// Failures in a row.
    failures: u32,
    /// Time of the next attempt after a failure.
    retry_at: Option<Instant>,
    is_trying: bool,
}

/// A change of state by an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// First failure after a success.
    Failed,
    /// First success after failures.
    Recovered,
}

impl CircuitBreaker {
    /// Returns whether the last attempt succeeded, or none was made yet.
    pub(super) fn is_healthy(&self) -> bool {
        self.failures == 0
    }

    /// Begins an attempt if one is due, and returns whether it is. An attempt that was abandoned
    /// before it ended counts as failed.
    pub(super) fn begin(&mut self, now: Instant, interval: Duration) -> bool {
        if self.is_trying {
            self.fail(now, interval);
        }
        self.is_trying = self.retry_at.is_none_or(|at| now >= at);
        self.is_trying
    }

    /// Ends an attempt, and returns a change of state if there is one.
    pub(super) fn end(
        &mut self,
        now: Instant,
        interval: Duration,
        succeeded: bool,
    ) -> Option<Transition> {
        self.is_trying = false;
        let before = self.failures;
        if succeeded {
            (self.failures, self.retry_at) = (0, None);
        } else {
            self.fail(now, interval);
        }
        match (before, self.failures) {
            (0, 1) => Some(Transition::Failed),
            (1.., 0) => Some(Transition::Recovered),
            _ => None,
        }
    }

    fn fail(&mut self, now: Instant, interval: Duration) {
        self.is_trying = false;
        // The first failure may be chance: the next tick tries again.
        let doubled = 1_u32 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let wait = interval.saturating_mul(doubled - 1).min(LONGEST_WAIT);
        self.retry_at = Some(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(10);

    #[test]
    fn a_failing_target_is_tried_less_and_less_often() {
        let (mut breaker, start) = (CircuitBreaker::default(), Instant::now());
        let mut tried = Vec::new();
        for tick in 0..200_u32 {
            let now = start + TICK * tick;
            if breaker.begin(now, TICK) {
                tried.push(tick);
                let transition = breaker.end(now, TICK, false);
                assert_eq!(transition, (tick == 0).then_some(Transition::Failed));
            }
        }
        assert_eq!(tried[..6], [0, 1, 2, 5, 12, 27]);
        assert_eq!(
            tried[tried.len() - 1] - tried[tried.len() - 2],
            30,
            "five minutes"
        );
        let now = start + TICK * 1000;
        assert!(breaker.begin(now, TICK));
        let recovered = breaker.end(now, TICK, true);
        assert_eq!(recovered, Some(Transition::Recovered));
        assert!(breaker.begin(now + TICK, TICK));
    }

    #[test]
    fn an_abandoned_attempt_counts_as_failed() {
        let (mut breaker, start) = (CircuitBreaker::default(), Instant::now());
        assert!(breaker.begin(start, TICK));
        assert!(breaker.begin(start + TICK, TICK));
        assert!(!breaker.begin(start + TICK, TICK), "two failures: it waits");
    }
}
