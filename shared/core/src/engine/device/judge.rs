//! Judging one reading of a device, by each of its rules.
//!
//! A rule that looks at the rack says so, and is told later what the others do: the engine has them.

use std::sync::Arc;
use std::time::Duration;

use super::super::racks::Others;
use super::super::records::{ended, fired};
use super::super::{Effects, EpisodeChange};
use super::{Asks, Device};
use crate::alert::{AlertKind, Severity};
use crate::detect::runaway::{Runaway, RunawaySpec, RunawayState};
use crate::detect::{Detector, DetectorState, Finding};
use crate::device::DeviceId;
use crate::episode::{Change, Open};
use crate::reading::{Fault, Reading};
use crate::rules::PlannedRule;
use crate::time::Timestamp;
use crate::units::Celsius;

impl Device {
    /// By all rules that need no other device.
    pub(super) fn judge(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        value: Celsius,
        effects: &mut Effects,
    ) -> Asks {
        let plan = Arc::clone(&self.plan);
        let gap = Duration::from_secs(u64::from(at.seconds().saturating_sub(self.judged)));
        let mut asks = Asks {
            first: self.judged == 0,
            ..Asks::default()
        };
        self.judged = at.seconds();
        let mut needs_trend = true;
        for index in 0..plan.rules.len().min(self.detectors.len()) {
            let rule = &plan.rules[index];
            let finding = match (&mut self.detectors[index], &rule.detector) {
                (DetectorState::Runaway(runaway), Detector::Runaway(spec)) => {
                    needs_trend = false;
                    asks.rack |= runaway.observe(spec, at, value) || self.open(index).is_some();
                    continue;
                }
                (DetectorState::Stuck(stuck), Detector::Stuck(spec)) => {
                    if stuck.observe(at, value) {
                        // What the others say decides.
                        asks.others = true;
                        continue;
                    }
                    stuck.finding(spec, at)
                }
                (DetectorState::Outlier(outlier), Detector::Outlier(spec)) => {
                    if outlier.is_due(at) {
                        asks.others = true;
                        continue;
                    }
                    outlier.finding(spec, at)
                }
                (state, detector) => state.observe(detector, at, gap, value),
            };
            self.find(id, index, at, value, finding, effects);
        }
        if needs_trend {
            self.trend.observe(at, value);
        }
        asks
    }

    /// Kelvin per minute of late.
    fn rate(&self, at: Timestamp, value: Celsius) -> Option<f64> {
        match self.runaway() {
            Some((_, state, _)) => state.rate(at, value),
            None => self.trend.rate(at, value),
        }
    }

    /// The rule that asks for the rack, with its state and what it said; none where there is none.
    pub(in crate::engine) fn runaway(
        &self,
    ) -> Option<(&RunawaySpec, &RunawayState, Option<&Open>)> {
        let mut rules = self.plan.rules.iter().zip(&self.detectors).enumerate();
        rules.find_map(|(index, (rule, state))| match (&rule.detector, state) {
            (Detector::Runaway(spec), DetectorState::Runaway(known)) => {
                Some((spec, known.as_ref(), self.open(index)))
            }
            _ => None,
        })
    }

