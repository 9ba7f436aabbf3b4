//! Statistics of a drill over many seeds, with confidence intervals.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::alert::AlertKind;

use super::DrillResult;
use super::scenario::Drill;

/// The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals.
const Z: f64 = 1.96;
/// Seconds of a week.
const WEEK: f64 = 7.0 * 86_400.0;

/// Totals of a drill over its seeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Number of simulated faults.
    pub faults: u64,
    /// Number of detected faults.
    pub found: u64,
    /// Detection delays in milliseconds; ascending after [`Tally::sort`].
    delays: Vec<u64>,
    /// Seeds whose alerts became one incident, which one notification opened.
    pub one_incident: u64,
    /// Seeds that ran to their end, which [`Tally::one_incident`] counts.
    pub complete: u64,
    /// Warnings and worse outside of faults.
    pub false_alarms: u64,
    /// False alarms by type of alert.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Fault-free time, in sensor-weeks.
    pub sensor_weeks: f64,
}

impl Tally {
    /// Adds the result of one seed.
    pub(crate) fn add(&mut self, result: &DrillResult, drill: &Drill) {
        self.faults += u64::from(drill.fault.is_some());
        self.complete += u64::from(drill.to_the_end);
        self.one_incident += u64::from(drill.to_the_end && result.incidents == 1);
        if let Some(delay) = result.delay {
            self.found += 1;
            self.delays
                .push(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        }
        self.false_alarms += result.false_alarms.len() as u64;
        for kind in &result.false_alarms {
            *self.by_kind.entry(AlertKind::name(*kind)).or_default() += 1;
        }
        self.sensor_weeks += result.fault_free / WEEK;
    }

    /// Sorts the delays, once all results are added.
    pub(crate) fn sort(&mut self) {
        self.delays.sort_unstable();
    }

    /// Returns the given percentile of the delays, after [`Tally::sort`].
    pub(crate) fn delay(&self, percent: usize) -> Option<Duration> {
        let last = self.delays.len().checked_sub(1)?;
        let index = (self.delays.len() * percent).div_ceil(100).max(1) - 1;
        self.delays
            .get(index.min(last))
            .copied()
            .map(Duration::from_millis)
    }

    /// Returns the detection rate with its 95 % interval (Wilson 1927), or none without faults.
    pub(crate) fn detection_rate(&self) -> Option<(f64, f64, f64)> {
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

    /// Returns the false alarms per sensor-week with their 95 % interval (Byar's approximation of the exact Poisson
    /// interval), or none without fault-free time.
    pub(crate) fn false_alarm_rate(&self) -> Option<(f64, f64, f64)> {
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
    fn intervals_match_published_tables() {
        let mut tally = Tally {
            faults: 200,
            found: 200,
            false_alarms: 0,
            sensor_weeks: 10.0,
            ..Tally::default()
        };
        let (p, low, high) = tally.detection_rate().unwrap();
        assert!(
            (p - 1.0).abs() < 1e-12 && (low - 0.9812).abs() < 1e-3 && (high - 1.0).abs() < 1e-12
        );
        // Exact upper bounds of the 95 % Poisson interval: 3.69 for no event, 11.67 for five.
        let (_, low, high) = tally.false_alarm_rate().unwrap();
        assert!(low == 0.0 && (high - 0.369).abs() < 0.01, "{high}");
        tally.false_alarms = 5;
        let (_, low, high) = tally.false_alarm_rate().unwrap();
        assert!(
            (low - 0.162).abs() < 0.01 && (high - 1.167).abs() < 0.01,
            "{low} {high}"
        );
    }

    #[test]
    fn delays_are_percentiles() {
        let mut tally = Tally::default();
        let drills: Drills = toml::from_str(SHIPPED).unwrap();
        for seconds in (1..=100).rev() {
            let result = DrillResult {
                delay: Some(Duration::from_secs(seconds)),
                ..DrillResult::default()
            };
            tally.add(&result, &drills.drill[0]);
        }
        tally.sort();
        assert_eq!(tally.delay(50), Some(Duration::from_secs(50)));
        assert_eq!(tally.delay(95), Some(Duration::from_secs(95)));
        assert_eq!(tally.delay(100), Some(Duration::from_secs(100)));
    }
}
