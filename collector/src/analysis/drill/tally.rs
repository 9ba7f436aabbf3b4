//! What came of many seeds, with how sure that is.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::alert::AlertKind;

use super::Played;
use super::scenario::Drill;

/// The 97.5 % quantile of the normal distribution, for intervals of 95 %.
const Z: f64 = 1.96;
const WEEK: f64 = 7.0 * 86_400.0;

/// What came of a drill.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Faults that were played.
    pub faults: u64,
    /// Those that were found.
    pub found: u64,
    /// How long each took, in milliseconds, in order.
    delays: Vec<u64>,
    /// Seeds in which people were told of one incident, once.
    pub once: u64,
    /// Seeds that were played to the end, so that [`Tally::once`] can be told.
    pub to_the_end: u64,
    /// Warnings and worse without a reason.
    pub false_alarms: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// How long sensors were watched while all was well, in sensor-weeks.
    pub sensor_weeks: f64,
}

impl Tally {
    /// Adds a seed of a drill.
    pub fn add(&mut self, played: Played, drill: &Drill) {
        self.faults += u64::from(drill.fault.is_some());
        self.to_the_end += u64::from(drill.to_the_end);
        let once = drill.to_the_end && (played.incidents, played.calls) == (1, 1);
        self.once += u64::from(once);
        if let Some(found) = played.found {
            self.found += 1;
            self.delays
                .push(u64::try_from(found.as_millis()).unwrap_or(u64::MAX));
        }
        self.false_alarms += played.false_alarms.len() as u64;
        for kind in played.false_alarms {
            *self.by_kind.entry(AlertKind::name(kind)).or_default() += 1;
        }
        self.sensor_weeks += played.quiet / WEEK;
    }

    /// Puts delays in order.
    pub fn sort(&mut self) {
        self.delays.sort_unstable();
    }

    /// The delay that so many hundredths of those found do not exceed; after [`Tally::sort`].
    pub fn delay(&self, hundredths: usize) -> Option<Duration> {
        let last = self.delays.len().checked_sub(1)?;
        let index = (self.delays.len() * hundredths).div_ceil(100).max(1) - 1;
        self.delays
            .get(index.min(last))
            .copied()
            .map(Duration::from_millis)
    }

    /// The part that was found, with its 95 % interval (Wilson 1927); none without faults.
    pub fn rate(&self) -> Option<(f64, f64, f64)> {
        if self.faults == 0 {
            return None;
        }
        let n = self.faults as f64;
        let p = self.found as f64 / n;
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Some((
            p,
            (middle - half) / scale,
            ((middle + half) / scale).min(1.0),
        ))
    }

    /// False alarms per sensor-week, with its 95 % interval (Byar's approximation to the exact one of
    /// Poisson); none where nothing was watched.
    pub fn false_alarms_a_week(&self) -> Option<(f64, f64, f64)> {
        if self.sensor_weeks <= 0.0 {
            return None;
        }
        let count = self.false_alarms as f64;
        let cube =
            |n: f64, sign: f64| n * (1.0 - 1.0 / (9.0 * n) + sign * Z / (3.0 * n.sqrt())).powi(3);
        let low = if count > 0.0 {
            cube(count, -1.0).max(0.0)
        } else {
            0.0
        };
        let high = cube(count + 1.0, 1.0);
        let weeks = self.sensor_weeks;
        Some((count / weeks, low / weeks, high / weeks))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Drills, SHIPPED};
    use super::*;

    #[test]
    fn intervals_are_those_of_the_books() {
        let mut tally = Tally {
            faults: 200,
            found: 200,
            false_alarms: 0,
            sensor_weeks: 10.0,
            ..Tally::default()
        };
        let (p, low, high) = tally.rate().unwrap();
        assert!(
            (p - 1.0).abs() < 1e-12 && (low - 0.9812).abs() < 1e-3 && (high - 1.0).abs() < 1e-12
        );
        // Exact: 3.69 where nothing was seen; 10.24 for five.
        let (_, low, high) = tally.false_alarms_a_week().unwrap();
        assert!(low == 0.0 && (high - 0.369).abs() < 0.01, "{high}");
        tally.false_alarms = 5;
        let (_, low, high) = tally.false_alarms_a_week().unwrap();
        assert!(
            (low - 0.162).abs() < 0.01 && (high - 1.167).abs() < 0.01,
            "{low} {high}"
        );
    }

    #[test]
    fn delays_are_quantiles() {
        let mut tally = Tally::default();
        let drills: Drills = toml::from_str(SHIPPED).unwrap();
        for seconds in (1..=100).rev() {
            let played = Played {
                found: Some(Duration::from_secs(seconds)),
                ..Played::default()
            };
            tally.add(played, &drills.drill[0]);
        }
        tally.sort();
        assert_eq!(tally.delay(50), Some(Duration::from_secs(50)));
        assert_eq!(tally.delay(95), Some(Duration::from_secs(95)));
        assert_eq!(tally.delay(100), Some(Duration::from_secs(100)));
    }
}
