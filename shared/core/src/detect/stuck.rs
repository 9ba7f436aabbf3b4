//! Stuck sensors: an unchanged value while the sensors around it move.
//!
//! An unchanged value alone means little: a sensor of whole degrees in a steady room shows the same for
//! hours. It should have changed if most of its neighbours in the rack moved by several of its steps. How
//! far they may move without it is learned: some sensors stand where the air is calm.
//!
//! Each device keeps the [range](MovementHistory) that it covered lately, so that each neighbour is compared with
//! itself. Half of them must have moved: neither one that is broken nor one beside an opened door decides.

mod movement;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use movement::MovementHistory;

use super::detector::{
    Compares, Decision, Detector, DeviceTraits, Finding, Observation, Peer, Spec,
};
use super::fingerprint::SpecFingerprint;
use super::keys::{On, keys};
use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Phrase};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Kelvin, hundredths};

keys! {
    /// The keys of `stuck_sensor`.
    pub struct StuckKeys {
        INFO, WARNING, CRITICAL: On
    }
}

/// `stuck_sensor`: reports the same value while its neighbours move.
#[derive(Clone, Copy, Debug)]
pub struct StuckSensor;

impl AnomalyKind for StuckSensor {
    const INFO: KindInfo = KindInfo {
        headline: "sensor is stuck",
        unit: "s",
        symptom: Some("reports the same value while its neighbours move"),
        ..KindInfo::new("stuck_sensor", "stuck", Family::Sensor)
    };

    type Payload = StuckPayload;

    fn phrase(payload: Option<&StuckPayload>, _facts: &AlertFacts) -> Phrase {
        let moved = payload.map_or(0.0, |stuck| stuck.neighbours);
        format!(", unchanged while its neighbours moved by {moved:.1} °C").into()
    }
}

/// A value that does not change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StuckPayload {
    /// The range, in kelvin, over which the neighbours moved meanwhile.
    pub neighbours: f64,
}

impl Payload for StuckPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        Some(Self {
            neighbours: extras.change?,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            change: Some(self.neighbours),
            ..Extras::default()
        }
    }
}

impl Detector for StuckSensor {
    type Keys = StuckKeys;
    type Spec = StuckSpec;

    fn spec(
        keys: &StuckKeys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<StuckSpec> {
        Some(StuckSpec {
            severity: keys.levels.severity()?,
            least: pending_for.unwrap_or(STILL),
            resolution: device.step(),
        })
    }

    /// The detector itself measures how long the value stays the same.
    fn pending_for(
        _keys: &StuckKeys,
        _pending_for: Option<Duration>,
        _device: &DeviceTraits<'_>,
    ) -> Duration {
        Duration::ZERO
    }
}

/// The parameters of a stuck sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct StuckSpec {
    /// The severity of its alerts.
    pub severity: Severity,
    /// The shortest time with the same value.
    pub least: Duration,
    /// The step of this device's readings, as it is described.
    pub resolution: Kelvin,
}

impl Spec for StuckSpec {
    type State = Box<StuckState>;
    const STATE_VERSION: u32 = 2;
    const COMPARES: Compares = Compares::Each;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.text(self.severity.name());
        to.duration(self.least);
        to.number(self.resolution.0);
    }

    fn threshold(&self, severity: Severity, _pending_for: Duration) -> Option<f64> {
        (severity == self.severity).then_some(self.least.as_secs_f64())
    }

    fn observe(&self, state: &mut Box<StuckState>, now: &Observation) -> Decision {
        if state.observe(now, self.least) {
            Decision::NeedsRack
        } else {
            Decision::Decided(state.finding(self, now.at))
        }
    }

    fn observe_rack(
        &self,
        state: &mut Box<StuckState>,
        now: &Observation,
        peers: &[Peer<'_, Self>],
    ) -> Option<Finding> {
        let (since, own) = (state.since, now.value.degrees());
        let believed = peers
            .iter()
            .filter(|peer| (peer.value.degrees() - own).abs() < BELIEVED);
        let moved = believed.filter_map(|peer| peer.state.movement.since(since));
        state.moved = moved_by_half(&mut moved.collect::<Vec<_>>());
        state.finding(self, now.at)
    }
}

