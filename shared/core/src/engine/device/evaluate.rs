//! Evaluation of one reading by each rule of the device.
//!
//! Rules that compare the device with its rack only say so here; the engine finds out and comes back.

use std::sync::Arc;
use std::time::Duration;

use super::super::commissioning::FirstReading;
use super::super::effects::{AlertEvent, Effects};
use super::super::neighbours::Neighbours;
use super::super::records::{Evidence, mildest_threshold};
use super::reading::FollowUp;
use super::state::Device;
use crate::alert::{Extras, Severity};
use crate::detect::runaway::{Runaway, RunawaySpec, RunawayState};
use crate::detect::{Detector, DetectorState, Finding};
use crate::device::DeviceId;
use crate::episode::{Change, Open};
use crate::reading::{Fault, Reading};
use crate::rules::PlannedRule;
use crate::time::Timestamp;
use crate::units::Celsius;

/// A reading under evaluation.
#[derive(Clone, Copy)]
struct Evaluated<'a> {
    device: &'a DeviceId,
    at: Timestamp,
    /// The temperature; the last one known where the device could not be read.
    value: Celsius,
    fault: Option<&'a Fault>,
}

impl Device {
    /// Evaluates a reading by all rules that need no other device. `first` is there for the device's first
    /// reading within its role's first hour.
    pub(super) fn evaluate(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        value: Celsius,
        mut first: Option<&mut FirstReading<'_>>,
        effects: &mut Effects,
    ) -> FollowUp {
        let plan = Arc::clone(&self.plan);
        let gap = Duration::from_secs(u64::from(at.seconds().saturating_sub(self.evaluated)));
        self.evaluated = at.seconds();
        let reading = Evaluated {
            device: id,
            at,
            value,
            fault: None,
        };
        let (mut runaway, mut neighbours, mut needs_trend) = (false, false, true);
        for index in 0..plan.rules.len().min(self.detectors.len()) {
            let rule = &plan.rules[index];
            let finding = match (&mut self.detectors[index], &rule.detector) {
                (DetectorState::Runaway(state), Detector::Runaway(spec)) => {
                    needs_trend = false;
                    runaway |= state.observe(spec, at, value) || self.open(index).is_some();
                    continue;
                }
                (DetectorState::Stuck(stuck), Detector::Stuck(spec)) => {
                    if stuck.observe(at, value) {
                        neighbours = true;
                        continue;
                    }
                    stuck.finding(spec, at)
                }
                (DetectorState::Outlier(outlier), Detector::Outlier(spec)) => {
                    if outlier.is_due(at) {
                        neighbours = true;
                        continue;
                    }
                    outlier.finding(spec, at)
                }
                (state, detector) => state.observe(detector, at, gap, value),
            };
            self.observe(index, reading, finding, first.as_deref_mut(), effects);
        }
        if needs_trend {
            self.trend.observe(at, value);
        }
        if runaway || neighbours {
            FollowUp::Compare {
                runaway,
                neighbours,
            }
        } else {
            FollowUp::None
        }
    }

