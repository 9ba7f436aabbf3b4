//! Evaluation of one reading by each rule of the device.
//!
//! Rules that compare the device with its rack only say so here; the engine finds out and comes back.

use std::sync::Arc;
use std::time::Duration;

use thin_vec::ThinVec;

use super::super::commissioning::FirstReading;
use super::super::effects::{AlertEvent, Effects};
use super::super::records::{Evidence, mildest_threshold};
use super::reading::FollowUp;
use super::state::Device;
use crate::alert::{EndedBy, Extras, Severity};
use crate::detect::{AlertKind, Compares, Decision, Finding, Observation, RackPeer};
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
        let now = Observation {
            at,
            gap,
            value,
            is_open: false,
            role: self.role(),
            usual: self.usual.degrees(),
        };
        let (mut comparing, mut needs_trend) = (ThinVec::new(), true);
        for index in 0..plan.rules.len().min(self.detectors.len()) {
            let detector = &plan.rules[index].detector;
            needs_trend &= !detector.knows_rate();
            let now = self.observation(index, now);
            match self.detectors[index].observe(detector, &now) {
                Decision::Decided(finding) => {
                    self.observe(index, reading, finding, first.as_deref_mut(), effects);
                }
                Decision::NeedsRack => comparing.push(index),
                Decision::Undecided => {}
            }
        }
        if needs_trend {
            self.trend.observe(at, value);
        }
        self.usual.observe(gap, value);
        if comparing.is_empty() {
            FollowUp::None
        } else {
            FollowUp::Compare {
                rules: comparing,
                now,
            }
        }
    }

    /// Returns a reading that was evaluated, as rule number `index` sees it.
    pub(in crate::engine) fn observation(&self, index: usize, now: Observation) -> Observation {
        Observation {
            is_open: self.open(index).is_some(),
            ..now
        }
    }

    /// Takes in what rule number `index` found in its rack, after [`Device::evaluate`] of the same reading.
    pub(in crate::engine) fn observe_rack(
        &mut self,
        index: usize,
        reading: &Reading,
        finding: Option<Finding>,
        effects: &mut Effects,
    ) {
        if let Some(reading) = Evaluated::of(reading) {
            self.observe(index, reading, finding, None, effects);
        }
    }

    /// Takes in what rule number `index` found in a temperature that stands for several readings.
    pub(super) fn observe_value(
        &mut self,
        index: usize,
        (device, at, value): (&DeviceId, Timestamp, Celsius),
        finding: Option<Finding>,
        effects: &mut Effects,
    ) {
        let reading = Evaluated {
            device,
            at,
            value,
            fault: None,
        };
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
            if !rule.detector.sees_faults() {
                continue;
            }
            let state = self.detectors.get(index);
            let finding = state.and_then(|state| state.observe_fault(&rule.detector));
            self.observe(index, reading, finding, None, effects);
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
        let peak = rule.kind.info().peak;
        let further = peak.further(finding.map(|_| change.map_or(0.0, |c| c.0)));
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
        let header = self.header(
            reading.device,
            rule,
            (open.started, open.severity, threshold),
        );
        let mut evidence = self.evidence(reading);
        let window = finding.and_then(|finding| finding.window);
        let rate = finding.and_then(|finding| finding.rate);
        evidence.rate = rate.or(evidence.rate);
        evidence.extras = Extras {
            change: finding.and_then(|finding| finding.change).map(|c| c.0),
            window: window.or(rule.window(open.severity)),
            left: finding.and_then(|finding| finding.left),
            ..evidence.extras
        };
        header.fire(evidence, reading.value, reported)
    }

    fn ended(&self, reading: Evaluated<'_>, rule: &PlannedRule, open: Open) -> AlertEvent {
        let episode = (open.started, open.severity, mildest_threshold(rule));
        let header = self.header(reading.device, rule, episode);
        let end = open.clear.unwrap_or(reading.at);
        let event = header.resolve(self.evidence(reading), end, open.peak);
        let by_rule = open.former.is_some_and(|former| {
            let limit = rule.kind.info().side.zip(Celsius::new(former).ok());
            match limit {
                Some((side, limit)) => side.beyond(reading.value, limit),
                // The windows started cold. Faults have none.
                None => !rule.detector.sees_faults(),
            }
        });
        if by_rule {
            event.ended_by(EndedBy::RuleChange)
        } else {
            event
        }
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
        let mut rules = self.plan.rules.iter().zip(&self.detectors);
        match rules.find(|(rule, _)| rule.detector.knows_rate()) {
            Some((rule, state)) => state.rate(&rule.detector, at, value),
            None => self.trend.rate(at, value),
        }
    }

    /// Returns the device as a peer of one with this rule, and whether the rule has an open episode on it.
    ///
    /// Rules of one name are the same rule. Another role may have its own rule of the kind.
    pub(in crate::engine) fn peer(
        &self,
        name: &str,
        kind: AlertKind,
    ) -> Option<(RackPeer<'_>, bool)> {
        let value = self.last_value()?;
        let rules = &self.plan.rules;
        let same = rules
            .iter()
            .position(|rule| rule.name == name && rule.kind == kind);
        let index = same.or_else(|| rules.iter().position(|rule| rule.kind == kind))?;
        let peer = RackPeer {
            spec: &rules[index].detector,
            state: self.detectors.get(index)?,
            role: self.role(),
            value,
        };
        Some((peer, self.open(index).is_some()))
    }

    /// Returns whether a rule compares the device with its rack.
    pub(in crate::engine) fn compares_rack(&self) -> bool {
        let mut rules = self.plan.rules.iter();
        rules.any(|rule| rule.detector.compares() != Compares::Nothing)
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
