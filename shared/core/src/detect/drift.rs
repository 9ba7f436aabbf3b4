//! Drift: a slow change, found by a score.
//!
//! A fast and a slow moving average of the temperature are compared: their difference, measured in
//! its own usual size (the root of its slow moving mean square), is the score. A room that follows
//! the hour of the day or cycles with its cooler has a large usual difference and a low score; a
//! clogging filter or a failing fan leaves what was usual. Scored on the temperature files of the
//! Numenta Anomaly Benchmark (NAB, github.com/numenta/NAB, standard profile), three hours against two
//! weeks with a limit of 3 finds more than any detector published there; see `docs/detection.md`.
//!
//! Differences beyond three times the usual one are learned as three times the usual: a fault must not
//! become usual while it lasts, but a room that changed for good must, in the end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{Decision, Detector, DeviceTraits, Finding, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{DurationRange, KelvinLevel, NumberRange, keys};
use super::kind::{
    AlertFacts, AnomalyKind, ChangePayload, Family, KindInfo, Peak, Phrase, change_phrase,
};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// Time constants of averages.
const AVERAGE: DurationRange = DurationRange {
    least: Duration::from_mins(1),
    most: Duration::from_hours(90 * 24),
};

keys! {
    /// The keys of `drift`.
    pub struct DriftKeys {
        INFO, WARNING, CRITICAL: KelvinLevel;
        /// Size of an unusual difference, in multiples of the usual one.
        score: f64 = NumberRange { least: 1.0, most: 20.0, unit: "" }, default 3.0;
        /// Time constant of the fast average.
        fast: Duration = AVERAGE, default Duration::from_hours(3);
        /// Time constant of the slow average; longer than that of the fast one.
        slow: Duration = AVERAGE, default Duration::from_hours(14 * 24);
        /// Age from which a device can drift.
        warm_up: Duration = AVERAGE, default Duration::from_hours(4 * 24);
        /// Time in which at most one drift of a device begins.
        cool_down: Duration = AVERAGE, default Duration::from_hours(24)
    }
}

/// `drift`: crept away from what is usual for the device.
#[derive(Clone, Copy, Debug)]
pub struct Drift;

impl AnomalyKind for Drift {
    const INFO: KindInfo = KindInfo {
        headline: "warmer than usual",
        headline_below: Some("colder than usual"),
        peak: Peak::Farthest,
        unit: "K",
        ..KindInfo::new("drift", "drift", Family::Heat)
    };

    type Payload = ChangePayload;

    fn phrase(payload: Option<&ChangePayload>, facts: &AlertFacts) -> Phrase {
        let change = payload.map_or(facts.threshold, |drift| drift.change);
        let window = payload.map(|drift| ("of", drift.window));
        change_phrase(change, " from the usual", window).into()
    }
}

/// A usual difference of less than a tenth of a kelvin is that of a sensor that shows no tenths.
const LEAST_USUAL: f64 = 0.1;

impl Detector for Drift {
    type Keys = DriftKeys;
    type Spec = DriftSpec;

    fn spec(
        keys: &DriftKeys,
        _lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<DriftSpec> {
        let levels = keys.levels.active();
        let step = device.resolution.map_or(0.0, |step| step.0 / 3.0);
        levels.iter().any(Option::is_some).then(|| DriftSpec {
            levels: levels.map(|level| level.map(|KelvinLevel(kelvin)| Kelvin(kelvin))),
            score: keys.score(),
            fast: keys.fast(),
            slow: keys.slow(),
            warm_up: keys.warm_up(),
            cool_down: keys.cool_down(),
            least: Kelvin(step.max(LEAST_USUAL)),
        })
    }
}

impl Spec for DriftSpec {
    type State = DriftState;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.numbers(self.levels.map(|level| level.map(|level| level.0)));
        to.number(self.score);
        for time in [self.fast, self.slow, self.warm_up, self.cool_down] {
            to.duration(time);
        }
        to.number(self.least.0);
    }

    fn threshold(&self, severity: Severity, _lasting: Duration) -> Option<f64> {
        self.levels[severity as usize].map(|level| level.0)
    }

    fn window(&self, _severity: Severity) -> Option<Duration> {
        Some(self.slow)
    }

