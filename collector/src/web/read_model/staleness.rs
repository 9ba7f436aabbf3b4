//! Whether the values of devices are still the present ones.

use rackwatch_core::device::{DataFacts, DataState, DeviceId};
use rackwatch_core::time::Timestamp;

use super::unread_subjects::UnreadSubjects;
use super::{KnownDevice, ReadModel};

impl ReadModel {
    /// Moves on to `now` by Redis' clock, and finds the devices whose data became stale or live by that.
    pub(super) fn apply_time(&mut self, now: Timestamp) {
        self.now = now;
        self.absent = UnreadSubjects::of(&self.open);
        for (id, device) in &mut self.devices {
            let state = state_of(device, now, self.absent.covers(id, &device.known));
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
            device.state = state_of(device, now, self.absent.covers(id, &device.known));
        }
    }
}

fn state_of(device: &KnownDevice, now: Timestamp, is_absent: bool) -> DataState {
    DataState::of(DataFacts {
        // Until the time is known, each reading counts as new.
        age: device.at.map(|at| now.since(at)),
        interval: device.known.interval,
        is_faulty: device.fault.is_some(),
        is_undescribed: device.is_undescribed(),
        is_absent: is_absent || device.behind.is_some_and(|behind| behind.is_lasting(now)),
        is_leaving: device.known.leaving,
    })
}
