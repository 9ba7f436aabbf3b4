//! Swings: how far the temperature has come from its lowest (or highest) within a sliding window.
//!
//! ASHRAE limits the largest difference within a window, not a slope; telling a rise from a fall
//! adds the direction. The window is made of fixed buckets, each a tenth of it, so that it is
//! never longer than it says and at most one bucket shorter. Of the buckets only those are
//! remembered that no later one reaches or passes: the first of them is the window's extreme, a
//! reading costs the same however long the window is, and there are at most ten, in quiet times
//! a few.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use super::Finding;
use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin, hundredths};

/// Which way is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Up: from the lowest of the window.
    Rise,
    /// Down: from the highest of the window.
    Fall,
}

/// One level of a swing.
#[derive(Clone, Debug, PartialEq)]
pub struct SwingLevel {
    /// The change that crosses it.
    pub by: Kelvin,
    /// Within how long.
    pub within: Duration,
    /// Width of a bucket in milliseconds: worked out once, not with each reading.
    width: u64,
}

impl SwingLevel {
    /// A change by so much within so long.
    pub fn new(by: Kelvin, within: Duration) -> Self {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self {
            by,
            within,
            width: (millis / u64::from(BUCKETS)).max(1),
        }
    }
}

/// The numbers of a swing.
#[derive(Clone, Debug, PartialEq)]
pub struct SwingSpec {
    /// Which way is bad.
    pub direction: Direction,
    /// From info to critical; none where it is off.
    pub levels: [Option<SwingLevel>; 3],
}

/// Buckets a window has.
const BUCKETS: u8 = 10;

/// Less than a hundredth of a kelvin, which is how exactly temperatures are kept: 22.1 - 20.1 must count
/// as 2.0 although neither has an exact binary form.
const TOLERANCE: f64 = 1e-3;

/// The windows of one swing on one device: there are two of these for each device of a site, so that they
/// are small. Level by level, the oldest and furthest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SwingState(ThinVec<Extreme>);

/// The extreme of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
struct Extreme {
    /// Whose window, from info to critical.
    level: u8,
    /// The end of the bucket's number. It is told from others of its window only, which are not 256 away.
    bucket: u8,
    /// The temperature.
    hundredths: i16,
}

impl SwingState {
    /// Takes the next reading, `gap` after the last one.
    pub fn observe(
        &mut self,
        spec: &SwingSpec,
        at: Timestamp,
        gap: Duration,
        value: Celsius,
    ) -> Option<Finding> {
        let value = hundredths(value.degrees());
        let (mut worst, mut start) = (None, 0);
        let levels = (0..).zip(spec.levels.iter().zip(Severity::ALL));
        for (number, (level, severity)) in levels {
            let Some(level) = level else { continue };
            let newest = Extreme {
                level: number,
                bucket: bucket(level, at),
                hundredths: value,
            };
            let furthest = self.turn(spec.direction, &mut start, newest, gap >= level.within);
            let change = f64::from((i32::from(value) - i32::from(furthest)).abs()) / 100.0;
            if change >= level.by.0 - TOLERANCE {
                worst = Some(Finding::of(severity).by(change));
            }
        }
        worst
    }

    /// Takes the newest reading into the window that begins at `start`, and says how far it was at the
    /// furthest; `start` is then where the next one begins.
    fn turn(
        &mut self,
        direction: Direction,
        start: &mut usize,
        newest: Extreme,
        all_out: bool,
    ) -> i16 {
        let Self(known) = self;
        let begin = *start;
        let others = known[begin..].iter();
        let end = begin + others.take_while(|e| e.level == newest.level).count();
        let window = &known[begin..end];
        let is_out = |extreme: &&Extreme| newest.bucket.wrapping_sub(extreme.bucket) >= BUCKETS;
        let out = if all_out {
            window.len()
        } else {
            window.iter().take_while(is_out).count()
        };
        // Those no further than this reading, and older, are never the extreme again.
        let is_past =
            |extreme: &&Extreme| !direction.is_further(extreme.hundredths, newest.hundredths);
        let past = window[out..].iter().rev().take_while(is_past).count();
        let (from, upto) = (begin + out, end - past);
        let is_new = upto == from || known[upto - 1].bucket != newest.bucket;
        *start = begin + (upto - from) + usize::from(is_new);
        match (is_new, past) {
            (false, 0) => {}
            (false, _) => drop(known.drain(upto..end)),
            (true, 0) => {
                if known.len() == known.capacity() {
                    known.reserve_exact(GROWTH);
                }
                known.insert(upto, newest);
            }
            (true, _) => {
                known[upto] = newest;
                if past > 1 {
                    known.drain(upto + 1..end);
                }
            }
        }
        if out > 0 {
            known.drain(begin..from);
        }
        known[begin].hundredths
    }
}

