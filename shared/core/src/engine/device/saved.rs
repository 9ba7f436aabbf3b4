//! A device in a snapshot, and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::clock::Clock;
use super::Device;
use crate::detect::DetectorState;
use crate::detect::trend::Trend;
use crate::device::{Description, DeviceId};
use crate::episode::Tracker;
use crate::rules::plan::{Plan, RuleName};
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// A device as it stands in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Saved {
    id: DeviceId,
    through: StreamId,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Box<Description>>,
    by_agent: Option<bool>,
    last: Option<(Timestamp, Option<Celsius>)>,
    judged: u32,
    trend: Trend,
    #[serde(default, skip_serializing_if = "Clock::is_fine")]
    clock: Clock,
    heard: u64,
    #[serde(default)]
    pause: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing: Option<Timestamp>,
    /// The number of its plan in the slice, and the state of each of its rules.
    plan: u32,
    states: Vec<RuleState>,
}

/// What one rule remembers of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct RuleState {
    detector: DetectorState,
    #[serde(default, skip_serializing_if = "Tracker::is_idle")]
    tracker: Tracker,
}

impl Device {
    /// As it stands, with a plan that has this number.
    pub(in crate::engine) fn save(&self, id: &DeviceId, plan: u32) -> Saved {
        let trackers = self.trackers.iter().cloned();
        let trackers = trackers.chain(std::iter::repeat_with(Tracker::default));
        let states = self.detectors.iter().cloned().zip(trackers);
        let states = states.map(|(detector, tracker)| RuleState { detector, tracker });
        Saved {
            id: id.clone(),
            through: self.through,
            description: self.description.clone(),
            by_agent: self.by_agent,
            last: self.last,
            judged: self.judged,
            trend: self.trend.clone(),
            clock: self.clock.clone(),
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
            plan,
            states: states.collect(),
        }
    }
}

impl Saved {
    /// The zone it counts for.
    pub(in crate::engine) fn zone(&self) -> &str {
        let described = self.description.as_deref();
        described.map_or(Description::DEFAULT_ZONE, Description::zone)
    }

    /// The device without its plan, the number of that in its slice, and the states that another may take
    /// over.
    pub(in crate::engine) fn into_device(self) -> (DeviceId, Device, u32, Vec<RuleState>) {
        let device = Device {
            description: self.description,
            by_agent: self.by_agent,
            last: self.last,
            judged: self.judged,
            trend: self.trend,
            clock: self.clock,
            heard: self.heard,
            pause: self.pause,
            failing: self.failing,
            through: self.through,
            ..Device::default()
        };
        (self.id, device, self.plan, self.states)
    }
}

impl Device {
    /// Takes saved states over where the rule still means the same.
    pub(in crate::engine) fn resume(&mut self, plan: &[RuleName], states: Vec<RuleState>) {
        let now = Arc::clone(&self.plan);
        for (saved, state) in plan.iter().zip(states) {
            let same = |name: &RuleName| name == saved;
            let Some(index) = now.names().iter().position(same) else {
                continue;
            };
            if let Some(detector) = self.detectors.get_mut(index) {
                *detector = state.detector;
                self.set_tracker(index, state.tracker);
            }
        }
    }

    /// What watches it.
    pub(in crate::engine) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}
