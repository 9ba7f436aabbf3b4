//! Stuck sensors: an unchanged value while the sensors around it move.
//!
//! An unchanged value alone means little: a sensor of whole degrees in a steady room shows the same for
//! hours. It should have changed if its neighbours in the rack moved by several of its steps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{
    Decision, Detector, DeviceTraits, Finding, Needs, Neighbours, Observation, Spec,
};
use super::fingerprint::SpecFingerprint;
use super::keys::{On, keys};
use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Phrase};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin, hundredths};

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
            longest_gap: LONGEST_GAP.max(device.interval),
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
    /// The longest time between two readings that counts as a time with the same value.
    pub longest_gap: Duration,
}

impl Spec for StuckSpec {
    type State = StuckState;
    const NEEDS: Needs = Needs::Neighbours;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.text(self.severity.name());
        to.duration(self.least);
        to.number(self.resolution.0);
    }

    fn threshold(&self, severity: Severity, _pending_for: Duration) -> Option<f64> {
        (severity == self.severity).then_some(self.least.as_secs_f64())
    }

    fn observe(&self, state: &mut StuckState, now: &Observation) -> Decision {
        state.skip(now.gap.saturating_sub(self.longest_gap));
        if state.observe(now.at, now.value) {
            Decision::NeedsInput
        } else {
            Decision::Decided(state.finding(self, now.at))
        }
    }

    fn observe_neighbours(
        &self,
        state: &mut StuckState,
        now: &Observation,
        neighbours: &Neighbours,
    ) -> Option<Finding> {
        state.compare(neighbours.mean);
        state.finding(self, now.at)
    }
}

/// Shortest time with the same value where the rule does not say it.
const STILL: Duration = Duration::from_mins(30);

/// Longest time between two readings that counts, unless the interval of the device is longer. The value of a longer gap
/// is unknown, or the clock was set forward, and no such time has passed.
const LONGEST_GAP: Duration = Duration::from_mins(5);

/// The steps, and the kelvin, by which the neighbours must have moved: sensors at other heights of a rack
/// do not move quite alike.
const STEPS: f64 = 3.0;
const KELVIN: f64 = 0.7;

/// The last value of a device: small, since there is one of these for each device of a site. Temperatures
/// are hundredths of a degree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StuckJson", into = "StuckJson")]
#[repr(Rust, packed(2))]
pub struct StuckState {
    /// Since when it has its value, in seconds from 1970; zero before the first reading.
    since: u32,
    /// The minute of the last comparison with the neighbours; only differences count.
    compared: u16,
    value: i16,
    /// The smallest change so far: a sensor's step, where it is not described; zero for none yet.
    step: i16,
    /// The range of the neighbours since; the highest below the lowest before the first comparison.
    low: i16,
    high: i16,
}

/// In JSON an array: since, minute of the comparison, value, step, lowest and highest of the neighbours.
type StuckJson = (u32, u16, i16, i16, i16, i16);

impl From<StuckState> for StuckJson {
    fn from(state: StuckState) -> Self {
        (
            state.since,
            state.compared,
            state.value,
            state.step,
            state.low,
            state.high,
        )
    }
}

impl From<StuckJson> for StuckState {
    fn from((since, compared, value, step, low, high): StuckJson) -> Self {
        Self {
            since,
            compared,
            value,
            step,
            low,
            high,
        }
    }
}

impl StuckState {
    /// Takes in the next reading, which must be newer than the last. Returns whether to compare it with
    /// the neighbours.
    pub fn observe(&mut self, at: Timestamp, value: Celsius) -> bool {
        let value = hundredths(value.degrees());
        let minute = minute(at);
        let change = value.saturating_sub(self.value).saturating_abs();
        if self.since == 0 || change != 0 {
            let step = match (self.since, self.step) {
                (0, _) => 0,
                (_, 0) => change,
                (_, step) => step.min(change),
            };
            *self = Self {
                since: at.seconds(),
                compared: minute,
                value,
                step,
                low: i16::MAX,
                high: i16::MIN,
            };
            return false;
        }
        let due = minute != self.compared;
        self.compared = minute;
        due
    }

    /// Leaves out a time before the next reading, in which the value is unknown.
    pub fn skip(&mut self, unknown: Duration) {
        if self.since != 0 {
            let seconds = u32::try_from(unknown.as_secs()).unwrap_or(u32::MAX);
            self.since = self.since.saturating_add(seconds);
        }
    }

    /// Takes in the mean of the neighbours.
    pub fn compare(&mut self, mean: Option<f64>) {
        if let Some(mean) = mean.map(hundredths) {
            (self.low, self.high) = ({ self.low }.min(mean), { self.high }.max(mean));
        }
    }

    /// Returns a finding if the sensor is stuck at the time of its newest reading.
    pub fn finding(&self, spec: &StuckSpec, at: Timestamp) -> Option<Finding> {
        let step = (f64::from(self.step) / 100.0).max(spec.resolution.0);
        // Less than zero before the first comparison.
        let apart = (f64::from(self.high) - f64::from(self.low)) / 100.0;
        let moved = apart >= KELVIN.max(STEPS * step);
        let still = f64::from(at.seconds().saturating_sub(self.since));
        (moved && still >= spec.least.as_secs_f64())
            .then(|| Finding::of(spec.severity).with_change(apart))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only differences count")]
fn minute(at: Timestamp) -> u16 {
    (at.seconds() / 60) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(resolution: f64) -> StuckSpec {
        StuckSpec {
            severity: Severity::Warning,
            least: Duration::from_mins(30),
            resolution: Kelvin(resolution),
            longest_gap: LONGEST_GAP,
        }
    }

    /// Returns the minute in which a sensor with these values, among such neighbours, is found.
    fn found(
        resolution: f64,
        own: impl Fn(u64) -> f64,
        others: impl Fn(u64) -> f64,
    ) -> Option<u64> {
        let (mut state, spec) = (StuckState::default(), spec(resolution));
        (0..600).find(|minute| {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            if state.observe(at, Celsius::new(own(*minute)).unwrap()) {
                state.compare(Some(others(*minute)));
            }
            state.finding(&spec, at).is_some()
        })
    }

    #[test]
    fn still_while_others_move_is_stuck_and_still_with_them_is_not() {
        let cycle = |minute: u64| 22.0 + (minute as f64 / 10.0).sin();
        let stuck = |minute| if minute < 100 { cycle(minute) } else { 22.3 };
        assert_eq!(found(0.1, stuck, cycle), Some(130));
        assert_eq!(found(0.1, cycle, cycle), None);
        assert_eq!(found(0.1, |_| 22.0, |_| 22.4), None, "all are still");
        assert_eq!(found(1.0, |_| 22.0, cycle), None, "less than its steps");
    }
}
