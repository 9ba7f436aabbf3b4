//! Swings: the distance of the temperature from its lowest (or highest) within a sliding window.
//!
//! ASHRAE limits the largest difference within a window, not a slope; a rise and a fall differ in
//! direction. The window consists of fixed buckets, each a tenth of it, so that it is never longer
//! than configured and at most one bucket shorter. A bucket is dropped once a later one reaches or
//! passes it. The first of the rest is the extreme of the window. A reading therefore costs the same
//! for any length of window, and at most ten buckets remain, in quiet times a few.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use super::detector::{Decision, Detector, DeviceTraits, Finding, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{Check, DurationRange, Level, RawValue, keys};
use super::kind::{
    AlertFacts, AnomalyKind, ChangePayload, Family, KindInfo, Peak, Phrase, change_phrase,
};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin, hundredths};

keys! {
    /// The keys of `spike` and `drop`.
    pub struct SwingKeys {
        INFO, WARNING, CRITICAL: SwingThreshold
    }
}

/// The level of a swing: a change within a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwingThreshold {
    /// Kelvin.
    pub by: f64,
    /// Length of the window.
    pub within: Duration,
}

/// Windows shorter than the least would be a single reading of most sensors.
const WINDOW: DurationRange = DurationRange {
    least: Duration::from_secs(10),
    most: Duration::from_hours(24),
};

impl Level for SwingThreshold {
    const EXPECTED: &'static str = "{ by = <kelvin>, within = \"<duration>\" }";

    fn read(raw: &RawValue) -> Option<Result<Self, String>> {
        let RawValue::Table(table) = raw else {
            return None;
        };
        let (Some(RawValue::Number(by)), Some(within), 2) =
            (table.get("by"), table.get("within"), table.len())
        else {
            return None;
        };
        if !(0.1..=100.0).contains(by) {
            return Some(Err("expected a change of 0.1 to 100 kelvin".to_owned()));
        }
        Some(WINDOW.read(within).map(|within| Self { by: *by, within }))
    }
}

/// `spike`: rose by much within a window.
#[derive(Clone, Copy, Debug)]
pub struct Spike;

/// `drop`: fell by much within a window.
#[derive(Clone, Copy, Debug)]
pub struct Drop;

impl AnomalyKind for Spike {
    const INFO: KindInfo = KindInfo {
        headline: "heating up fast",
        rank: 1,
        peak: Peak::Highest,
        unit: "K",
        recovery_of: Some(Family::Cold),
        ..KindInfo::new("spike", "rapid rise", Family::Heat)
    };

    type Payload = ChangePayload;

    fn phrase(payload: Option<&ChangePayload>, facts: &AlertFacts) -> Phrase {
        let change = payload.map_or(facts.threshold, |swing| swing.change);
        let window = payload.map(|swing| ("within", swing.window));
        change_phrase(change, "", window).into()
    }
}

impl AnomalyKind for Drop {
    const INFO: KindInfo = KindInfo {
        headline: "cooling down fast",
        rank: 1,
        peak: Peak::Lowest,
        unit: "K",
        recovery_of: Some(Family::Heat),
        ..KindInfo::new("drop", "rapid drop", Family::Cold)
    };

    type Payload = ChangePayload;

    fn phrase(payload: Option<&ChangePayload>, facts: &AlertFacts) -> Phrase {
        let change = payload.map_or(facts.threshold, |swing| swing.change);
        let window = payload.map(|swing| ("within", swing.window));
        change_phrase(-change, "", window).into()
    }
}

impl Detector for Spike {
    type Keys = SwingKeys;
    type Spec = SwingSpec;

    fn spec(
        keys: &SwingKeys,
        _lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<SwingSpec> {
        SwingSpec::new(Direction::Rise, keys, device)
    }
}

impl Detector for Drop {
    type Keys = SwingKeys;
    type Spec = SwingSpec;

    fn spec(
        keys: &SwingKeys,
        _lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<SwingSpec> {
        SwingSpec::new(Direction::Fall, keys, device)
    }
}

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
    /// The change that crosses the level.
    pub by: Kelvin,
    /// The length of the window.
    pub within: Duration,
    /// Width of a bucket in milliseconds, computed once instead of with each reading.
    width: u64,
}

impl SwingLevel {
    /// Creates a level for a change of `by` within a window.
    pub fn new(by: Kelvin, within: Duration) -> Self {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self {
            by,
            within,
            width: (millis / u64::from(BUCKETS)).max(1),
        }
    }

