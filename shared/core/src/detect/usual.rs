//! The usual level of a device: where its temperature lies when nothing happens.
//!
//! A return to it is the end of a change and no change of its own: air that cools down after a failure, or that warms
//! again after an opened door. The level follows a room within half an hour. While the temperature is far away from it,
//! it stays where it was before, until the temperature is back or has been away for so long that this is usual now.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Celsius;

/// Time constant of the level, in seconds: rooms move by a kelvin or two within an hour.
const FOLLOWS: f64 = 1_800.0;
/// The longest time for which one reading counts, in seconds.
const LONGEST: f64 = 900.0;
/// The distance from the level, in kelvin, at which a temperature is away from it, and at which it is back.
const AWAY: f64 = 2.0;
const BACK: f64 = 1.0;
/// The seconds after which a temperature that is away is the usual one.
const STAYS: u32 = 6 * 3_600;

/// The usual level of a device; none before its first reading. In JSON an array: the level, and for how many seconds
/// the temperature has been away from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsualLevel(Option<(f32, u32)>);

impl UsualLevel {
    /// Takes in the next reading, `gap` after the last one.
    pub fn observe(&mut self, gap: Duration, value: Celsius) {
        let value = value.degrees();
        let Some((level, away)) = self.0 else {
            self.0 = Some((single(value), 0));
            return;
        };
        let level = f64::from(level);
        let distance = value - level;
        let limit = if away > 0 { BACK } else { AWAY };
        let seconds = u32::try_from(gap.as_secs()).unwrap_or(u32::MAX).max(1);
        self.0 = Some(if distance.abs() < limit {
            let gap = gap.as_secs_f64().min(LONGEST);
            (single(level + distance * gap / (gap + FOLLOWS)), 0)
        } else if away.saturating_add(seconds) >= STAYS {
            (single(value), 0)
        } else {
            (single(level), away.saturating_add(seconds))
        });
    }

    /// Returns whether the device was never read.
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the level in °C.
    pub fn degrees(self) -> Option<f64> {
        self.0.map(|(level, _)| f64::from(level))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
fn single(degrees: f64) -> f32 {
    degrees as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the level after each of these temperatures, a minute apart, from 22 °C on.
    fn levels(temperatures: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut level = UsualLevel::default();
        level.observe(Duration::ZERO, Celsius::new(22.0).unwrap());
        let follow = |degrees| {
            level.observe(Duration::from_mins(1), Celsius::new(degrees).unwrap());
            level.degrees().unwrap()
        };
        temperatures.into_iter().map(follow).collect()
    }

    fn last(temperatures: impl IntoIterator<Item = f64>) -> f64 {
        levels(temperatures).pop().unwrap()
    }

    #[test]
    fn it_follows_a_room() {
        assert_eq!(UsualLevel::default().degrees(), None);
        let near = last([23.5; 60]);
        assert!((23.2..23.4).contains(&near), "{near}");
        // Two kelvin an hour, for six hours: a kelvin behind.
        let slow = last((0..360).map(|minute| 22.0 + f64::from(minute) / 30.0));
        assert!((32.8..33.2).contains(&slow), "{slow}");
    }

    #[test]
    fn it_stays_during_a_failure_and_goes_on_when_the_temperature_is_back() {
        let failure = |hours: usize| {
            let hot = std::iter::repeat_n(35.0, hours * 60);
            last(hot.chain([25.0, 23.1]))
        };
        assert!((failure(1) - 22.0).abs() < f64::EPSILON);
        assert!((failure(5) - 22.0).abs() < f64::EPSILON);
        let back = last([35.0, 23.1, 22.9, 23.5, 23.5]);
        assert!((22.0..22.2).contains(&back) && back > 22.05, "{back}");
    }

    #[test]
    fn what_lasts_for_six_hours_is_usual() {
        let levels = levels([28.0; 400]);
        let changed = levels.iter().position(|level| *level > 22.0);
        assert_eq!(changed, Some(359), "{levels:?}");
        assert_eq!(levels.last(), Some(&28.0));
    }

    #[test]
    fn a_gap_of_hours_counts_as_a_quarter_of_one_where_the_temperature_is_near() {
        let mut level = UsualLevel::default();
        level.observe(Duration::ZERO, Celsius::new(22.0).unwrap());
        level.observe(Duration::from_hours(5), Celsius::new(23.5).unwrap());
        let near = level.degrees().unwrap();
        assert!((22.4..22.6).contains(&near), "{near}");
    }
}
