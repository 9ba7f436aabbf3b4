//! Changes of a device's plan, and stored episodes after a restart.

use std::sync::Arc;

use super::super::clock::{WrongBy, WrongClock};
use super::super::effects::{AlertEvent, Effects};
use super::super::records::{CLOCK_SKEW, Evidence, Header, mildest_threshold};
use super::state::Device;
use crate::detect::DetectorState;
use crate::device::DeviceId;
use crate::episode::{Episode, Open, Tracker};
use crate::rules::{Plan, PlannedRule};

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
                Some((known, (detector, tracker))) => {
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
                effects.report(self.end_with_rule(id, rule, open));
            }
        }
        if let Some(carried) = self.carried.take() {
            self.align(&carried.iter().collect::<Vec<_>>(), effects);
        }
    }

    /// Returns the end of an episode whose rule is gone.
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
                    tracker.align(stored.iter().find(|e| e.rule == rule.name).copied());
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
                let evidence = Evidence {
                    temperature: self.last_value(),
                    ..Evidence::at(self.last_read().unwrap_or(episode.at))
                };
                let (end, peak) = (evidence.at, episode.temperature);
                effects.report(Header::of_episode(episode).resolve(evidence, end, peak));
            }
        }
    }
}