    /// What the others of its rack say, with the reading that was judged last.
    pub(in crate::engine) fn judge_others(
        &mut self,
        reading: &Reading,
        others: Others,
        effects: &mut Effects,
    ) {
        let Ok(value) = reading.value else { return };
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let finding = match (self.detectors.get_mut(index), &rule.detector) {
                (Some(DetectorState::Stuck(state)), Detector::Stuck(spec)) => {
                    state.look(others.mean);
                    state.finding(spec, reading.at)
                }
                (Some(DetectorState::Outlier(state)), Detector::Outlier(spec)) => {
                    state.look(spec, reading.at, value, others.median);
                    state.finding(spec, reading.at)
                }
                _ => continue,
            };
            self.find(&reading.device, index, reading.at, value, finding, effects);
        }
    }

    /// It could not be read, or what was read cannot be meant.
    pub(super) fn fail(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        fault: &Fault,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        let last = self.last.and_then(|(_, value)| value);
        for (index, rule) in plan.rules.iter().enumerate() {
            let state = self.detectors.get(index);
            if let (Some(DetectorState::Fault(state)), Detector::Fault(spec)) =
                (state, &rule.detector)
            {
                let finding = state.failed(spec);
                let said = effects.alerts.len();
                self.find(
                    id,
                    index,
                    at,
                    last.unwrap_or(Celsius::ZERO),
                    finding,
                    effects,
                );
                for record in &mut effects.alerts[said..] {
                    record.temperature = None;
                    record.rate = None;
                    record.reason = Some(fault.to_string());
                }
            }
        }
    }

    /// What its rack does together, with the reading that was judged last.
    pub(in crate::engine) fn judge_rack(
        &mut self,
        reading: &Reading,
        found: Option<Runaway>,
        effects: &mut Effects,
    ) {
        let Ok(value) = reading.value else { return };
        let is_it = |rule: &PlannedRule| matches!(rule.detector, Detector::Runaway(_));
        let Some(index) = self.plan.rules.iter().position(is_it) else {
            return;
        };
        let finding = found.map(|found| Finding {
            runaway: Some(found),
            ..Finding::of(Severity::Critical).by(found.rise)
        });
        self.find(&reading.device, index, reading.at, value, finding, effects);
    }

    /// What a rule found in the newest reading.
    fn find(
        &mut self,
        id: &DeviceId,
        index: usize,
        at: Timestamp,
        value: Celsius,
        finding: Option<Finding>,
        effects: &mut Effects,
    ) {
        if finding.is_none() && self.is_idle(index) {
            return;
        }
        let plan = Arc::clone(&self.plan);
        if let (Some(rule), Some(tracker)) = (plan.rules.get(index), self.tracker(index)) {
            let further = further_of(rule.kind, finding);
            let change = tracker.observe(rule.timing, at, value, finding, further);
            self.settle();
            let Some(change) = change else { return };
            let place = self.place(id);
            let rate = self.rate(at, value);
            match change {
                Change::Began(open) | Change::Worsened(open) => {
                    let (record, episode) = fired(id, place, rule, at, value, open, finding, rate);
                    effects.alerts.push(record);
                    effects
                        .episodes
                        .push(EpisodeChange::Open(Box::new(episode)));
                }
                Change::Ended(open) => {
                    effects
                        .alerts
                        .push(ended(id, &place, rule, at, Some(value), open, rate));
                    let rule = rule.name.clone();
                    effects.episodes.push(EpisodeChange::Close {
                        device: id.clone(),
                        rule,
                    });
                }
            }
        }
    }

    /// Whether a rule looks at its rack.
    pub(in crate::engine) fn asks_its_rack(&self) -> bool {
        let of_racks = |rule: &PlannedRule| {
            matches!(
                rule.detector,
                Detector::Runaway(_) | Detector::Stuck(_) | Detector::Outlier(_)
            )
        };
        self.plan.rules.iter().any(of_racks)
    }
}

fn further_of(kind: AlertKind, finding: Option<Finding>) -> fn(Celsius, Celsius) -> Celsius {
    let fell = || {
        finding
            .and_then(|f| f.change)
            .is_some_and(|change| change.0 < 0.0)
    };
    match kind {
        AlertKind::Drift | AlertKind::Outlier if fell() => Celsius::min,
        // While it is held open nothing says which way it was: the peak stays.
        AlertKind::Drift | AlertKind::Outlier if finding.is_none() => |peak, _| peak,
        AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData => |peak, _| peak,
        AlertKind::HighTemp
        | AlertKind::Spike
        | AlertKind::Drift
        | AlertKind::Outlier
        | AlertKind::Runaway
        | AlertKind::ClockSkew => Celsius::max,
        AlertKind::LowTemp | AlertKind::Drop => Celsius::min,
    }
}
