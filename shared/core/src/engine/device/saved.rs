//! The stored form of a device.
//!
//! There is one for each sensor of a site, every 30 seconds: names are short, and what has its usual value is
//! left out. Every name is given here, so that renaming a Rust field changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::clock::Clock;
use super::super::cold_starts::{ColdStart, ColdStarts};
use super::state::Device;
use crate::detect::DetectorState;
use crate::detect::trend::Trend;
use crate::device::{Description, DeviceId};
use crate::episode::Tracker;
use crate::rules::plan::RuleName;
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// A device as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct SavedDevice {
    #[serde(rename = "id")]
    id: DeviceId,
    #[serde(rename = "thru")]
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
    #[serde(rename = "clock", default, skip_serializing_if = "Clock::is_fine")]
    clock: Clock,
    #[serde(rename = "heard", default)]
    heard: u64,
    #[serde(rename = "pause", default, skip_serializing_if = "is_zero")]
    pause: u64,
    #[serde(rename = "fail", default, skip_serializing_if = "Option::is_none")]
    failing: Option<Timestamp>,
    /// The number of its plan in the slice.
    #[serde(rename = "plan")]
    plan: u32,
    /// The state of each rule of the plan.
    #[serde(rename = "rules")]
    detectors: Vec<DetectorState>,
    /// The trackers that are not idle, by the index of the rule.
    #[serde(rename = "open", default, skip_serializing_if = "Vec::is_empty")]
    trackers: Vec<(usize, Tracker)>,
}

/// The saved state of a device's rules.
#[derive(Debug)]
pub(in crate::engine) struct SavedRules {
    /// The number of the plan in the slice.
    pub(in crate::engine) plan: u32,
    detectors: Vec<DetectorState>,
    trackers: Vec<(usize, Tracker)>,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl Device {
    /// Returns the stored form, with `plan` as the number of its plan.
    pub(in crate::engine) fn save(&self, id: &DeviceId, plan: u32) -> SavedDevice {
        let trackers = self.trackers.iter().cloned().enumerate();
        SavedDevice {
            id: id.clone(),
            through: self.through,
            description: self.description.clone(),
            by_agent: self.by_agent,
            last: self.last,
            evaluated: self.evaluated,
            trend: self.trend.clone(),
            clock: self.clock.clone(),
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
            plan,
            detectors: self.detectors.to_vec(),
            trackers: trackers.filter(|(_, tracker)| !tracker.is_idle()).collect(),
        }
    }

    /// Takes over saved state of rules that are still the same; `names` are those of the saved plan.
    pub(in crate::engine) fn resume(
        &mut self,
        names: &[RuleName],
        mut saved: SavedRules,
        cold: &mut ColdStarts,
    ) {
        let plan = Arc::clone(&self.plan);
        for (number, (name, state)) in names.iter().zip(saved.detectors).enumerate() {
            let same = |now: &RuleName| now == name;
            if let Some(index) = plan.names().iter().position(same) {
                if let Some(detector) = self.detectors.get_mut(index) {
                    *detector = state;
                }
                let mut trackers = saved.trackers.iter_mut();
                if let Some((_, tracker)) = trackers.find(|(known, _)| *known == number) {
                    self.set_tracker(index, std::mem::take(tracker));
                }
            } else {
                let is_known = plan.names().iter().any(|now| now.0 == name.0);
                let reason = if is_known {
                    ColdStart::RuleChanged
                } else {
                    ColdStart::RuleRemoved
                };
                cold.add(&name.0, reason);
            }
        }
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
            clock: self.clock,
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
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
