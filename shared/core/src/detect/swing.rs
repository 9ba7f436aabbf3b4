//! Swings: how far the temperature has come from its lowest (or highest) within a sliding window.
//!
//! ASHRAE limits the largest difference within a window, not a slope; telling a rise from a fall
//! adds the direction. The window is made of fixed buckets, each a thirtieth of it, so that it is
//! never longer than it says and at most one bucket shorter. Of the buckets only those are
//! remembered that no later one reaches or passes: the first of them is the window's extreme, a
//! reading costs the same however long the window is, and there are at most thirty, in quiet times
//! a few.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

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
const BUCKETS: u32 = 30;

/// A thousandth of a kelvin, far below any sensor's step: 22.1 - 20.1 must count as 2.0 although
/// neither has an exact binary form.
const TOLERANCE: f64 = 1e-3;

/// The windows of one swing on one device: there are two of these for each device of a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SwingState {
    /// One for each level, from info to critical; empty where the level is off.
    windows: [Window; 3],
}

/// The extremes that still matter, the oldest and furthest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Window(Vec<Extreme>);

/// The extreme of a bucket: the end of its number, counted from 1970, and the temperature. Single precision:
/// half the memory, and exact to 0.0001 K.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Extreme(u32, f32);

impl SwingState {
    /// Takes the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &SwingSpec, at: Timestamp, value: Celsius) -> Option<Finding> {
        let mut worst = None;
        let levels = spec.levels.iter().zip(Severity::ALL);
        for (window, (level, severity)) in self.windows.iter_mut().zip(levels) {
            let Some(level) = level else { continue };
            let change = window.change(spec.direction, bucket(level, at), value);
            if change >= level.by.0 - TOLERANCE {
                worst = Some(Finding::of(severity).by(change));
            }
        }
        worst
    }
}

/// The number of the bucket that `at` falls into.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
fn bucket(level: &SwingLevel, at: Timestamp) -> u32 {
    let width = level.within.as_millis() / u128::from(BUCKETS);
    (u128::from(at.millis()) / width.max(1)) as u32
}

impl Window {
    /// Takes `value` into bucket `now`; says how far it has come from the extreme of the window,
    /// which is never negative.
    fn change(&mut self, direction: Direction, now: u32, value: Celsius) -> f64 {
        let Self(known) = self;
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let value = value.degrees() as f32;
        let out = known
            .iter()
            .take_while(|Extreme(bucket, _)| now.wrapping_sub(*bucket) >= BUCKETS);
        known.drain(..out.count());
        // No further than this reading, and older: never the extreme again.
        while known
            .pop_if(|Extreme(_, known)| !direction.is_further(*known, value))
            .is_some()
        {}
        if known.last().is_none_or(|Extreme(bucket, _)| *bucket != now) {
            known.push(Extreme(now, value));
        }
        let extreme = known
            .first()
            .map_or(value, |Extreme(_, furthest)| *furthest);
        f64::from((value - extreme).abs())
    }
}

impl Direction {
    /// Whether `a` is further than `b` from where this direction leads to.
    fn is_further(self, a: f32, b: f32) -> bool {
        match self {
            Self::Rise => a < b,
            Self::Fall => a > b,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(direction: Direction) -> SwingSpec {
        let level = |by, minutes: u64| {
            Some(SwingLevel {
                by: Kelvin(by),
                within: Duration::from_secs(minutes * 60),
            })
        };
        SwingSpec {
            direction,
            levels: [level(2.0, 5), level(5.0, 15), level(20.0, 60)],
        }
    }

    fn worst(direction: Direction, readings: &[(u64, f64)]) -> Option<Severity> {
        let spec = spec(direction);
        let mut state = SwingState::default();
        let see = |(second, t): &(u64, f64)| {
            let at = Timestamp::from_millis(1_700_000_000_000 + second * 1000).unwrap();
            state
                .observe(&spec, at, Celsius::new(*t).unwrap())
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
            worst(Direction::Rise, &[(0, 20.1), (280, 22.1)]),
            Some(Severity::Info)
        );
    }

    proptest! {
        /// Never sees a change that is not within the window, and always sees one that is within
        /// twenty-nine thirtieths of it.
        #[test]
        fn agrees_with_looking_at_every_reading(
            steps in prop::collection::vec((1u64..40, -3.0f64..3.0), 1..80)
        ) {
            let spec = SwingSpec {
                direction: Direction::Rise,
                levels: [Some(SwingLevel { by: Kelvin(4.0), within: Duration::from_secs(300) }), None, None],
            };
            let mut state = SwingState::default();
            let (mut second, mut t) = (0, 40.0);
            let mut seen: Vec<(u64, f64)> = Vec::new();
            for (gap, change) in steps {
                second += gap;
                t += change;
                seen.push((second, t));
                let at = Timestamp::from_millis(second * 1000).unwrap();
                let found = state.observe(&spec, at, Celsius::new(t).unwrap()).is_some();
                let rise = |within: u64| seen.iter()
                    .filter(|(s, _)| second - s <= within)
                    .map(|(_, v)| t - v)
                    .fold(0.0, f64::max);
                if rise(290) >= 4.001 { prop_assert!(found) }
                if rise(300) < 3.998 { prop_assert!(!found) }
            }
        }
    }
}
