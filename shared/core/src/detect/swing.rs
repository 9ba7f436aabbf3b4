//! Swings: how far the temperature has come from its lowest (or highest) within a sliding window.
//!
//! ASHRAE limits the largest difference within a window, not a slope; telling a rise from a fall
//! adds the direction. The window is made of fixed buckets, each the extreme of a thirtieth of
//! it: memory is constant, and the window is never longer than it says and at most one bucket
//! shorter.

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
const BUCKETS: usize = 30;

/// A thousandth of a kelvin, far below any sensor's step: 22.1 - 20.1 must count as 2.0 although
/// neither has an exact binary form.
const TOLERANCE: f64 = 1e-3;

/// The windows of one swing on one device, in one allocation: there are two of these for each
/// device of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwingState {
    /// Number of the newest bucket of each level's window, counted from 1970.
    newest: [u64; 3],
    /// The extreme of each bucket of each level; bucket `b` of a level is at `b % BUCKETS` of its
    /// stretch. Single precision: half the memory, and exact to 0.0001 K.
    #[serde(with = "extremes")]
    extremes: Box<[f32]>,
}

/// A bucket without readings.
const NONE: f32 = f32::INFINITY;

impl SwingState {
    /// Nothing seen yet.
    pub fn new(spec: &SwingSpec) -> Self {
        let windows = spec.levels.iter().flatten().count();
        Self {
            newest: [0; 3],
            extremes: vec![NONE; windows * BUCKETS].into(),
        }
    }

    /// Takes the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &SwingSpec, at: Timestamp, value: Celsius) -> Option<Finding> {
        let mut worst = None;
        let windows = self
            .extremes
            .chunks_exact_mut(BUCKETS)
            .zip(&mut self.newest);
        let levels = spec.levels.iter().zip(Severity::ALL);
        let levels = levels.filter_map(|(level, severity)| Some((level.as_ref()?, severity)));
        for ((window, newest), (level, severity)) in windows.zip(levels) {
            let now = bucket(level, at);
            advance(window, newest, now);
            let change = change(window, spec.direction, now, value);
            if change >= level.by.0 - TOLERANCE {
                worst = Some(Finding {
                    severity,
                    change: Some(Kelvin(change)),
                });
            }
        }
        worst
    }
}

/// The number of the bucket that `at` falls into.
fn bucket(level: &SwingLevel, at: Timestamp) -> u64 {
    let width = level.within.as_millis() / BUCKETS as u128;
    at.millis() / u64::try_from(width).unwrap_or(u64::MAX).max(1)
}

/// Where a bucket is in its window.
fn slot(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).unwrap_or(0)
}

/// Moves the window to bucket `to` and forgets what is out of it.
fn advance(window: &mut [f32], newest: &mut u64, to: u64) {
    let steps = to.saturating_sub(*newest).min(BUCKETS as u64);
    for step in 0..steps {
        window[slot(to - step)] = NONE;
    }
    *newest = (*newest).max(to);
}

/// Puts `value` into bucket `now`; says how far it has come from the extreme of the window, which
/// is never negative.
fn change(window: &mut [f32], direction: Direction, now: u64, value: Celsius) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
    let value = value.degrees() as f32;
    let further = |a: f32, b: f32| match direction {
        Direction::Rise => a.min(b),
        Direction::Fall => a.max(b),
    };
    let known = &mut window[slot(now)];
    *known = if known.is_finite() {
        further(*known, value)
    } else {
        value
    };
    let seen = window.iter().copied().filter(|extreme| extreme.is_finite());
    let extreme = seen.fold(value, further);
    f64::from((value - extreme).abs())
}

/// JSON has no infinity: a bucket without readings is `null`.
mod extremes {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::NONE;

    pub(super) fn serialize<S: Serializer>(extremes: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            extremes
                .iter()
                .map(|extreme| extreme.is_finite().then_some(extreme)),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<[f32]>, D::Error> {
        let extremes = Vec::<Option<f32>>::deserialize(from)?;
        Ok(extremes
            .into_iter()
            .map(|extreme| extreme.unwrap_or(NONE))
            .collect())
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
        let mut state = SwingState::new(&spec);
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
            let mut state = SwingState::new(&spec);
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
