//! The usual level of a device: where its temperature lies when nothing happens.
//!
//! A return to it is the end of a change and no change of its own: air that cools down after a failure, or that warms
//! again after an opened door. It follows a room over hours, and what lasts for minutes hardly moves it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Celsius;

/// Time constant of the level, in seconds: rooms move by a kelvin within hours.
const FOLLOWS: f64 = 7_200.0;
/// A temperature that is farther away counts as being this far away, in kelvin. So the level moves by half a kelvin an
/// hour at most, and a failure of half an hour leaves it where it was.
const FARTHEST: f64 = 1.0;
/// The longest time for which one reading counts, in seconds.
const LONGEST: f64 = 900.0;

/// The usual level of a device; none before its first reading. In JSON a number in °C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsualLevel(Option<f32>);

impl UsualLevel {
    /// Takes in the next reading, `gap` after the last one.
    pub fn observe(&mut self, gap: Duration, value: Celsius) {
        let value = value.degrees();
        let level = self.0.map_or(value, |level| {
            let (level, gap) = (f64::from(level), gap.as_secs_f64().min(LONGEST));
            level + (value - level).clamp(-FARTHEST, FARTHEST) * gap / (gap + FOLLOWS)
        });
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let level = level as f32;
        self.0 = Some(level);
    }

    /// Returns whether the device was never read.
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the level in °C.
    pub fn degrees(self) -> Option<f64> {
        self.0.map(f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the level after these minutes at a temperature, from 22 °C on.
    fn level(minutes: u64, degrees: f64) -> f64 {
        let mut level = UsualLevel::default();
        level.observe(Duration::ZERO, Celsius::new(22.0).unwrap());
        for _ in 0..minutes {
            level.observe(Duration::from_mins(1), Celsius::new(degrees).unwrap());
        }
        level.degrees().unwrap()
    }

    #[test]
    fn it_follows_a_room_and_not_a_failure() {
        assert_eq!(UsualLevel::default().degrees(), None);
        assert!(
            (22.2..22.3).contains(&level(30, 40.0)),
            "{}",
            level(30, 40.0)
        );
        assert!(
            (22.6..22.7).contains(&level(120, 23.0)),
            "{}",
            level(120, 23.0)
        );
        assert!(
            (level(60 * 24, 24.0) - 24.0).abs() < 0.1,
            "{}",
            level(60 * 24, 24.0)
        );
    }

    #[test]
    fn a_gap_of_hours_counts_as_a_quarter_of_one() {
        let mut level = UsualLevel::default();
        level.observe(Duration::ZERO, Celsius::new(22.0).unwrap());
        level.observe(Duration::from_hours(19), Celsius::new(30.0).unwrap());
        assert!(level.degrees().unwrap() < 22.2, "{level:?}");
    }
}