    /// Returns the change that two readings must show which are `gap` apart, in kelvin: where they are further apart
    /// than the window, they must change at the rate of the level.
    fn by_rate(&self, gap: Duration) -> f64 {
        let windows = gap.as_secs_f64() / self.within.as_secs_f64();
        self.by.0 * windows.max(1.0)
    }
}

/// The parameters of a swing.
#[derive(Clone, Debug, PartialEq)]
pub struct SwingSpec {
    /// Which way is bad.
    pub direction: Direction,
    /// From info to critical; none where it is off.
    pub levels: [Option<SwingLevel>; 3],
}

/// A change of fewer than three steps of the sensor is noise of its quantisation.
const LEAST_STEPS: f64 = 3.0;

impl SwingSpec {
    fn new(direction: Direction, keys: &SwingKeys, device: &DeviceTraits<'_>) -> Option<Self> {
        let least = Kelvin(device.resolution.map_or(0.0, |step| step.0) * LEAST_STEPS);
        let error = device.coarse_error();
        let levels = keys.levels.active().map(|level| {
            let level = level?;
            Some(SwingLevel::new(
                Kelvin(level.by + error).max(least),
                level.within,
            ))
        });
        let is_on = levels.iter().any(Option::is_some);
        is_on.then_some(Self { direction, levels })
    }
}

impl Spec for SwingSpec {
    type State = SwingState;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        for level in &self.levels {
            to.numbers([level.as_ref().map(|level| level.by.0)]);
            if let Some(level) = level {
                to.duration(level.within);
            }
        }
    }

    fn threshold(&self, severity: Severity, _lasting: Duration) -> Option<f64> {
        let level = self.levels[severity as usize].as_ref()?;
        Some(level.by.0)
    }

    fn window(&self, severity: Severity) -> Option<Duration> {
        let level = self.levels[severity as usize].as_ref()?;
        Some(level.within)
    }

    fn observe(&self, state: &mut SwingState, now: &Observation) -> Decision {
        Decision::Decided(state.observe(self, now))
    }
}

/// Buckets in a window.
const BUCKETS: u8 = 10;

/// The level under which the last temperature is kept, behind the windows.
const LAST: u8 = 3;

/// Less than a hundredth of a kelvin, the precision of temperatures here: 22.1 - 20.1 must count as 2.0
/// although neither has an exact binary form.
const TOLERANCE: f64 = 1e-3;

/// The windows of one swing on one device, level by level, the oldest and furthest bucket first, and then the last
/// temperature. Small,
/// since there are two of these for each device. In JSON an array of numbers, one a bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SwingState(ThinVec<Extreme>);

/// The extreme of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
struct Extreme {
    /// The level of the window, from info to critical, or [`LAST`].
    level: u8,
    /// The low byte of the bucket's number: the buckets of a window are less than 256 apart.
    bucket: u8,
    /// The temperature.
    hundredths: i16,
}

impl SwingState {
    /// Takes in the next reading, which must be newer than the last.
    pub fn observe(&mut self, spec: &SwingSpec, now: &Observation) -> Option<Finding> {
        let value = hundredths(now.value.degrees());
        let (mut worst, mut start) = (None, 0);
        let last = self.take_last();
        let levels = (0..).zip(spec.levels.iter().zip(Severity::ALL));
        for (number, (level, severity)) in levels {
            let Some(level) = level else { continue };
            let newest = Extreme {
                level: number,
                bucket: bucket(level, now.at),
                hundredths: value,
            };
            let furthest = self.turn(spec.direction, &mut start, newest, now.gap >= level.within);
            let in_window = spec.direction.change(furthest, value);
            let since_last = last.map_or(0.0, |last| spec.direction.change(last, value));
            let change = in_window.max(since_last);
            let is_beyond = in_window >= level.by.0 - TOLERANCE
                || since_last >= level.by_rate(now.gap) - TOLERANCE;
            let is_return = now
                .usual
                .is_some_and(|usual| spec.direction.beyond(usual, now.value) < level.by.0 * AWAY);
            if is_beyond && !is_return {
                worst = Some(Finding::of(severity).with_change(change));
            }
        }
        let Self(known) = self;
        make_room(known);
        known.push(Extreme {
            level: LAST,
            bucket: 0,
            hundredths: value,
        });
        worst
    }

    /// Takes the last temperature out, in hundredths.
    fn take_last(&mut self) -> Option<i16> {
        let Self(known) = self;
        let last = known.last().copied().filter(|last| last.level == LAST)?;
        known.pop();
        Some(last.hundredths)
    }

    /// Takes the newest reading into the window that begins at `start`, and returns the furthest
    /// temperature in it; `start` then points to the next window.
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
                make_room(known);
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

/// The part of a level by which a temperature must be away from the usual one: less is a return to it.
const AWAY: f64 = 0.5;

/// Buckets allocated at once: doubling would waste more than there is.
const GROWTH: usize = 4;

fn make_room(known: &mut ThinVec<Extreme>) {
    if known.len() == known.capacity() {
        known.reserve_exact(GROWTH);
    }
}

/// Returns the low byte of the number of the bucket into which `at` falls.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
fn bucket(level: &SwingLevel, at: Timestamp) -> u8 {
    (at.millis() / level.width) as u8
}

impl Direction {
    /// Returns the change from one temperature to another in this direction, in kelvin. Both are in hundredths.
    fn change(self, from: i16, to: i16) -> f64 {
        let rise = f64::from(i32::from(to) - i32::from(from)) / 100.0;
        match self {
            Self::Rise => rise,
            Self::Fall => -rise,
        }
    }

