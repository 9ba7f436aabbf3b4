//! Changes of a device's plan, and stored episodes after a restart.

use std::sync::Arc;

use super::super::clock::{WrongBy, WrongClock};
use super::super::effects::{AlertEvent, Effects};
use super::super::records::{CLOCK_SKEW, Evidence, Header, mildest_threshold};
use super::state::Device;
use crate::alert::{AlertId, EndedBy, Severity};
use crate::detect::DetectorState;
use crate::device::DeviceId;
use crate::episode::{Episode, Open, Tracker};
use crate::rules::{Plan, PlannedRule};
use crate::time::Timestamp;
use crate::units::Celsius;

/// Difference below which thresholds are the same: JSON may round the last digit.
const SAME: f64 = 1e-6;

impl Device {
    /// Replaces the plan. Rules that stay the same keep their state; the episode of a rule that is gone ends.
    pub(in crate::engine) fn set_plan(
        &mut self,
        id: &DeviceId,
        plan: &Arc<Plan>,
        effects: &mut Effects,
    ) {
        let old = std::mem::replace(&mut self.plan, Arc::clone(plan));
        let detectors = std::mem::take(&mut self.detectors).into_iter();
        let trackers = std::mem::take(&mut self.trackers).into_iter();
        // Idle trackers are not kept.
        let trackers = trackers.chain(std::iter::repeat_with(Tracker::default));
        let mut states: Vec<_> = old.rules.iter().zip(detectors.zip(trackers)).collect();
        let mut detectors = Vec::with_capacity(plan.rules.len());
        for (index, rule) in plan.rules.iter().enumerate() {
            let same = states.iter().position(|(known, _)| known.name == rule.name);
            let kept = same.map(|index| states.swap_remove(index));
            detectors.push(match kept {
                Some((known, (detector, mut tracker))) => {
                    if let Some(open) = tracker.open().filter(|open| open.former.is_none()) {
                        let reported = known.threshold(open.severity);
                        tracker.set_former(
                            reported.filter(|reported| is_other(rule, open.severity, *reported)),
                        );
                    }
                    self.set_tracker(index, tracker);
                    // With other numbers the episode goes on, and the windows start cold.
                    if known.detector == rule.detector {
                        detector
                    } else {
                        DetectorState::new(&rule.detector)
                    }
                }
                None => DetectorState::new(&rule.detector),
            });
        }
        self.detectors = detectors.into();
        for (rule, (_, tracker)) in states {
            if let Some(open) = tracker.open() {
                effects.report(
                    self.end_with_rule(id, rule, open)
                        .ended_by(EndedBy::RuleChange),
                );
            }
        }
        if let Some(carried) = self.carried.take() {
            self.align(&carried.iter().collect::<Vec<_>>(), effects);
        }
    }

    /// Ends the open episodes of the rules that `ends` names, for a reason other than readings.
    pub(in crate::engine) fn end_episodes(
        &mut self,
        id: &DeviceId,
        by: EndedBy,
        ends: impl Fn(&PlannedRule, &Open) -> bool,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let Some(open) = self.open(index).copied().filter(|open| ends(rule, open)) else {
                continue;
            };
            if let Some(tracker) = self.tracker(index) {
                tracker.align(None);
                tracker.settle();
            }
            effects.report(self.end_with_rule(id, rule, &open).ended_by(by));
        }
        self.settle();
    }

    /// Ends the stored episodes of a device without a plan that `ends` names.
    pub(in crate::engine) fn end_carried(
        &mut self,
        by: EndedBy,
        ends: impl Fn(&Episode) -> bool,
        effects: &mut Effects,
    ) {
        let carried = self.carried.take().unwrap_or_default();
        let (ended, kept): (Vec<_>, Vec<_>) = carried.into_iter().partition(ends);
        for episode in &ended {
            effects.report(end_of_stored(
                episode,
                self.last_value(),
                self.last_read(),
                by,
            ));
        }
        self.carried = (!kept.is_empty()).then(|| kept.into());
    }

    /// Ends the open alert about its clock, for a reason other than readings.
    pub(in crate::engine) fn end_clock_alert(
        &mut self,
        id: &DeviceId,
        by: EndedBy,
        ends: impl Fn(&AlertId) -> bool,
        effects: &mut Effects,
    ) {
        let started = self.clock.wrong.map(|wrong| wrong.started);
        let alert = |started| AlertId::of(&id.clone().into(), CLOCK_SKEW, started);
        if started.is_some_and(|started| ends(&alert(started)))
            && let Some(wrong) = self.clock.wrong.take()
        {
            let at = self.last_read().unwrap_or(wrong.started);
            effects.report(self.clock_recovered(id, wrong, at, None).ended_by(by));
        }
    }

    /// Returns the end of an episode that no reading ends.
    fn end_with_rule(&self, id: &DeviceId, rule: &PlannedRule, open: &Open) -> AlertEvent {
        let header = self.header(
            id,
            rule,
            (open.started, open.severity, mildest_threshold(rule)),
        );
        let evidence = Evidence {
            temperature: self.last_value(),
            ..Evidence::at(self.last_read().unwrap_or(open.started))
        };
        let end = open.clear.unwrap_or(evidence.at);
        header.resolve(evidence, end, open.peak)
    }

    /// Brings every tracker in line with the stored episodes of this device.
    pub(in crate::engine) fn align(&mut self, stored: &[&Episode], effects: &mut Effects) {
        if self.by_agent.is_none() && self.description.is_none() {
            let stored = stored.iter().map(|episode| (*episode).clone());
            self.carried = Some(stored.collect());
            return;
        }
        let plan = Arc::clone(&self.plan);
        if !self.trackers.is_empty() || !stored.is_empty() {
            for (index, rule) in plan.rules.iter().enumerate() {
                if let Some(tracker) = self.tracker(index) {
                    let episode = stored.iter().find(|e| e.rule == rule.name).copied();
                    tracker.align(episode);
                    let other = episode.filter(|e| is_other(rule, e.severity, e.threshold));
                    tracker.set_former(other.map(|episode| episode.threshold));
                }
            }
            self.settle();
        }
        let skewed = stored.iter().find(|episode| episode.rule == CLOCK_SKEW);
        self.clock.wrong = skewed.map(|episode| {
            let known = self.clock.wrong;
            known.unwrap_or(WrongClock {
                started: episode.started,
                cause: WrongBy::SetBack(None),
            })
        });
        for episode in stored.iter().filter(|episode| episode.rule != CLOCK_SKEW) {
            if !self.plan.rules.iter().any(|rule| rule.name == episode.rule) {
                let (value, read) = (self.last_value(), self.last_read());
                effects.report(end_of_stored(episode, value, read, EndedBy::RuleChange));
            }
        }
    }
}

/// Returns the end of a stored episode without a rule; `value` is the last temperature, read at `at`.
fn end_of_stored(
    episode: &Episode,
    value: Option<Celsius>,
    at: Option<Timestamp>,
    by: EndedBy,
) -> AlertEvent {
    let evidence = Evidence {
        temperature: value,
        ..Evidence::at(at.unwrap_or(episode.at))
    };
    let (end, peak) = (evidence.at, episode.temperature);
    let end = Header::of_episode(episode).resolve(evidence, end, peak);
    end.ended_by(by)
}

/// Returns whether the rule now has another threshold than was reported for an episode of this severity.
fn is_other(rule: &PlannedRule, severity: Severity, reported: f64) -> bool {
    let same = |threshold: f64| (threshold - reported).abs() < SAME;
    !rule.threshold(severity).is_some_and(same)
}
