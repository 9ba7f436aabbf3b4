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
use crate::units::{Celsius, Kelvin, hundredths};

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

/// What is known of a device: small, since there is one of these for each device of a site. Temperatures
/// are hundredths of a degree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[repr(Rust, packed(2))]
pub struct StuckState {
    /// In seconds from 1970; zero before the first reading.
    since: u32,
    /// The minute in which the others were looked at last; only differences count.
    looked: u16,
    value: i16,
    /// The smallest change there was: a sensor's step, where nobody described it; zero for none yet.
    step: i16,
    /// What the others have come to since; the other way round where nobody has looked.
    low: i16,
    high: i16,
}

impl StuckState {
    /// Takes the next reading, which must be newer than the last; whether to look at the others.
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
                looked: minute,
                value,
                step,
                low: i16::MAX,
                high: i16::MIN,
            };
            return false;
        }
        let due = minute != self.looked;
        self.looked = minute;
        due
    }

    /// What the others of its rack have as their mean by now.
    pub fn look(&mut self, others: Option<f64>) {
        if let Some(mean) = others.map(hundredths) {
            (self.low, self.high) = ({ self.low }.min(mean), { self.high }.max(mean));
        }
    }

    /// Whether it is stuck at the time of its newest reading.
    pub fn finding(&self, spec: &StuckSpec, at: Timestamp) -> Option<Finding> {
        if self.since == 0 || self.low > self.high {
            return None;
        }
        let step = (f64::from(self.step) / 100.0).max(spec.resolution.0);
        let apart = (f64::from(self.high) - f64::from(self.low)) / 100.0;
        let moved = apart >= KELVIN.max(STEPS * step);
        let still = f64::from(at.seconds().saturating_sub(self.since));
        (moved && still >= spec.least.as_secs_f64()).then(|| Finding::of(spec.severity).by(apart))
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