    /// Returns how far a temperature is beyond the usual level in this direction, in kelvin.
    fn beyond(self, usual: f64, value: Celsius) -> f64 {
        match self {
            Self::Rise => value.degrees() - usual,
            Self::Fall => usual - value.degrees(),
        }
    }

    /// Returns whether `a` is further than `b` from the end of this direction.
    fn is_further(self, a: i16, b: i16) -> bool {
        match self {
            Self::Rise => a < b,
            Self::Fall => a > b,
        }
    }
}

/// Level, bucket and temperature in one number: 8, 8 and 16 bits.
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
    use crate::device::Role;

    fn spec(direction: Direction) -> SwingSpec {
        let level =
            |by, minutes: u64| Some(SwingLevel::new(Kelvin(by), Duration::from_mins(minutes)));
        SwingSpec {
            direction,
            levels: [level(2.0, 5), level(5.0, 15), level(20.0, 60)],
        }
    }

    fn now(at: Timestamp, gap: Duration, degrees: f64) -> Observation {
        Observation {
            at,
            gap,
            value: Celsius::new(degrees).unwrap(),
            is_open: false,
            role: Role::Inlet,
            usual: None,
        }
    }

    fn worst(direction: Direction, readings: &[(u64, f64)]) -> Option<Severity> {
        let spec = spec(direction);
        let (mut state, mut last) = (SwingState::default(), Timestamp::default());
        let see = |(second, t): &(u64, f64)| {
            let at = Timestamp::from_millis(1_700_000_000_000 + second * 1000).unwrap();
            let gap = at.since(std::mem::replace(&mut last, at));
            state.observe(&spec, &now(at, gap, *t)).map(|f| f.severity)
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
        assert_eq!(worst(Direction::Rise, &[(5, 20.1), (309, 22.1)]), None);
        assert_eq!(
            worst(Direction::Rise, &[(0, 20.1), (270, 22.1)]),
            Some(Severity::Info)
        );
    }

    /// Each of these is a reading of a recorded room that was polled every five minutes.
    #[test]
    fn a_change_from_one_poll_to_the_next_is_seen_however_long_the_interval() {
        let polls = [(0, 28.8), (303, 29.1), (866, 25.2), (1170, 24.6)];
        assert_eq!(worst(Direction::Fall, &polls), Some(Severity::Info));
        assert_eq!(worst(Direction::Rise, &polls), None);
        let polls = [(0, 25.2), (303, 25.2), (607, 30.0), (911, 30.0)];
        assert_eq!(worst(Direction::Rise, &polls), Some(Severity::Info));
        // The same change within an outage of hours may have been slow.
        assert_eq!(worst(Direction::Rise, &[(0, 25.0), (20_000, 30.0)]), None);
    }

    #[test]
    fn a_return_to_the_usual_level_is_no_change_of_its_own() {
        let spec = spec(Direction::Rise);
        let found = |dip: f64, back: f64| {
            let mut state = SwingState::default();
            let mut found = None;
            for (second, degrees) in [(0, 22.0), (60, dip), (120, back)] {
                let at = Timestamp::from_millis(1_700_000_000_000 + second * 1000).unwrap();
                let gap = Duration::from_secs(60);
                let reading = Observation {
                    usual: Some(22.0),
                    ..now(at, gap, degrees)
                };
                found = state.observe(&spec, &reading).map(|f| f.severity);
            }
            found
        };
        assert_eq!(found(18.0, 22.0), None);
        assert_eq!(found(18.0, 22.9), None);
        assert_eq!(
            found(18.0, 23.0),
            Some(Severity::Info),
            "more than a return"
        );
        assert_eq!(
            found(15.0, 24.4),
            Some(Severity::Info),
            "no return, but not 5 K beyond"
        );
        assert_eq!(found(22.0, 24.0), Some(Severity::Info));
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
                let found = state.observe(&spec, &now(at, gap, t)).is_some();
                let is_rate = gap.as_secs() >= 300 && change >= 4.0 * gap.as_secs_f64() / 300.0 - 0.02;
                let rise = |within: u64| seen.iter()
                    .filter(|(s, _)| second - s <= within)
                    .map(|(_, v)| t - v)
                    .fold(0.0, f64::max);
                if rise(269) >= 4.01 { prop_assert!(found) }
                if rise(300) < 3.98 && !is_rate { prop_assert!(!found) }
            }
        }
    }
}
