//! The host's clock: when it was set, and by how much it is ahead of Redis' clock at each reading. Pure, but for
//! [`Moment::now`].
//!
//! In: the moments at which readings are taken, and measurements against Redis' clock. Out: the skew at a reading, however
//! long it waits and whatever happens to the clock meanwhile. The monotonic clock shows when the wall clock was set: the
//! skew changes by as much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;

/// Time between two measurements: clocks drift slowly.
const MEASURE_EVERY: Duration = Duration::from_mins(1);
/// Difference in milliseconds between the wall clock and the monotonic clock that is a step of the wall clock.
const STEP_MS: u64 = 2_000;
/// Longest round trip of a measurement. A slower one could be wrong by more than a collector tolerates.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);
/// Measurements kept: one for each time that the clock was set.
const MAX_MEASURED: usize = 16;

/// One instant by both clocks of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The instant by the monotonic clock.
    pub instant: Instant,
    /// The time of day by the wall clock.
    pub wall: Timestamp,
}

/// The state of the host's clock when readings were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockState {
    /// Milliseconds by which the clock had been set forward since its run began; negative if it was set back.
    pub set_by: i64,
    /// Milliseconds by which it was ahead of Redis' clock, if that was known when the readings went to disk.
    pub skew: Option<i64>,
}

/// The clock of one run of the agent.
#[derive(Debug)]
pub struct HostClock {
    run: Arc<str>,
    began: Moment,
    /// The moment of the last measurement, whether or not it can be used.
    asked: Option<Moment>,
    /// The newest skew for each state of the clock, oldest first.
    measured: Vec<Measured>,
    report: Report,
}

/// A measurement against Redis' clock, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Measured {
    set_by: i64,
    skew: i64,
}

/// The progress of reporting skews to the collectors.
#[derive(Clone, Debug, Default)]
struct Report {
    /// Whether no entry has reported the newest measurement.
    is_due: bool,
    /// The run and the skew of the last report.
    last: Option<(Arc<str>, i64)>,
}

impl Moment {
    /// Returns the present moment.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: clock::now(),
        }
    }
}

impl ClockState {
    /// Returns whether the clock was not set between this state and `other`.
    pub fn is_same(self, other: Self) -> bool {
        is_same(self.set_by, other.set_by) && self.skew == other.skew
    }
}

impl HostClock {
    /// Returns the clock of `run`, which begins at `began`.
    pub fn new(run: &str, began: Moment) -> Self {
        Self {
            run: run.into(),
            began,
            asked: None,
            measured: Vec::new(),
            report: Report::default(),
        }
    }

    /// Returns the state of the clock at `moment`.
    pub fn state(&self, moment: Moment) -> ClockState {
        let elapsed = moment.instant.saturating_duration_since(self.began.instant);
        ClockState {
            set_by: difference(moment.wall, self.began.wall.plus(elapsed)),
            skew: None,
        }
    }

    /// Returns whether to measure again: after a while, or because the clock was set since.
    pub fn is_due(&self, now: Moment) -> bool {
        self.asked.is_none_or(|asked| {
            let elapsed = now.instant.saturating_duration_since(asked.instant);
            elapsed >= MEASURE_EVERY || !is_same(difference(now.wall, asked.wall.plus(elapsed)), 0)
        })
    }

    /// Records a measurement: at `asked` Redis was asked for its time, and `round_trip` later replied with seconds and
    /// microseconds since 1970.
    pub fn update(&mut self, asked: Moment, round_trip: Duration, redis_time: (u64, u64)) {
        self.asked = Some(asked);
        if round_trip > MAX_ROUND_TRIP {
            return;
        }
        let measured = Measured {
            set_by: self.state(asked).set_by,
            skew: estimate(asked.wall, round_trip, redis_time),
        };
        self.measured
            .retain(|known| !is_same(known.set_by, measured.set_by));
        if self.measured.len() == MAX_MEASURED {
            self.measured.remove(0);
        }
        self.measured.push(measured);
        self.report.is_due = true;
    }

    /// Returns the milliseconds by which the clock was ahead of Redis' in this `state` of `run`. `None` before the first
    /// measurement.
    ///
    /// A state that was never measured differs from a measured one by as much as the clock was set between them. A state of
    /// an earlier run counts as the present one if its record does not know better.
    pub fn skew(&self, run: &str, state: ClockState) -> Option<i64> {
        let newest = self.measured.last();
        if *run != *self.run {
            return state.skew.or(newest.map(|measured| measured.skew));
        }
        let same = |measured: &&Measured| is_same(measured.set_by, state.set_by);
        if let Some(measured) = self.measured.iter().find(same) {
            return Some(measured.skew);
        }
        let moved = |measured: &Measured| {
            let by = state.set_by.saturating_sub(measured.set_by);
            measured.skew.saturating_add(by)
        };
        state.skew.or(newest.map(moved))
    }