    fn observe(&self, state: &mut DriftState, now: &Observation) -> Decision {
        Decision::Decided(state.observe(self, now.at, now.value))
    }
}

/// The parameters of a drift.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftSpec {
    /// Distance of the fast average from the slow one, on either side, from info to critical.
    pub levels: [Option<Kelvin>; 3],
    /// The score beyond which a difference is unusual.
    pub score: f64,
    /// Time constant of the fast average.
    pub fast: Duration,
    /// Time constant of the slow average, and of what is usual.
    pub slow: Duration,
    /// Age from which on a device can drift.
    pub warm_up: Duration,
    /// Time in which at most one drift begins.
    pub cool_down: Duration,
    /// The least usual difference: a quantised sensor may show none at all.
    pub least: Kelvin,
}

/// The part of the limit below which the score must fall to clear.
const CLEARED: f64 = 0.5;
/// Differences count as at most this many times the usual one when the usual is learned.
const LEARNED: f64 = 3.0;
/// Seconds of readings that are averaged before an update: exponentials are expensive.
const STEP: u32 = 60;
/// The most that a reading after a gap counts for, as a part of the fast time constant: one reading
/// is no average.
const GAP: f64 = 1.0 / 3.0;

/// The averages of one device; nothing before its first reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriftState(Option<Box<Averages>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "AveragesJson", into = "AveragesJson")]
struct Averages {
    /// First reading, in seconds from 1970, as all times here: there is one of these for each device.
    began: u32,
    /// Last update of the averages.
    updated: u32,
    /// Last time the score went beyond the limit; zero for never.
    last_crossed: u32,
    /// Readings since the last update.
    count: u16,
    /// The score is beyond the limit, or was and has not come back.
    is_crossed: bool,
    /// Sum of the readings since: single precision is exact enough for a minute's mean.
    sum: f32,
    fast: f64,
    slow: f64,
    /// The slow mean square of their difference.
    square: f64,
}

/// In JSON an array: first reading, last update, last crossing (0 for never), readings since the
/// update, their sum, 1 while crossed, fast average, slow average, mean square.
type AveragesJson = (u32, u32, u32, u16, f32, u8, f64, f64, f64);

impl From<Averages> for AveragesJson {
    fn from(known: Averages) -> Self {
        (
            known.began,
            known.updated,
            known.last_crossed,
            known.count,
            known.sum,
            u8::from(known.is_crossed),
            known.fast,
            known.slow,
            known.square,
        )
    }
}

impl From<AveragesJson> for Averages {
    fn from(json: AveragesJson) -> Self {
        let (began, updated, last_crossed, count, sum, is_crossed, fast, slow, square) = json;
        Self {
            began,
            updated,
            last_crossed,
            count,
            is_crossed: is_crossed != 0,
            sum,
            fast,
            slow,
            square,
        }
    }
}

impl DriftState {
    /// Takes in the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &DriftSpec, at: Timestamp, value: Celsius) -> Option<Finding> {
        let (value, at) = (value.degrees(), at.seconds());
        let Some(known) = &mut self.0 else {
            self.0 = Some(Box::new(Averages {
                began: at,
                updated: at,
                last_crossed: 0,
                count: 0,
                is_crossed: false,
                sum: 0.0,
                fast: value,
                slow: value,
                square: 0.0,
            }));
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let single = value as f32;
        known.sum += single;
        known.count = known.count.saturating_add(1);
        if at.saturating_sub(known.updated) >= STEP {
            known.update(spec, at);
        }
        known.finding(spec)
    }
}

