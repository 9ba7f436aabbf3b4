//! Scores of alarms against windows of known anomalies.
//!
//! The score is that of the Numenta Anomaly Benchmark, standard profile (Lavin and Ahmad, "Evaluating Real-time Anomaly
//! Detection Algorithms", ICMLA 2015). An alarm early in a window earns up to 1, a missed window costs 1. An alarm outside
//! costs at most 0.11, and less shortly after a window. 100 is perfect, 0 is the score without alarms. As in the benchmark,
//! alarms in the first part of a recording do not count.

use std::time::Duration;

use rackwatch_core::time::Timestamp;
use serde::Serialize;

use super::labels::AnomalyWindow;

/// Cost of a false alarm in the standard profile.
const FALSE_POSITIVE: f64 = 0.11;
/// Fraction of a recording at its start in which alarms do not count, because a detector may still learn.
const PROBATION: f64 = 0.15;
/// Limit of that fraction in readings, for the NAB score only.
const MAX_PROBATION: usize = 750;

/// Comparison of alarms with windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Score {
    /// Number of windows of the device.
    pub windows: usize,
    /// Delay of the first alarm in each window in milliseconds; none for a missed window.
    pub delays_ms: Vec<Option<u64>>,
    /// Number of alarms outside all windows, after the first 15 % of the readings.
    pub false_alarms: usize,
    /// NAB score; none without windows.
    pub nab: Option<f64>,
}

impl Score {
    /// Returns the number of windows with an alarm.
    pub(crate) fn hits(&self) -> usize {
        self.delays_ms.iter().flatten().count()
    }

    /// Scores the alarms of a device with readings at `times`. Times and windows must be in ascending order.
    pub(crate) fn of(times: &[Timestamp], windows: &[AnomalyWindow], alarms: &[Timestamp]) -> Self {
        let in_window =
            |at: Timestamp| windows.iter().any(|(from, to)| (*from..=*to).contains(&at));
        let first_counted = times.get(probation(times.len())).copied();
        let first_counted = first_counted.unwrap_or(Timestamp::MAX);
        let delay = |(from, to): &AnomalyWindow| {
            let first = alarms.iter().find(|at| (*from..=*to).contains(*at))?;
            u64::try_from(first.since(*from).as_millis()).ok()
        };
        let outside = alarms
            .iter()
            .filter(|at| **at >= first_counted && !in_window(**at));
        Self {
            windows: windows.len(),
            delays_ms: windows.iter().map(delay).collect(),
            false_alarms: outside.count(),
            nab: (!windows.is_empty()).then(|| nab(times, windows, alarms)),
        }
    }

    /// Returns the median delay, or none if every window was missed.
    pub(crate) fn median_delay(&self) -> Option<Duration> {
        let mut delays: Vec<u64> = self.delays_ms.iter().flatten().copied().collect();
        delays.sort_unstable();
        delays
            .get(delays.len() / 2)
            .copied()
            .map(Duration::from_millis)
    }
}

/// Returns the number of readings at the start whose alarms do not count.
fn probation(readings: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a count is a count"
    )]
    let fraction = (readings as f64 * PROBATION) as usize;
    fraction
}

fn nab(times: &[Timestamp], windows: &[AnomalyWindow], alarms: &[Timestamp]) -> f64 {
    let index = |at: Timestamp| times.partition_point(|time| *time < at);
    // Indices of the first and last reading in each window.
    let spans: Vec<(usize, usize)> = windows
        .iter()
        .map(|(from, to)| {
            let after = times.partition_point(|time| *time <= *to);
            (index(*from), after.saturating_sub(1))
        })
        .collect();
    let first_counted = probation(times.len()).min(MAX_PROBATION);
    // The best alarm of each window.
    let mut best: Vec<Option<f64>> = vec![None; windows.len()];
    let mut score = 0.0;
    for alarm in alarms
        .iter()
        .map(|at| index(*at))
        .filter(|n| *n >= first_counted)
    {
        let inside = spans
            .iter()
            .position(|(first, last)| (*first..=*last).contains(&alarm));
        if let Some(window) = inside {
            let (first, last) = spans[window];
            let width = (last - first + 1) as f64;
            let value = sigmoid(-((last - alarm + 1) as f64) / width) / sigmoid(-1.0);
            best[window] = Some(best[window].map_or(value, |known| known.max(value)));
            continue;
        }
        let before = spans.iter().rfind(|(_, last)| *last < alarm);
        let value = before.map_or(-1.0, |(first, last)| {
            let width = (last - first).max(1) as f64;
            sigmoid((alarm - last) as f64 / width)
        });
        score += FALSE_POSITIVE * value;
    }
    score += best
        .into_iter()
        .map(|value| value.unwrap_or(-1.0))
        .sum::<f64>();
    let windows = windows.len() as f64;
    100.0 * (score + windows) / (2.0 * windows)
}

/// Returns the value of an alarm, from 1 to -1. `position` counts window widths from the end of the window:
/// -1 at its start, positive after it.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 {
        return -1.0;
    }
    2.0 / (1.0 + (5.0 * position).exp()) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Timestamp {
        Timestamp::from_millis(n * 1000).unwrap()
    }

    fn of(alarms: &[u64]) -> Score {
        let times: Vec<_> = (0..1000).map(at).collect();
        let windows = [(at(400), at(499)), (at(800), at(899))];
        let alarms: Vec<_> = alarms.iter().map(|n| at(*n)).collect();
        Score::of(&times, &windows, &alarms)
    }

    #[test]
    fn scores_range_from_no_alarm_to_perfect() {
        let nab = |alarms: &[u64]| of(alarms).nab.unwrap();
        assert!(nab(&[]).abs() < 1e-9);
        assert!((nab(&[400, 800]) - 100.0).abs() < 1e-9);
        let late = nab(&[499, 899]);
        assert!((50.0..60.0).contains(&late), "{late}");
        // Repeated alarms in a window and alarms during probation are free; other alarms outside a window are not.
        assert!((nab(&[400, 410, 800]) - 100.0).abs() < 1e-9);
        assert!((nab(&[100, 400, 800]) - 100.0).abs() < 1e-9);
        let one_false = nab(&[300, 400, 800]);
        assert!(
            (one_false - (100.0 - 11.0 / 4.0)).abs() < 1e-9,
            "{one_false}"
        );
        let just_after = nab(&[400, 510, 800]);
        assert!(one_false < just_after && just_after < 100.0);
    }

    #[test]
    fn hits_delays_and_false_alarms_are_counted() {
        let score = of(&[100, 300, 430, 440, 950]);
        assert_eq!(score.delays_ms, [Some(30_000), None]);
        assert_eq!((score.hits(), score.false_alarms), (1, 2));
        assert_eq!(score.median_delay(), Some(Duration::from_secs(30)));
    }
}
