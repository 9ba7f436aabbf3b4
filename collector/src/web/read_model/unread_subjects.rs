//! The agents, targets and devices with an alert that they send no data.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::alert::AlertKind;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::subject::Subject;

use super::rows::Open;

/// The subjects that send no data.
#[derive(Debug, Default)]
pub(super) struct UnreadSubjects {
    agents: BTreeSet<String>,
    targets: BTreeSet<String>,
    devices: BTreeSet<DeviceId>,
}

impl UnreadSubjects {
    /// Returns the subjects among those with `open` alerts.
    pub(super) fn of(open: &BTreeMap<DeviceId, BTreeMap<String, Open>>) -> Self {
        let mut unread = Self::default();
        for (id, rules) in open {
            if !rules.values().any(|open| open.kind == AlertKind::NoData) {
                continue;
            }
            match Subject::from(id.clone()) {
                Subject::Agent(name) => unread.agents.insert(name.to_string()),
                Subject::Target(name) => unread.targets.insert(name.to_string()),
                Subject::Sensor(device) => unread.devices.insert(device),
            };
        }
        unread
    }

    /// Returns whether the device, its agent or its target is among them.
    pub(super) fn covers(&self, id: &DeviceId, known: &Description) -> bool {
        self.agents.contains(&known.agent)
            || self.targets.contains(&known.target)
            || self.devices.contains(id)
    }
}
