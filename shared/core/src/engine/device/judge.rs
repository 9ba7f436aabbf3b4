//! Judging one reading of a device, by each of its rules.
//!
//! A rule that looks at the rack says so, and is told later what the others do: the engine has them.

use std::sync::Arc;

use super::super::records::{ended, fired};
use super::super::{Effects, EpisodeChange};
use super::{Asks, Device};
use crate::alert::{AlertKind, Severity};
use crate::detect::runaway::{Runaway, RunawaySpec, RunawayState};
use crate::detect::{Detector, DetectorState, Finding};
use crate::device::DeviceId;
use crate::episode::{Change, Tracker};
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
        let mut asks = Asks::default();
        for index in 0..plan.rules.len().min(self.rules.len()) {
            let rule = &plan.rules[index];
            let state = &mut self.rules[index];
            if let (DetectorState::Runaway(runaway), Detector::Runaway(spec)) =
                (&mut state.detector, &rule.detector)
            {
                asks.rack |= runaway.observe(spec, at, value) || state.tracker.open().is_some();
                continue;
            }
            if let DetectorState::Stuck(stuck) = &mut state.detector
                && stuck.observe(at, value)
            {
                // What the others say decides.
                asks.others = true;
                continue;
            }
            let finding = match (&state.detector, &rule.detector) {
                (DetectorState::Stuck(stuck), Detector::Stuck(spec)) => stuck.finding(spec, at),
                _ => state.detector.observe(&rule.detector, at, value),
            };
            if finding.is_none() && state.tracker.is_idle() {
                continue;
            }
            self.find(id, index, at, value, finding, effects);
        }
        asks
    }

    /// The rule that asks for the rack, with its state; none where there is none.
    pub(in crate::engine) fn runaway(&self) -> Option<(&RunawaySpec, &RunawayState, &Tracker)> {
        let mut rules = self.plan.rules.iter().zip(&self.rules);
        rules.find_map(|(rule, state)| match (&rule.detector, &state.detector) {
            (Detector::Runaway(spec), DetectorState::Runaway(known)) => {
                Some((spec, known.as_ref(), &state.tracker))
            }
            _ => None,
        })
    }

    /// What the others of its rack have as their mean, with the reading that was judged last.
    pub(in crate::engine) fn judge_others(
        &mut self,
        reading: &Reading,
        mean: Option<f64>,
        effects: &mut Effects,
    ) {
        let Ok(value) = reading.value else { return };
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let state = self.rules.get_mut(index).map(|rule| &mut rule.detector);
            if let (Some(DetectorState::Stuck(state)), Detector::Stuck(spec)) =
                (state, &rule.detector)
            {
                state.look(mean);
                let finding = state.finding(spec, reading.at);
                self.find(&reading.device, index, reading.at, value, finding, effects);
            }
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
            let state = self.rules.get(index).map(|rule| &rule.detector);
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
        let plan = Arc::clone(&self.plan);
        if let (Some(rule), Some(state)) = (plan.rules.get(index), self.rules.get_mut(index)) {
            let further = further_of(rule.kind, finding);
            let change = state
                .tracker
                .observe(rule.timing, at, value, finding, further);
            let Some(change) = change else { return };
            let place = self.place(id);
            let rate = self.trend.rate(at, value);
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
        let of_racks =
            |rule: &PlannedRule| matches!(rule.detector, Detector::Runaway(_) | Detector::Stuck(_));
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
        AlertKind::Drift if fell() => Celsius::min,
        // While it is held open nothing says which way it was: the peak stays.
        AlertKind::Drift if finding.is_none() => |peak, _| peak,
        AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData => |peak, _| peak,
        AlertKind::HighTemp
        | AlertKind::Spike
        | AlertKind::Drift
        | AlertKind::Runaway
        | AlertKind::ClockSkew => Celsius::max,
        AlertKind::LowTemp | AlertKind::Drop => Celsius::min,
    }
}
