//! The stored form of a device.
//!
//! There is one for each sensor of a site, every 30 seconds: names are short, and what has its usual value is
//! left out. Every name is given here, so that renaming a Rust field changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::clock::Clock;
use super::super::cold_starts::{ColdStart, ColdStarts};
use super::held_jump::HeldJump;
use super::state::Device;
use crate::detect::SavedState;
use crate::detect::trend::Trend;
use crate::detect::usual::UsualLevel;
use crate::device::{Description, DeviceId};
use crate::episode::Tracker;
use crate::rules::{PlannedRule, RuleKey, RuleSet};
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// A device as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct SavedDevice {
    #[serde(rename = "id")]
    id: DeviceId,
    #[serde(rename = "through")]
    through: StreamId,
    #[serde(rename = "desc", default, skip_serializing_if = "Option::is_none")]
    description: Option<Box<Description>>,
    #[serde(rename = "agent", default, skip_serializing_if = "Option::is_none")]
    by_agent: Option<bool>,
    #[serde(rename = "last", default, skip_serializing_if = "Option::is_none")]
    last: Option<(Timestamp, Option<Celsius>)>,
    #[serde(rename = "eval", default, skip_serializing_if = "is_zero")]
    evaluated: u32,
    #[serde(rename = "trend", default)]
    trend: Trend,
    #[serde(
        rename = "usual",
        default,
        skip_serializing_if = "UsualLevel::is_unknown"
    )]
    usual: UsualLevel,
    #[serde(rename = "clock", default, skip_serializing_if = "Clock::is_fine")]
    clock: Clock,
    #[serde(rename = "heard", default)]
    heard: u64,
    #[serde(rename = "pause", default, skip_serializing_if = "is_zero")]
    pause: u64,
    #[serde(rename = "fail", default, skip_serializing_if = "Option::is_none")]
    failing: Option<Timestamp>,
    #[serde(rename = "held", default, skip_serializing_if = "Option::is_none")]
    held: Option<Box<HeldJump>>,
    /// The number of its plan in the slice.
    #[serde(rename = "plan")]
    plan: u32,
    /// The state of each rule of the plan.
    #[serde(rename = "rules")]
    detectors: Vec<SavedState>,
    /// The trackers that are not idle, by the index of the rule.
    #[serde(rename = "open", default, skip_serializing_if = "Vec::is_empty")]
    trackers: Vec<(usize, Tracker)>,
}

/// The saved state of a device's rules.
#[derive(Debug)]
pub(in crate::engine) struct SavedRules {
    /// The number of the plan in the slice.
    pub(in crate::engine) plan: u32,
    detectors: Vec<SavedState>,
    trackers: Vec<(usize, Tracker)>,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl Device {
    /// Returns the stored form, with `plan` as the number of its plan.
    pub(in crate::engine) fn save(&self, id: &DeviceId, plan: u32) -> SavedDevice {
        let states = self.detectors.iter().cloned();
        let trackers = self.trackers.iter().cloned().enumerate();
        SavedDevice {
            id: id.clone(),
            through: self.through,
            description: self.description.clone(),
            by_agent: self.by_agent,
            last: self.last,
            evaluated: self.evaluated,
            trend: self.trend.clone(),
            usual: self.usual,
            clock: self.clock.clone(),
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
            held: self.held.clone(),
            plan,
            detectors: states.map(SavedState::State).collect(),
            trackers: trackers.filter(|(_, tracker)| !tracker.is_idle()).collect(),
        }
    }

    /// Takes over saved state of rules that are still the same; `keys` are those of the saved plan, and `rules` are
    /// all rules of now.
    pub(in crate::engine) fn resume(
        &mut self,
        keys: &[RuleKey],
        saved: SavedRules,
        rules: &RuleSet,
        cold: &mut ColdStarts,
    ) {
        let plan = Arc::clone(&self.plan);
        let mut trackers = saved.trackers;
        for (number, (key, state)) in keys.iter().zip(saved.detectors).enumerate() {
            let mut names = plan.keys().iter();
            let Some(index) = names.position(|now| now.name() == key.name()) else {
                let reason = if rules.has(key.name()) {
                    ColdStart::RuleNotApplicable
                } else {
                    ColdStart::RuleRemoved
                };
                cold.add(key.name(), reason);
                continue;
            };
            let (rule, now) = (&plan.rules[index], &plan.keys()[index]);
            if let Err(reason) = self.resume_rule(index, (rule, now), key, state) {
                cold.add(key.name(), reason);
                continue;
            }
            let mut known = trackers.iter_mut();
            if let Some((_, tracker)) = known.find(|(known, _)| *known == number) {
                self.set_tracker(index, std::mem::take(tracker));
            }
        }
    }

    /// Takes over the saved state of one rule.
    fn resume_rule(
        &mut self,
        index: usize,
        (rule, now): (&PlannedRule, &RuleKey),
        saved: &RuleKey,
        state: SavedState,
    ) -> Result<(), ColdStart> {
        if saved.version() != now.version() {
            return Err(ColdStart::OtherVersion);
        }
        if saved.fingerprint() != now.fingerprint() {
            return Err(ColdStart::RuleChanged);
        }
        let state = state
            .load(&rule.detector)
            .map_err(|_| ColdStart::Malformed)?;
        if let Some(detector) = self.detectors.get_mut(index) {
            *detector = state;
        }
        Ok(())
    }
}

impl SavedDevice {
    /// Returns the zone, which decides the partition.
    pub(in crate::engine) fn zone(&self) -> &str {
        let described = self.description.as_deref();
        described.map_or(Description::DEFAULT_ZONE, Description::zone)
    }

    /// Returns the device without a plan, and the state of its rules.
    pub(in crate::engine) fn into_device(self) -> (DeviceId, Device, SavedRules) {
        let device = Device {
            description: self.description,
            by_agent: self.by_agent,
            last: self.last,
            evaluated: self.evaluated,
            trend: self.trend,
            usual: self.usual,
            clock: self.clock,
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
            held: self.held,
            through: self.through,
            ..Device::default()
        };
        let rules = SavedRules {
            plan: self.plan,
            detectors: self.detectors,
            trackers: self.trackers,
        };
        (self.id, device, rules)
    }
}
