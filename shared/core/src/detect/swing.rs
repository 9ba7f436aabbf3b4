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
const BUCKETS: u64 = 30;

/// A thousandth of a kelvin, far below any sensor's step: 22.1 - 20.1 must count as 2.0 although
/// neither has an exact binary form.
const TOLERANCE: f64 = 1e-3;

/// The extremes of one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Window {
    /// Number of the newest bucket, counted from 1970.
    newest: u64,
    /// The extreme of each bucket; bucket `b` is at `b % BUCKETS`. Single precision: half the
    /// memory, and exact to 0.0001 K.
    extremes: Vec<Option<f32>>,
}

impl Window {
    fn new() -> Self {
        Self {
            newest: 0,
            extremes: vec![None; usize::try_from(BUCKETS).unwrap_or(0)],
        }
    }

    /// Moves the window to bucket `to` and forgets what is out of it.
    fn advance(&mut self, to: u64) {
        let steps = to.saturating_sub(self.newest).min(BUCKETS);
        for step in 0..steps {
            *self.slot(to - step) = None;
        }
        self.newest = self.newest.max(to);
    }

    fn slot(&mut self, bucket: u64) -> &mut Option<f32> {
        let index = usize::try_from(bucket % BUCKETS).unwrap_or(0);
        &mut self.extremes[index]
    }
}

/// The windows of one swing on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwingState {
    windows: [Option<Window>; 3],
}

impl SwingState {
    /// Nothing seen yet.
    pub fn new(spec: &SwingSpec) -> Self {
        Self {
            windows: [0, 1, 2].map(|i: usize| spec.levels[i].as_ref().map(|_| Window::new())),
        }
    }

    /// Takes the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &SwingSpec, at: Timestamp, value: Celsius) -> Option<Finding> {
        let mut worst = None;
        for ((window, level), severity) in
            self.windows.iter_mut().zip(&spec.levels).zip(Severity::ALL)
        {
            let (Some(window), Some(level)) = (window, level) else {
                continue;
            };
            let change = window.observe(spec.direction, level, at, value);
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

impl Window {
    /// How far `value` has come from the extreme of the window; never negative.
    fn observe(
        &mut self,
        direction: Direction,
        level: &SwingLevel,
        at: Timestamp,
        value: Celsius,
    ) -> f64 {
        let bucket = u64::try_from(level.within.as_millis()).unwrap_or(u64::MAX) / BUCKETS;
        let now = at.millis() / bucket.max(1);
        self.advance(now);
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let value = value.degrees() as f32;
        let further = |a: f32, b: f32| match direction {
            Direction::Rise => a.min(b),
            Direction::Fall => a.max(b),
        };
        let slot = self.slot(now);
        *slot = Some(slot.map_or(value, |extreme| further(extreme, value)));
        let extreme = self.extremes.iter().flatten().copied().fold(value, further);
        f64::from((value - extreme).abs())
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