/// Shortest time with the same value where the rule does not say it.
const STILL: Duration = Duration::from_mins(30);
/// The steps, and the hundredths of a kelvin, by which the neighbours must have moved: sensors at other heights of a
/// rack do not move quite alike.
const STEPS: i32 = 3;
const LEAST: i32 = 50;
/// The neighbours must have moved by this many times the farthest that they ordinarily do without it.
const ORDINARY: i32 = 2;
/// A neighbour that differs by this or more is not believed, in kelvin: broken probes of recorded rooms read 64 °C and
/// more for days.
const BELIEVED: f64 = 20.0;
/// Readings that a still value needs: two equal ones may be chance.
const READINGS: u8 = 10;
/// Changes after which the step of a sensor is known.
const CHANGES: u8 = 5;
/// A pause in the readings that is longer than this, and than four of the usual ones, is an outage: the value may
/// have changed and come back meanwhile. In seconds.
const OUTAGE: u32 = 600;
const PAUSES: u32 = 4;
/// The longest pause, in seconds, after a single reading, when the usual one is unknown.
const FIRST_PAUSE: u32 = 3_600;
/// Parts of the least time: how often a still value is compared with its neighbours, and from when on.
const PARTS: u32 = 10;
const CALM_PARTS: u32 = 3;
/// The part of the ordinary movement that each change after a long calm leaves: after some thirty it is halved.
const FORGETTING: i16 = 40;

/// The last value of a device, and how far it moved lately: small, since there is one of these for each device of a
/// site. Temperatures are hundredths of a degree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StuckJson", into = "StuckJson")]
pub struct StuckState {
    /// The time since when it has its value, in seconds from 1970; zero before the first reading.
    since: u32,
    /// The time of the last comparison with the neighbours, in seconds from 1970.
    compared: u32,
    value: i16,
    /// The smallest change so far: a sensor's step, where it is not described; zero for none yet.
    step: i16,
    /// The movement of the neighbours since, at the last comparison.
    moved: i16,
    /// The farthest that they ordinarily move without a change of this sensor.
    ordinary: i16,
    /// Changes of the value so far, and readings of the current one; both stop at 255.
    changes: u8,
    readings: u8,
    /// The range of the device itself, for its neighbours.
    movement: MovementHistory,
}

/// In JSON an array: since, last comparison (seconds after it), value, step, movement of the neighbours, ordinary
/// movement, changes, readings, history.
type StuckJson = (u32, u32, i16, i16, i16, i16, u8, u8, MovementHistory);

impl From<StuckState> for StuckJson {
    fn from(state: StuckState) -> Self {
        (
            state.since,
            state.compared.saturating_sub(state.since),
            state.value,
            state.step,
            state.moved,
            state.ordinary,
            state.changes,
            state.readings,
            state.movement,
        )
    }
}

impl From<StuckJson> for StuckState {
    fn from(json: StuckJson) -> Self {
        let (since, compared, value, step, moved, ordinary, changes, readings, movement) = json;
        Self {
            since,
            compared: since.saturating_add(compared),
            value,
            step,
            moved,
            ordinary,
            changes,
            readings,
            movement,
        }
    }
}

