//! Stuck sensors: the same value again and again while the sensors around it move.
//!
//! That a value does not change says little: a sensor of whole degrees in a steady room does not for
//! hours. That the others of its rack have moved by several of its steps meanwhile says that it
//! should have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The numbers of a stuck sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct StuckSpec {
    /// How bad it is.
    pub severity: Severity,
    /// The same value for at least so long.
    pub least: Duration,
    /// The step of this device's readings, as it is described.
    pub resolution: Kelvin,
}

/// The others must have moved by so many steps, and by so many kelvin: sensors at other heights of a
/// rack do not move quite alike.
const STEPS: f64 = 3.0;
const KELVIN: f64 = 0.7;
/// How often the others are looked at, in seconds.
const LOOK: u32 = 60;

/// What is known of a device; nothing before its first reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StuckState(Option<Box<Known>>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    /// In seconds from 1970.
    since: u32,
    looked: u32,
    /// Single precision, here and below: half the memory, and exact to 0.0001 K.
    value: f32,
    /// The smallest change there was: a sensor's step, where nobody described it.
    step: Option<f32>,
    /// What the others have come to since.
    others: Option<(f32, f32)>,
}

impl StuckState {
    /// Takes the next reading, which must be newer than the last; whether to look at the others.
    pub fn observe(&mut self, at: Timestamp, value: Celsius) -> bool {
        let (value, at) = (single(value.degrees()), at.seconds());
        let begins = Known {
            value,
            since: at,
            looked: at,
            step: None,
            others: None,
        };
        let Some(known) = &mut self.0 else {
            self.0 = Some(Box::new(begins));
            return false;
        };
        let change = (value - known.value).abs();
        // A thousandth is no step of any sensor.
        if change > 1e-3 {
            let step = known.step.map_or(change, |step| step.min(change));
            **known = Known {
                step: Some(step),
                ..begins
            };
            return false;
        }
        let due = at.saturating_sub(known.looked) >= LOOK;
        if due {
            known.looked = at;
        }
        due
    }

    /// What the others of its rack have as their mean by now.
    pub fn look(&mut self, others: Option<f64>) {
        if let (Some(known), Some(mean)) = (&mut self.0, others.map(single)) {
            let (low, high) = known.others.unwrap_or((mean, mean));
            known.others = Some((low.min(mean), high.max(mean)));
        }
    }

    /// Whether it is stuck at the time of its newest reading.
    pub fn finding(&self, spec: &StuckSpec, at: Timestamp) -> Option<Finding> {
        let known = self.0.as_ref()?;
        let (low, high) = known.others?;
        let step = f64::from(known.step.unwrap_or(0.0)).max(spec.resolution.0);
        let apart = f64::from(high - low);
        let moved = apart >= KELVIN.max(STEPS * step);
        let still = f64::from(at.seconds().saturating_sub(known.since));
        (moved && still >= spec.least.as_secs_f64()).then(|| Finding::of(spec.severity).by(apart))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
fn single(degrees: f64) -> f32 {
    degrees as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(resolution: f64) -> StuckSpec {
        StuckSpec {
            severity: Severity::Warning,
            least: Duration::from_mins(30),
            resolution: Kelvin(resolution),
        }
    }

    /// The minute at which it is found, of a sensor that says this while others are there.
    fn found(
        resolution: f64,
        own: impl Fn(u64) -> f64,
        others: impl Fn(u64) -> f64,
    ) -> Option<u64> {
        let (mut state, spec) = (StuckState::default(), spec(resolution));
        (0..600).find(|minute| {
            let at = Timestamp::from_millis(minute * 60_000).unwrap();
            if state.observe(at, Celsius::new(own(*minute)).unwrap()) {
                state.look(Some(others(*minute)));
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
