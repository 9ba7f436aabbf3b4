//! A device in a snapshot, and back.

use serde::{Deserialize, Serialize};

use super::super::clock::Clock;
use super::Device;
use crate::detect::DetectorState;
use crate::detect::trend::Trend;
use crate::device::{Description, DeviceId};
use crate::episode::Tracker;
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
    /// Name and fingerprint of each rule, with its state.
    rules: Vec<(String, u64, RuleState)>,
}

/// What one rule remembers of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct RuleState {
    detector: DetectorState,
    #[serde(default, skip_serializing_if = "Tracker::is_idle")]
    tracker: Tracker,
}

impl Device {
    pub(in crate::engine) fn save(&self, id: &DeviceId) -> Saved {
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
            rules: (self.plan.rules.iter().zip(states))
                .map(|(rule, state)| (rule.name.clone(), rule.fingerprint(), state))
                .collect(),
        }
    }
}

impl Saved {
    /// The zone it counts for.
    pub(in crate::engine) fn zone(&self) -> &str {
        let described = self.description.as_deref();
        described.map_or(Description::DEFAULT_ZONE, Description::zone)
    }

    /// The device without its plan, and the states that its plan may take over.
    pub(in crate::engine) fn into_device(
        self,
    ) -> (DeviceId, Device, Vec<(String, u64, RuleState)>) {
        let device = Device {
            description: self.description,
            by_agent: self.by_agent,
            last: self.last,
            judged: self.judged,
            trend: self.trend,
            clock: self.clock,
            heard: self.heard,
            pause: self.pause,
            through: self.through,
            ..Device::default()
        };
        (self.id, device, self.rules)
    }
}

impl Device {
    /// Takes saved states over where the rule still means the same.
    pub(in crate::engine) fn resume(&mut self, saved: Vec<(String, u64, RuleState)>) {
        for (name, fingerprint, state) in saved {
            let index = self.plan.rules.iter().position(|rule| rule.name == name);
            let Some(index) = index else { continue };
            if self.plan.rules[index].fingerprint() == fingerprint {
                self.detectors[index] = state.detector;
                self.set_tracker(index, state.tracker);
            }
        }
    }
}
