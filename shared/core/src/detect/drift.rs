//! Drift: what creeps, told by a slow score.
//!
//! A fast and a slow moving average of the temperature are compared: their difference, measured in
//! its own usual size (the root of its slow moving mean square), is the score. A room that follows
//! the hour of the day or cycles with its cooler has a large usual difference and a low score; a
//! clogging filter or a failing fan leaves what was usual. Scored on the temperature files of the
//! Numenta Anomaly Benchmark (NAB, github.com/numenta/NAB, standard profile), three hours against two
//! weeks with a limit of 3 finds more than any detector published there; see `docs/detection.md`.
//!
//! What is beyond three times the usual is learned as if it were that: a fault must not become the
//! usual while it lasts, and a room that was changed for good must, in the end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The numbers of a drift.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftSpec {
    /// From info to critical: how far the fast average must be from the slow one, on either side.
    pub levels: [Option<Kelvin>; 3],
    /// The score beyond which a difference is unusual.
    pub score: f64,
    /// Time constant of the fast average.
    pub fast: Duration,
    /// Time constant of the slow average, and of what is usual.
    pub slow: Duration,
    /// Nothing is said before a device is known for so long.
    pub warm_up: Duration,
    /// It begins at most so often.
    pub cool_down: Duration,
    /// A usual difference below this is taken for this: a quantised sensor may show none at all.
    pub least: Kelvin,
}

/// The part of the limit that the score must fall below for it to be over.
const CLEARED: f64 = 0.5;
/// No more than so many times the usual is learned.
const LEARNED: f64 = 3.0;
/// Readings are averaged over so many seconds before they are taken in: exponentials are dear.
const STEP: u32 = 60;
/// After a gap a reading counts for this part of the fast time constant at most: one reading is no
/// average.
const GAP: f64 = 1.0 / 3.0;

/// What is known of a device; nothing before its first reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriftState(Option<Box<Known>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    /// In seconds from 1970, as all times here: there is one of these for each device of a site.
    began: u32,
    /// When the averages were moved last, and what came since.
    moved: u32,
    /// When it went beyond the last time; zero for never.
    said: u32,
    count: u16,
    /// The score is beyond the limit, or was and has not come back.
    crossed: bool,
    /// Of what came since: single precision is exact enough for a minute's mean.
    sum: f32,
    fast: f64,
    slow: f64,
    /// The slow mean square of their difference.
    square: f64,
}

impl DriftState {
    /// Takes the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &DriftSpec, at: Timestamp, value: Celsius) -> Option<Finding> {
        let (value, at) = (value.degrees(), at.seconds());
        let Some(known) = &mut self.0 else {
            self.0 = Some(Box::new(Known {
                began: at,
                moved: at,
                sum: 0.0,
                count: 0,
                fast: value,
                slow: value,
                square: 0.0,
                crossed: false,
                said: 0,
            }));
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let single = value as f32;
        known.sum += single;
        known.count = known.count.saturating_add(1);
        if at.saturating_sub(known.moved) >= STEP {
            known.go_on(spec, at);
        }
        known.finding(spec)
    }
}

impl Known {
    fn go_on(&mut self, spec: &DriftSpec, at: u32) {
        let value = f64::from(self.sum / f32::from(self.count));
        let age = f64::from(at.saturating_sub(self.began));
        let fast = spec.fast.as_secs_f64();
        let step = f64::from(at.saturating_sub(self.moved)).min(fast * GAP);
        (self.moved, self.sum, self.count) = (at, 0.0, 0);
        // A young average is the plain one of all there is.
        let weight = |constant: f64| 1.0 - (-step / constant.min(age)).exp();
        self.fast += weight(fast) * (value - self.fast);
        let is_old = age >= spec.warm_up.as_secs_f64();
        let difference = self.difference();
        let usual = self.usual(spec);
        let beyond = is_old && difference.abs() > spec.score * usual;
        self.turn(spec, at, beyond);
        let within = |change: f64| {
            let most = if is_old {
                LEARNED * usual
            } else {
                f64::INFINITY
            };
            change.clamp(-most, most)
        };
        let weight = weight(spec.slow.as_secs_f64());
        self.slow += weight * within(value - self.slow);
        self.square += weight * (within(difference).powi(2) - self.square);
    }

    fn turn(&mut self, spec: &DriftSpec, at: u32, beyond: bool) {
        let rested = self.said == 0
            || f64::from(at.saturating_sub(self.said)) >= spec.cool_down.as_secs_f64();
        if !self.crossed && beyond && rested && self.level(spec).is_some() {
            self.crossed = true;
            self.said = at;
        } else if self.crossed && self.difference().abs() <= CLEARED * spec.score * self.usual(spec)
        {
            self.crossed = false;
        }
    }

