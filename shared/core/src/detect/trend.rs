//! The trend of a device, for the words of an alert: the mean slope over the last minute or two.
//!
//! No rule looks at it. Devices with a detector that knows the rate need none.

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use crate::time::Timestamp;
use crate::units::Celsius;

/// Readings are kept at least this far apart, in milliseconds.
const STEP: u64 = 15_000;
/// The most readings that are kept: enough for two minutes.
const KEPT: usize = 8;
/// A shorter base than this shows noise instead of a trend.
const SHORTEST: u64 = 30_000;
/// Age from which a reading is irrelevant for the trend.
const LONGEST: u64 = 150_000;

/// A few readings of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Time, in tenths of a second from 1970 (only differences count), and temperature.
    #[serde(default, skip_serializing_if = "ThinVec::is_empty")]
    kept: ThinVec<(u32, f32)>,
}

impl Trend {
    /// Takes in the next reading, which must be newer than the last.
    pub fn observe(&mut self, at: Timestamp, value: Celsius) {
        if self
            .kept
            .last()
            .is_some_and(|(last, _)| since(at, *last) < STEP)
        {
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        if self.kept.is_empty() {
            self.kept.reserve_exact(KEPT);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "single precision is enough"
        )]
        self.kept.push((tenths(at), value.degrees() as f32));
    }

    /// Returns kelvin per minute up to this reading; `None` where too little is known.
    pub fn rate(&self, at: Timestamp, value: Celsius) -> Option<f64> {
        let age = |kept: u32| since(at, kept);
        let base = self.kept.iter().find(|(kept, _)| age(*kept) <= LONGEST);
        let (kept, then) = base.filter(|(kept, _)| age(*kept) >= SHORTEST)?;
        Some((value.degrees() - f64::from(*then)) * 60_000.0 / age(*kept) as f64)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
fn tenths(at: Timestamp) -> u32 {
    (at.millis() / 100) as u32
}

/// Returns the milliseconds from `then` to `at`.
fn since(at: Timestamp, then: u32) -> u64 {
    u64::from(tenths(at).wrapping_sub(then)) * 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kelvin_a_minute_are_two_kelvin_a_minute() {
        let mut trend = Trend::default();
        let at = |s: u64| Timestamp::from_millis(s * 1000).unwrap();
        let value = |s: u64| Celsius::new(20.0 + s as f64 / 30.0).unwrap();
        assert_eq!(trend.rate(at(0), value(0)), None);
        for second in 1..300 {
            trend.observe(at(second), value(second));
        }
        let rate = trend.rate(at(300), value(300)).unwrap();
        assert!((rate - 2.0).abs() < 0.01, "{rate}");
        assert_eq!(trend.rate(at(900), value(900)), None, "too old");
    }
}
