//! Whether the values of devices are still the present ones.

use std::collections::BTreeSet;

use rackwatch_core::alert::AlertKind;
use rackwatch_core::device::{DataFacts, DataState, DeviceId};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;

use super::{KnownDevice, ReadModel};

/// Agents, targets and devices with an alert that they send no data.
#[derive(Debug, Default)]
pub(super) struct Absent {
    agents: BTreeSet<String>,
    targets: BTreeSet<String>,
    devices: BTreeSet<DeviceId>,
}

impl Absent {
    fn covers(&self, id: &DeviceId, device: &KnownDevice) -> bool {
        let known = &device.known;
        self.agents.contains(&known.agent)
            || self.targets.contains(&known.target)
            || self.devices.contains(id)
    }
}

impl ReadModel {
    /// Moves on to `now` by Redis' clock, and finds the devices whose data became stale or live by that.
    pub(super) fn apply_time(&mut self, now: Timestamp) {
        self.now = now;
        self.absent = self.absent();
        for (id, device) in &mut self.devices {
            let state = state_of(device, now, self.absent.covers(id, device));
            if state != device.state {
                device.state = state;
                self.changes.devices.insert(id.clone());
            }
        }
    }

    /// Finds the state of one device whose data or description changed, by the alerts of about a second ago.
    pub(super) fn update_state(&mut self, id: &DeviceId) {
        let now = self.now;
        if let Some(device) = self.devices.get_mut(id) {
            device.state = state_of(device, now, self.absent.covers(id, device));
        }
    }

    fn absent(&self) -> Absent {
        let mut absent = Absent::default();
        for (id, rules) in &self.open {
            if !rules.values().any(|open| open.kind == AlertKind::NoData) {
                continue;
            }
            match Subject::from(id.clone()) {
                Subject::Agent(name) => absent.agents.insert(name.to_string()),
                Subject::Target(name) => absent.targets.insert(name.to_string()),
                Subject::Sensor(device) => absent.devices.insert(device),
            };
        }
        absent
    }
}

fn state_of(device: &KnownDevice, now: Timestamp, is_absent: bool) -> DataState {
    DataState::of(DataFacts {
        // Until the time is known, each reading counts as new.
        age: device.at.map(|at| now.since(at)),
        interval: device.known.interval,
        is_faulty: device.fault.is_some(),
        is_absent,
        is_leaving: device.known.leaving,
    })
}