    /// Returns the skew that each of these entries has to report; each entry is the name of its run and its state.
    ///
    /// An entry reports the skew if it is the first one since a measurement, or if its skew is another than that of the
    /// entry before it.
    pub fn reports<'e>(
        &self,
        entries: impl IntoIterator<Item = (&'e Arc<str>, ClockState)>,
    ) -> Vec<Option<i64>> {
        let mut report = self.report.clone();
        let entries = entries.into_iter();
        entries
            .map(|(run, state)| self.next_report(&mut report, run, state))
            .collect()
    }

    /// Takes note that Redis has these entries, with what they reported.
    pub fn mark_reported<'e>(
        &mut self,
        entries: impl IntoIterator<Item = (&'e Arc<str>, ClockState)>,
    ) {
        let mut report = self.report.clone();
        for (run, state) in entries {
            self.next_report(&mut report, run, state);
        }
        self.report = report;
    }

    fn next_report(&self, report: &mut Report, run: &Arc<str>, state: ClockState) -> Option<i64> {
        let skew = self.skew(run, state)?;
        let is_present = *run == self.run
            && self
                .measured
                .last()
                .is_some_and(|measured| is_same(measured.set_by, state.set_by));
        let is_known = report
            .last
            .as_ref()
            .is_some_and(|(last, known)| last == run && is_same(*known, skew));
        if is_known && !(report.is_due && is_present) {
            return None;
        }
        report.is_due &= !is_present;
        report.last = Some((Arc::clone(run), skew));
        Some(skew)
    }
}

/// Returns whether two differences of clocks are the same but for what is no step.
fn is_same(a: i64, b: i64) -> bool {
    a.abs_diff(b) <= STEP_MS
}

/// Returns by how many milliseconds `a` is later than `b`.
fn difference(a: Timestamp, b: Timestamp) -> i64 {
    let [a, b] = [a, b].map(|at| at.millis().cast_signed());
    a.saturating_sub(b)
}