    /// Evaluates the temperatures of the neighbours, after [`Device::evaluate`] of the same reading.
    pub(in crate::engine) fn evaluate_neighbours(
        &mut self,
        reading: &Reading,
        neighbours: Neighbours,
        effects: &mut Effects,
    ) {
        let Some(reading) = Evaluated::of(reading) else {
            return;
        };
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let finding = match (self.detectors.get_mut(index), &rule.detector) {
                (Some(DetectorState::Stuck(state)), Detector::Stuck(spec)) => {
                    state.look(neighbours.mean);
                    state.finding(spec, reading.at)
                }
                (Some(DetectorState::Outlier(state)), Detector::Outlier(spec)) => {
                    state.look(spec, reading.at, reading.value, neighbours.median);
                    state.finding(spec, reading.at)
                }
                _ => continue,
            };
            self.observe(index, reading, finding, None, effects);
        }
    }

    /// Evaluates whether the rack runs away, after [`Device::evaluate`] of the same reading.
    pub(in crate::engine) fn evaluate_runaway(
        &mut self,
        reading: &Reading,
        runaway: Option<Runaway>,
        effects: &mut Effects,
    ) {
        let Some(reading) = Evaluated::of(reading) else {
            return;
        };
        let is_runaway = |rule: &PlannedRule| matches!(rule.detector, Detector::Runaway(_));
        let Some(index) = self.plan.rules.iter().position(is_runaway) else {
            return;
        };
        let finding = runaway.map(|found| Finding {
            runaway: Some(found),
            ..Finding::of(Severity::Critical).by(found.rise)
        });
        self.observe(index, reading, finding, None, effects);
    }

    /// Evaluates a fault: the device could not be read, or its value is out of range.
    pub(super) fn evaluate_fault(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        fault: &Fault,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        let reading = Evaluated {
            device: id,
            at,
            value: self.last_value().unwrap_or(Celsius::ZERO),
            fault: Some(fault),
        };
        for (index, rule) in plan.rules.iter().enumerate() {
            if let (Some(DetectorState::Fault(state)), Detector::Fault(spec)) =
                (self.detectors.get(index), &rule.detector)
            {
                let finding = state.failed(spec);
                self.observe(index, reading, finding, None, effects);
            }
        }
    }

    /// Moves the tracker of a rule by what the rule found, and reports the change.
    fn observe(
        &mut self,
        index: usize,
        reading: Evaluated<'_>,
        finding: Option<Finding>,
        first: Option<&mut FirstReading<'_>>,
        effects: &mut Effects,
    ) {
        if finding.is_none() && self.is_idle(index) {
            return;
        }
        let plan = Arc::clone(&self.plan);
        let (Some(rule), Some(tracker)) = (plan.rules.get(index), self.tracker(index)) else {
            return;
        };
        let change = finding.and_then(|finding| finding.change);
        let further = rule
            .kind
            .peak()
            .further(finding.map(|_| change.map_or(0.0, |c| c.0)));
        let change = tracker.observe(rule.timing, reading.at, reading.value, finding, further);
        self.settle();
        let Some(change) = change else { return };
        effects.report(match change {
            Change::Began(open) | Change::Worsened(open) => {
                let threshold = rule.threshold(open.severity).unwrap_or_default();
                let reported = match first {
                    Some(first) => first.severity(rule.kind, threshold, open.severity),
                    None => open.severity,
                };
                self.fired(reading, rule, open, finding, (threshold, reported))
            }
            Change::Ended(open) => self.ended(reading, rule, open),
        });
    }

    fn fired(
        &self,
        reading: Evaluated<'_>,
        rule: &PlannedRule,
        open: Open,
        finding: Option<Finding>,
        (threshold, reported): (f64, Severity),
    ) -> AlertEvent {
        let runaway = finding.and_then(|finding| finding.runaway);
        let header = self.header(
            reading.device,
            rule,
            (open.started, open.severity, threshold),
        );
        let mut evidence = self.evidence(reading);
        evidence.rate = runaway.map(|found| found.rate).or(evidence.rate);
        evidence.extras = Extras {
            change: finding.and_then(|finding| finding.change).map(|c| c.0),
            window: runaway
                .map(|found| found.window)
                .or(rule.window(open.severity)),
            left: runaway.and_then(|found| found.left),
            ..evidence.extras
        };
        header.fire(evidence, reading.value, reported)
    }

    fn ended(&self, reading: Evaluated<'_>, rule: &PlannedRule, open: Open) -> AlertEvent {
        let episode = (open.started, open.severity, mildest_threshold(rule));
        let header = self.header(reading.device, rule, episode);
        let end = open.clear.unwrap_or(reading.at);
        header.resolve(self.evidence(reading), end, open.peak)
    }

    /// Returns the evidence of a reading. A fault has a reason in the place of temperature and rate.
    fn evidence(&self, reading: Evaluated<'_>) -> Evidence {
        let Evaluated {
            at, value, fault, ..
        } = reading;
        match fault {
            None => Evidence {
                temperature: Some(value),
                rate: self.rate(at, value),
                ..Evidence::at(at)
            },
            Some(fault) => Evidence {
                extras: Extras {
                    reason: Some(fault.to_string()),
                    ..Extras::default()
                },
                ..Evidence::at(at)
            },
        }
    }

    /// Returns the recent change, in kelvin per minute.
    fn rate(&self, at: Timestamp, value: Celsius) -> Option<f64> {
        match self.runaway() {
            Some((_, state, _)) => state.rate(at, value),
            None => self.trend.rate(at, value),
        }
    }

    /// Returns the runaway rule with its state and its open episode.
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

    /// Returns whether a rule compares the device with its rack.
    pub(in crate::engine) fn compares_rack(&self) -> bool {
        let compares = |rule: &PlannedRule| {
            matches!(
                rule.detector,
                Detector::Runaway(_) | Detector::Stuck(_) | Detector::Outlier(_)
            )
        };
        self.plan.rules.iter().any(compares)
    }
}

impl<'a> Evaluated<'a> {
    fn of(reading: &'a Reading) -> Option<Self> {
        Some(Self {
            device: &reading.device,
            at: reading.at,
            value: reading.value.as_ref().ok().copied()?,
            fault: None,
        })
    }
}