impl Averages {
    fn update(&mut self, spec: &DriftSpec, at: u32) {
        let value = f64::from(self.sum / f32::from(self.count));
        let age = f64::from(at.saturating_sub(self.began));
        let fast = spec.fast.as_secs_f64();
        let step = f64::from(at.saturating_sub(self.updated)).min(fast * GAP);
        (self.updated, self.sum, self.count) = (at, 0.0, 0);
        // A young average is the plain one of all there is.
        let weight = |constant: f64| 1.0 - (-step / constant.min(age)).exp();
        self.fast += weight(fast) * (value - self.fast);
        let is_old = age >= spec.warm_up.as_secs_f64();
        let difference = self.difference();
        let usual = self.usual(spec);
        let beyond = is_old && difference.abs() > spec.score * usual;
        self.cross(spec, at, beyond);
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

    fn cross(&mut self, spec: &DriftSpec, at: u32, beyond: bool) {
        let rested = self.last_crossed == 0
            || f64::from(at.saturating_sub(self.last_crossed)) >= spec.cool_down.as_secs_f64();
        if !self.is_crossed && beyond && rested && self.level(spec).is_some() {
            self.is_crossed = true;
            self.last_crossed = at;
        } else if self.is_crossed
            && self.difference().abs() <= CLEARED * spec.score * self.usual(spec)
        {
            self.is_crossed = false;
        }
    }

    fn finding(&self, spec: &DriftSpec) -> Option<Finding> {
        if !self.is_crossed {
            return None;
        }
        // An open episode goes on with the mildest severity until it is resolved.
        let mildest = || {
            let levels = spec.levels.iter().zip(Severity::ALL);
            levels
                .filter_map(|(level, severity)| level.map(|_| severity))
                .min()
        };
        let severity = self.level(spec).or_else(mildest)?;
        Some(Finding::of(severity).with_change(self.difference()))
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

    /// Returns the hours in which drifts began, and the worst severity.
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

    /// Returns the hours in which drifts began and ended.
    fn lasting(hours: u64, value: impl Fn(f64) -> f64) -> Vec<(u64, u64)> {
        let (mut state, mut all) = (DriftState::default(), Vec::new());
        let mut began = None;
        for minute in (0..hours * 60).step_by(5) {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            let value = Celsius::new(value(minute as f64 / 60.0)).unwrap();
            let is_found = state.observe(&spec(), at, value).is_some();
            match began {
                None if is_found => began = Some(minute / 60),
                Some(hour) if !is_found => {
                    all.push((hour, minute / 60));
                    began = None;
                }
                _ => {}
            }
        }
        all
    }

    fn daily(hour: f64) -> f64 {
        22.0 + 0.8 * (hour / 24.0 * TAU).sin() + 0.5 * (hour * 6.0 * TAU).sin()
    }

    #[test]
    fn days_and_cooler_cycles_are_usual() {
        assert!(begins(30 * 24, daily).0.is_empty());
        // A few tenths are not a drift, even if nothing ever moves.
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
    fn a_second_drift_begins_after_the_cool_down_at_the_earliest() {
        // Six hours each.
        let warm = |hours: &[f64]| {
            let hours = hours.to_vec();
            move |hour: f64| {
                let is_warm = hours.iter().any(|from| (0.0..6.0).contains(&(hour - from)));
                daily(hour) + if is_warm { 4.0 } else { 0.0 }
            }
        };
        let (began, _) = begins(15 * 24, warm(&[240.0, 256.0]));
        assert_eq!(began.len(), 1, "{began:?}");
        let (began, _) = begins(15 * 24, warm(&[240.0, 270.0]));
        assert_eq!(began.len(), 2, "{began:?}");
    }

    #[test]
    fn a_drift_ends_when_half_of_what_is_unusual_is_gone() {
        let warm = |hour: f64| {
            if (240.0..246.0).contains(&hour) {
                23.5
            } else {
                22.0
            }
        };
        let all = lasting(15 * 24, warm);
        assert!(matches!(all[..], [(240..246, 250..254)]), "{all:?}");
    }

    #[test]
    fn a_fault_in_a_quiet_room_becomes_usual_within_two_weeks() {
        let step = |hour: f64| if hour < 240.0 { 22.0 } else { 26.0 };
        let all = lasting(40 * 24, step);
        assert!(matches!(all[..], [(240, 536..580)]), "{all:?}");
    }

    #[test]
    fn the_severity_is_that_of_the_change() {
        for (change, severity) in [(1.5, Severity::Info), (5.0, Severity::Warning)] {
            let step = |hour: f64| 22.0 + if hour < 240.0 { 0.0 } else { change };
            assert_eq!(begins(12 * 24, step).1, Some(severity), "{change}");
        }
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