impl StuckState {
    /// Takes in the next reading, which must be newer than the last. Returns whether to compare it with the
    /// neighbours, in a device whose value must be still for the `least` time.
    pub fn observe(&mut self, now: &Observation, least: Duration) -> bool {
        let (at, value) = (now.at.seconds(), hundredths(now.value.degrees()));
        self.movement.observe(at, now.gap, now.value);
        let change = value.saturating_sub(self.value).saturating_abs();
        if self.since == 0 || change != 0 {
            self.turn(at, value, change);
            return false;
        }
        if self.is_outage(now) {
            self.begin(at, value);
            return false;
        }
        self.readings = self.readings.saturating_add(1);
        let least = u32::try_from(least.as_secs()).unwrap_or(u32::MAX);
        let is_long = at.saturating_sub(self.since) >= least / CALM_PARTS;
        let is_due = is_long && at.saturating_sub(self.compared) >= least / PARTS;
        if is_due {
            self.compared = at;
        }
        is_due
    }

    /// Begins with another value.
    fn turn(&mut self, at: u32, value: i16, change: i16) {
        if self.since > 0 {
            self.step = match self.step {
                0 => change,
                step => step.min(change),
            };
            self.changes = self.changes.saturating_add(1);
            if self.moved > 0 {
                let left = self.ordinary - self.ordinary / FORGETTING;
                self.ordinary = left.max(self.moved);
            }
        }
        self.begin(at, value);
    }

    fn begin(&mut self, at: u32, value: i16) {
        (self.since, self.compared, self.value) = (at, at, value);
        (self.moved, self.readings) = (0, 1);
    }

    /// Returns whether the device was not read for so long that its value may have changed meanwhile.
    fn is_outage(&self, now: &Observation) -> bool {
        let gap = u32::try_from(now.gap.as_secs()).unwrap_or(u32::MAX);
        let pauses = u32::from(self.readings.saturating_sub(1));
        if pauses == 0 {
            return gap > FIRST_PAUSE;
        }
        // Counted no further than a byte goes: then the mean is too long, and less is an outage.
        let before = now
            .at
            .seconds()
            .saturating_sub(self.since)
            .saturating_sub(gap);
        gap > OUTAGE.max(before / pauses * PAUSES)
    }

    /// Returns a finding if the sensor is stuck at the time of its newest reading.
    pub fn finding(&self, spec: &StuckSpec, at: Timestamp) -> Option<Finding> {
        if self.readings < READINGS || self.changes < CHANGES {
            return None;
        }
        let still = f64::from(at.seconds().saturating_sub(self.since));
        let asked = i32::from(self.step.max(hundredths(spec.resolution.0))) * STEPS;
        let asked = asked.max(LEAST).max(i32::from(self.ordinary) * ORDINARY);
        let is_stuck = still >= spec.least.as_secs_f64() && i32::from(self.moved) >= asked;
        is_stuck.then(|| Finding::of(spec.severity).with_change(f64::from(self.moved) / 100.0))
    }
}