/// Room is made for so many at once: doubling would waste more than there is.
const GROWTH: usize = 4;

/// The end of the number of the bucket that `at` falls into.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
fn bucket(level: &SwingLevel, at: Timestamp) -> u8 {
    (at.millis() / level.width) as u8
}

impl Direction {
    /// Whether `a` is further than `b` from where this direction leads to.
    fn is_further(self, a: i16, b: i16) -> bool {
        match self {
            Self::Rise => a < b,
            Self::Fall => a > b,
        }
    }
}

/// One number each in JSON: there are many.
impl From<Extreme> for i64 {
    fn from(extreme: Extreme) -> Self {
        let place = Self::from(extreme.level) << 8 | Self::from(extreme.bucket);
        place << 16 | Self::from(extreme.hundredths.cast_unsigned())
    }
}

impl From<i64> for Extreme {
    fn from(number: i64) -> Self {
        let [.., level, bucket, high, low] = number.to_be_bytes();
        Self {
            level,
            bucket,
            hundredths: i16::from_be_bytes([high, low]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(direction: Direction) -> SwingSpec {
        let level =
            |by, minutes: u64| Some(SwingLevel::new(Kelvin(by), Duration::from_mins(minutes)));
        SwingSpec {
            direction,
            levels: [level(2.0, 5), level(5.0, 15), level(20.0, 60)],
        }
    }

    fn worst(direction: Direction, readings: &[(u64, f64)]) -> Option<Severity> {
        let spec = spec(direction);
        let (mut state, mut last) = (SwingState::default(), Timestamp::default());
        let see = |(second, t): &(u64, f64)| {
            let at = Timestamp::from_millis(1_700_000_000_000 + second * 1000).unwrap();
            let gap = at.since(std::mem::replace(&mut last, at));
            state
                .observe(&spec, at, gap, Celsius::new(*t).unwrap())
                .map(|f| f.severity)
        };
        readings.iter().filter_map(see).max()
    }

    #[test]
    fn a_jump_is_seen_and_a_slow_climb_is_not() {
        let jump = [(0, 22.0), (60, 22.0), (120, 28.0)];
        assert_eq!(worst(Direction::Rise, &jump), Some(Severity::Warning));
        assert_eq!(worst(Direction::Fall, &jump), None);
        let climb: Vec<_> = (0..360)
            .map(|m: u64| (m * 60, 20.0 + m as f64 / 60.0))
            .collect();
        assert_eq!(worst(Direction::Rise, &climb), None);
        assert_eq!(worst(Direction::Rise, &[(5, 20.1), (304, 22.1)]), None);
        assert_eq!(
            worst(Direction::Rise, &[(0, 20.1), (270, 22.1)]),
            Some(Severity::Info)
        );
    }

    proptest! {
        /// Never sees a change that is not within the window, and always sees one that is within
        /// nine tenths of it; however long there is no reading.
        #[test]
        fn agrees_with_looking_at_every_reading(
            steps in prop::collection::vec((prop_oneof![20 => 1u64..40, 1 => 200u64..10_000], -3.0f64..3.0), 1..80)
        ) {
            let spec = SwingSpec {
                direction: Direction::Rise,
                levels: [Some(SwingLevel::new(Kelvin(4.0), Duration::from_mins(5))), None, None],
            };
            let mut state = SwingState::default();
            let (mut second, mut t) = (0, 40.0);
            let mut seen: Vec<(u64, f64)> = Vec::new();
            for (gap, change) in steps {
                second += gap;
                t += change;
                seen.push((second, t));
                let at = Timestamp::from_millis(second * 1000).unwrap();
                let gap = Duration::from_secs(gap);
                let found = state.observe(&spec, at, gap, Celsius::new(t).unwrap()).is_some();
                let rise = |within: u64| seen.iter()
                    .filter(|(s, _)| second - s <= within)
                    .map(|(_, v)| t - v)
                    .fold(0.0, f64::max);
                if rise(269) >= 4.01 { prop_assert!(found) }
                if rise(300) < 3.98 { prop_assert!(!found) }
            }
        }
    }
}