/// Returns the skew in milliseconds, assuming that Redis replied halfway through the round trip.
fn estimate(asked_at: Timestamp, round_trip: Duration, (seconds, micros): (u64, u64)) -> i64 {
    let ours = asked_at.plus(round_trip / 2).millis();
    let theirs = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    ours.cast_signed().saturating_sub(theirs.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: u64 = 1_700_000_000;

    /// A host whose monotonic clock is that of Redis, from [`NOW`] on.
    struct Host {
        began: Instant,
        clock: HostClock,
        run: Arc<str>,
    }

    impl Host {
        /// Starts with a clock that is `ahead` milliseconds ahead.
        fn start(ahead: i64) -> Self {
            let began = Instant::now();
            Self {
                began,
                clock: HostClock::new("r1", moment(began, 0, ahead)),
                run: "r1".into(),
            }
        }

        /// Returns the moment `second` seconds after the start by a clock that is `ahead` milliseconds ahead.
        fn at(&self, second: u64, ahead: i64) -> Moment {
            moment(self.began, second, ahead)
        }

        fn state(&self, second: u64, ahead: i64) -> ClockState {
            self.clock.state(self.at(second, ahead))
        }

        fn measure(&mut self, second: u64, ahead: i64) {
            let asked = self.at(second, ahead);
            self.clock.update(asked, Duration::ZERO, (NOW + second, 0));
        }

        fn reports(&self, states: &[ClockState]) -> Vec<Option<i64>> {
            let entries = states.iter().map(|state| (&self.run, *state));
            self.clock.reports(entries)
        }

        fn send(&mut self, states: &[ClockState]) -> Vec<Option<i64>> {
            let reports = self.reports(states);
            let entries = states.iter().map(|state| (&self.run, *state));
            self.clock.mark_reported(entries);
            reports
        }
    }

    fn moment(began: Instant, second: u64, ahead: i64) -> Moment {
        let right = Timestamp::from_millis((NOW + second) * 1000).unwrap();
        let by = Duration::from_millis(ahead.unsigned_abs());
        Moment {
            instant: began + Duration::from_secs(second),
            wall: if ahead < 0 {
                right.minus(by)
            } else {
                right.plus(by)
            },
        }
    }

    #[test]
    fn a_clock_that_is_set_is_measured_again_at_once() {
        let mut host = Host::start(0);
        assert!(host.clock.is_due(host.at(0, 0)));
        host.measure(0, 0);
        assert!(!host.clock.is_due(host.at(1, 0)));
        assert!(!host.clock.is_due(host.at(1, 2_000)));
        assert!(host.clock.is_due(host.at(1, 2_001)));
        assert!(host.clock.is_due(host.at(1, -2_001)));
        assert!(!host.clock.is_due(host.at(59, 0)));
        assert!(host.clock.is_due(host.at(60, 0)));
    }

    #[test]
    fn a_slow_round_trip_is_no_measurement() {
        let mut host = Host::start(0);
        let (asked, state) = (host.at(0, 0), host.state(0, 0));
        host.clock
            .update(asked, Duration::from_secs(20), (NOW + 20, 0));
        assert_eq!(host.reports(&[state]), [None]);
        assert!(!host.clock.is_due(host.at(1, 0)));
    }

    #[test]
    fn half_the_round_trip_counts() {
        let asked_at = Timestamp::from_millis(NOW * 1000).unwrap();
        let round_trip = Duration::from_millis(20);
        let skew = |redis_time| estimate(asked_at, round_trip, redis_time);
        assert_eq!(skew((NOW, 10_000)), 0);
        assert_eq!(skew((NOW + 7, 0)), -6_990);
        assert_eq!(skew((NOW - 10, 0)), 10_010);
    }

    #[test]
    fn entries_that_wait_while_the_clock_is_set_report_the_skew_of_their_time() {
        for step in [HOUR, -HOUR, 3_000] {
            let mut host = Host::start(step);
            host.measure(0, step);
            let before = [1, 2].map(|second| host.state(second, step));
            assert_eq!(host.send(&before[..1]), [Some(step)]);
            // The clock is put right, and measured before anything is sent.
            host.measure(4, 0);
            let after = [3, 4].map(|second| host.state(second, 0));
            let all = [before[1], after[0], after[1]];
            assert_eq!(host.reports(&all), [None, Some(0), None], "{step}");
            // The first of them arrives, the others are sent again.
            assert_eq!(host.send(&all[..1]), [None]);
            assert_eq!(host.send(&all[1..]), [Some(0), None]);
            // Redis may have lost the last minute: all of that is sent again too.
            assert_eq!(host.send(&all), [Some(step), Some(0), None], "{step}");
        }
    }

    #[test]
    fn a_clock_that_is_set_before_its_first_measurement_is_known_from_then_on() {
        let mut host = Host::start(-HOUR);
        let [before, after] = [host.state(1, -HOUR), host.state(2, 500)];
        assert_eq!(host.reports(&[before, after]), [None, None]);
        host.measure(3, 500);
        assert_eq!(host.send(&[before, after]), [Some(-HOUR), Some(500)]);
    }

    #[test]
    fn each_measurement_is_reported_once() {
        let mut host = Host::start(0);
        host.measure(0, 0);
        let state = host.state(1, 0);
        assert_eq!(host.send(&[state, state]), [Some(0), None]);
        assert_eq!(host.send(&[state]), [None]);
        host.measure(60, 300);
        assert_eq!(host.send(&[state, state]), [Some(300), None]);
    }

    #[test]
    fn an_earlier_run_has_the_skew_that_its_records_keep() {
        let mut host = Host::start(0);
        host.measure(0, 0);
        let earlier: Arc<str> = "r0".into();
        let kept = ClockState {
            set_by: 0,
            skew: Some(HOUR),
        };
        let unknown = ClockState::default();
        let own = host.state(1, 0);
        let run = Arc::clone(&host.run);
        let entries = [(&earlier, kept), (&earlier, kept), (&run, own)];
        assert_eq!(host.clock.reports(entries), [Some(HOUR), None, Some(0)]);
        let entries = [(&earlier, unknown), (&run, own), (&run, own)];
        assert_eq!(host.clock.reports(entries), [Some(0), Some(0), None]);
    }

    #[test]
    fn a_bounded_number_of_measurements_is_kept() {
        let mut host = Host::start(0);
        for n in 0..100 {
            host.measure(n, n.cast_signed() * HOUR);
        }
        assert_eq!(host.clock.measured.len(), MAX_MEASURED);
        let (oldest, newest) = (host.state(0, 0), host.state(100, 99 * HOUR));
        assert_eq!(host.reports(&[oldest, newest]), [Some(0), Some(99 * HOUR)]);
    }
}
