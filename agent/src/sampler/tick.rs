//! The time of the next read. Pure: the caller passes the time.

use std::time::Duration;

use rackwatch_core::time::Timestamp;

/// Shortest interval: a shorter one, such as a typing mistake, would keep a processor busy.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Returns the first multiple of `interval` since 1970 after `now`, except `last`: a timer that fires
/// a little early, or a clock that is set back a little, must not read a tick twice.
///
/// A clock that is set back further is followed: readings from the future would be worse.
pub(super) fn next(now: Timestamp, interval: Duration, last: Option<Timestamp>) -> Timestamp {
    let interval = interval.max(SHORTEST_INTERVAL);
    let tick = now.floor(interval).plus(interval);
    if last == Some(tick) {
        tick.plus(interval)
    } else {
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ticks_are_multiples_of_the_interval() {
        assert_eq!(next(at(10_300), SECOND, None), at(11_000));
        assert_eq!(next(at(11_000), SECOND, None), at(12_000));
        assert_eq!(next(at(11_000), Duration::from_secs(10), None), at(20_000));
    }

    #[test]
    fn missed_ticks_are_skipped() {
        assert_eq!(next(at(17_400), SECOND, Some(at(12_000))), at(18_000));
    }

    #[test]
    fn an_early_timer_does_not_repeat_a_tick() {
        assert_eq!(next(at(10_999), SECOND, Some(at(11_000))), at(12_000));
    }

    #[test]
    fn a_clock_set_back_is_followed() {
        assert_eq!(next(at(5_500), SECOND, Some(at(90_000))), at(6_000));
    }

    #[test]
    fn a_zero_interval_is_raised_to_the_shortest() {
        assert_eq!(next(at(1_000), Duration::ZERO, None), at(1_010));
    }
}