    fn finding(&self, spec: &DriftSpec) -> Option<Finding> {
        if !self.crossed {
            return None;
        }
        // Once begun it goes on as its mildest until it is over.
        let mildest = || {
            let levels = spec.levels.iter().zip(Severity::ALL);
            levels
                .filter_map(|(level, severity)| level.map(|_| severity))
                .min()
        };
        let severity = self.level(spec).or_else(mildest)?;
        Some(Finding::of(severity).by(self.difference()))
    }

    fn level(&self, spec: &DriftSpec) -> Option<Severity> {
        let far = self.difference().abs();
        let levels = spec.levels.iter().zip(Severity::ALL);
        levels
            .filter(|(level, _)| level.is_some_and(|level| far >= level.0))
            .map(|(_, severity)| severity)
            .max()
    }

    fn difference(&self) -> f64 {
        self.fast - self.slow
    }

    fn usual(&self, spec: &DriftSpec) -> f64 {
        self.square.sqrt().max(spec.least.0)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const HOUR: u64 = 3600;

    fn spec() -> DriftSpec {
        DriftSpec {
            levels: [Some(Kelvin(1.0)), Some(Kelvin(3.0)), None],
            score: 3.0,
            fast: Duration::from_hours(3),
            slow: Duration::from_hours(14 * 24),
            warm_up: Duration::from_hours(96),
            cool_down: Duration::from_hours(24),
            least: Kelvin(0.1),
        }
    }

    /// The hours at which it began, and the worst it was.
    fn begins(hours: u64, value: impl Fn(f64) -> f64) -> (Vec<u64>, Option<Severity>) {
        let (mut state, mut began, mut worst) = (DriftState::default(), Vec::new(), None);
        let mut before = false;
        for minute in (0..hours * 60).step_by(5) {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            let value = Celsius::new(value(minute as f64 / 60.0)).unwrap();
            let found = state.observe(&spec(), at, value);
            if found.is_some() && !before {
                began.push(minute / 60);
            }
            before = found.is_some();
            worst = worst.max(found.map(|found| found.severity));
        }
        (began, worst)
    }

    fn daily(hour: f64) -> f64 {
        22.0 + 0.8 * (hour / 24.0 * TAU).sin() + 0.5 * (hour * 6.0 * TAU).sin()
    }

    #[test]
    fn days_and_cooler_cycles_are_usual() {
        assert!(begins(30 * 24, daily).0.is_empty());
        // Nothing ever moves: still no reason to speak of a tenth.
        let step = |hour: f64| if hour < 300.0 { 22.0 } else { 22.3 };
        assert!(begins(30 * 24, step).0.is_empty());
    }

    #[test]
    fn a_creeping_rise_is_seen_once_and_becomes_a_warning() {
        let creeping = |hour: f64| daily(hour) + (hour - 240.0).clamp(0.0, 96.0) / 16.0;
        let (began, worst) = begins(20 * 24, creeping);
        assert_eq!(began.len(), 1, "{began:?}");
        assert!((241..290).contains(&began[0]), "{began:?}");
        assert_eq!(worst, Some(Severity::Warning));
    }

    #[test]
    fn what_lasts_becomes_usual_in_the_end() {
        let step = |hour: f64| daily(hour) + if hour < 240.0 { 0.0 } else { 4.0 };
        let (mut state, mut last) = (DriftState::default(), None);
        for minute in (0..80 * 24 * 60).step_by(5) {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            let value = Celsius::new(step(minute as f64 / 60.0)).unwrap();
            if state.observe(&spec(), at, value).is_some() {
                last = Some(minute / 60);
            }
        }
        assert!(
            last.is_some_and(|hour| hour > 244 && hour < 70 * 24),
            "{last:?}"
        );
    }

    #[test]
    fn one_reading_after_a_gap_is_no_average() {
        let (mut state, mut found) = (DriftState::default(), None);
        for minute in 0..10 * 24 * 60 {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            let value = Celsius::new(daily(minute as f64 / 60.0)).unwrap();
            state.observe(&spec(), at, value);
        }
        let after = Timestamp::from_millis(20 * 24 * HOUR * 1000).unwrap();
        found = found.or(state.observe(&spec(), after, Celsius::new(25.0).unwrap()));
        assert_eq!(found, None);
    }
}