/// Returns the movement that at least half of the neighbours have, in hundredths; of two, that of both. A single one
/// may move alone, so that its movement counts for half.
fn moved_by_half(moved: &mut [i16]) -> i16 {
    moved.sort_unstable();
    match *moved {
        [] => 0,
        [one] => one / 2,
        _ => moved[(moved.len() - 1) / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Role;
    use crate::units::Celsius;

    const HOUR: u64 = 3_600;

    fn spec(resolution: f64) -> StuckSpec {
        StuckSpec {
            severity: Severity::Warning,
            least: Duration::from_mins(30),
            resolution: Kelvin(resolution),
        }
    }

    /// A rack of sensors; the first one is watched.
    struct Rack {
        spec: StuckSpec,
        #[expect(clippy::vec_box, reason = "as a device keeps it")]
        states: Vec<Box<StuckState>>,
        last: Option<u64>,
    }

    impl Rack {
        fn new(resolution: f64, sensors: usize) -> Self {
            Self {
                spec: spec(resolution),
                states: vec![Box::default(); sensors],
                last: None,
            }
        }

        /// Takes in a reading of each sensor. Returns whether the first one is stuck.
        fn read(&mut self, second: u64, value: impl Fn(usize) -> f64) -> bool {
            let at = Timestamp::from_millis(1_764_140_000_000 + second * 1000).unwrap();
            let gap = Duration::from_secs(second - self.last.unwrap_or(second));
            self.last = Some(second);
            let mut found = None;
            for index in (0..self.states.len()).rev() {
                let now = Observation {
                    at,
                    gap,
                    value: Celsius::new(value(index)).unwrap(),
                    is_open: false,
                    role: Role::Inlet,
                    usual: None,
                };
                let mut state = std::mem::take(&mut self.states[index]);
                found = match self.spec.observe(&mut state, &now) {
                    Decision::Decided(found) => found,
                    Decision::Undecided => None,
                    Decision::NeedsRack => {
                        let others = self
                            .states
                            .iter()
                            .enumerate()
                            .filter(|(other, _)| *other != index);
                        let peers = others.map(|(other, state)| Peer {
                            spec: &self.spec,
                            state,
                            role: Role::Inlet,
                            value: Celsius::new(value(other)).unwrap(),
                        });
                        self.spec
                            .observe_rack(&mut state, &now, &peers.collect::<Vec<_>>())
                    }
                };
                self.states[index] = state;
            }
            found.is_some()
        }

        /// Returns the second at which the first sensor is stuck, of readings at these seconds.
        fn found(
            &mut self,
            seconds: impl IntoIterator<Item = u64>,
            value: impl Fn(u64, usize) -> f64,
        ) -> Option<u64> {
            seconds
                .into_iter()
                .find(|second| self.read(*second, |sensor| value(*second, sensor)))
        }
    }

    fn minutes(hours: u64) -> impl Iterator<Item = u64> {
        (0..hours * 60).map(|minute| minute * 60)
    }

    /// Air that a cooler swings by two kelvin every ten minutes, in tenths.
    fn air(second: u64, sensor: usize) -> f64 {
        let cycle = (second as f64 / 600.0 * std::f64::consts::TAU).sin();
        ((22.0 + sensor as f64 * 0.3 + cycle) * 10.0).round() / 10.0
    }

    /// The same for the first sensor up to a time, from which on it shows what it showed then.
    fn sticks(from: u64) -> impl Fn(u64, usize) -> f64 {
        move |second, sensor| {
            air(
                if sensor == 0 {
                    second.min(from)
                } else {
                    second
                },
                sensor,
            )
        }
    }

    #[test]
    fn still_while_the_others_move_is_stuck_after_half_an_hour() {
        for sensors in [3, 4, 9] {
            let found = Rack::new(0.1, sensors)
                .found(minutes(4), sticks(HOUR))
                .unwrap();
            assert!((90 * 60..=96 * 60).contains(&found), "{sensors}: {found}");
        }
        assert_eq!(Rack::new(0.1, 9).found(minutes(48), air), None);
        let still = |second: u64, sensor| air(second.min(HOUR), sensor);
        assert_eq!(
            Rack::new(0.1, 9).found(minutes(48), still),
            None,
            "all are still"
        );
    }

    #[test]
    fn a_single_neighbour_must_move_twice_as_far() {
        // A swing of two kelvin would do for several neighbours.
        let found = |swing: f64| {
            let one = move |second: u64, sensor: usize| match sensor {
                0 => sticks(HOUR)(second, 0),
                _ => ((air(second, 0) - 22.0) * swing + 22.0).round_ties_even(),
            };
            Rack::new(0.1, 2).found(minutes(4), one)
        };
        assert_eq!(found(0.5), None);
        assert!(found(2.0).is_some());
    }

    #[test]
    fn neither_a_broken_neighbour_nor_one_of_many_decides() {
        let still = |second: u64, sensor: usize| air(second.min(HOUR), sensor);
        let broken = |second: u64, sensor: usize| match sensor {
            1 => 115.0 - (second / 60 % 7) as f64 * 9.0,
            _ => still(second, sensor),
        };
        assert_eq!(Rack::new(0.1, 2).found(minutes(48), broken), None);
        let door = |second: u64, sensor: usize| match sensor {
            1..=3 => air(second, sensor) + 4.0 * air(second, 0),
            _ => still(second, sensor),
        };
        assert_eq!(Rack::new(0.1, 9).found(minutes(48), door), None);
    }

    #[test]
    fn a_sensor_of_whole_degrees_is_not_stuck_for_less_than_its_steps() {
        let whole = |second: u64, sensor: usize| (air(second, sensor) / 1.0).round();
        assert_eq!(Rack::new(1.0, 9).found(minutes(48), whole), None);
        // Its step is not described, and the air is calm where it stands: 22.0 for hours.
        let calm = |second: u64, sensor: usize| match sensor {
            0 if second > HOUR => 22.0,
            _ => whole(second, sensor),
        };
        assert_eq!(Rack::new(0.1, 9).found(minutes(48), calm), None);
    }

    #[test]
    fn a_step_that_is_not_known_yet_is_not_taken_for_a_small_one() {
        let never_changed = |second, sensor| {
            if sensor == 0 {
                21.0
            } else {
                air(second, sensor)
            }
        };
        assert_eq!(Rack::new(0.1, 9).found(minutes(48), never_changed), None);
    }

    #[test]
    fn an_outage_is_not_stillness() {
        let mut rack = Rack::new(0.1, 9);
        assert_eq!(rack.found(minutes(1), air), None);
        // Nothing is read for 19 hours. Then the room is warmer, but for the first sensor.
        let last = air(59 * 60, 0);
        let after = (20 * 60..20 * 60 + 25).map(|minute| minute * 60);
        let value = |second, sensor| {
            if sensor == 0 {
                last
            } else {
                air(second, sensor) + 3.0
            }
        };
        assert_eq!(rack.found(after, value), None);
    }

    #[test]
    fn two_equal_readings_are_chance_and_ten_are_not() {
        let polls = |every: u64| (0..4 * HOUR).step_by(usize::try_from(every).unwrap());
        let found = |every| Rack::new(0.1, 9).found(polls(every), sticks(2 * HOUR));
        // The tenth equal reading, rather than the first after half an hour.
        let minutes = (found(290).unwrap() - 2 * HOUR) / 60;
        assert!((43..50).contains(&minutes), "{minutes}");
        assert_eq!(found(890), None, "eight readings");
    }

    #[test]
    fn what_the_neighbours_ordinarily_do_without_it_is_learned() {
        // The room moves by two kelvin every two hours; this sensor follows each third time only.
        let lazy = |second: u64, sensor: usize| {
            let block = second / HOUR / 2;
            let block = if sensor == 0 { block / 3 * 3 } else { block };
            22.0 + (block % 2) as f64 * 2.0
                + if sensor == 0 && second < HOUR {
                    air(second, 0)
                } else {
                    0.0
                }
        };
        let mut rack = Rack::new(0.1, 9);
        let mut found = 0;
        let mut was = false;
        for second in minutes(24 * 14) {
            let is = rack.read(second, |sensor| lazy(second, sensor));
            found += u32::from(is && !was);
            was = is;
        }
        assert_eq!(found, 1, "only before it was known");
    }

    #[test]
    fn saved_state_goes_on_as_it_was() {
        let mut rack = Rack::new(0.1, 9);
        assert_eq!(rack.found(minutes(1), sticks(HOUR / 2)), None);
        for state in &mut rack.states {
            let json = serde_json::to_string(state).unwrap();
            let again: Box<StuckState> = serde_json::from_str(&json).unwrap();
            assert_eq!(again.since, state.since);
            assert!(json.len() < 160, "{json}");
            *state = again;
        }
        let later = minutes(3).skip(60);
        let found = rack.found(later, sticks(HOUR / 2)).unwrap();
        assert!((60 * 60..=66 * 60).contains(&found), "{found}");
    }
}
