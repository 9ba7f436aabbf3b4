//! Devices with a jump that waits to be confirmed: without them, each check would look at all devices.

use std::collections::BTreeSet;

use super::device::{Device, Devices};
use crate::device::DeviceId;
use crate::reading::Reading;

/// The devices that hold a jump back.
#[derive(Debug, Default)]
pub(super) struct Jumps(BTreeSet<DeviceId>);

impl Jumps {
    /// Takes note of a device that was read or restored.
    pub(super) fn note(&mut self, id: &DeviceId, device: &Device) {
        if device.holds_jump() {
            self.0.insert(id.clone());
        }
    }

    /// Returns the jumps that no other reading confirmed in time, `listened` milliseconds into the time of listening.
    pub(super) fn due(&mut self, devices: &mut Devices, listened: u64) -> Vec<Reading> {
        let mut due = Vec::new();
        self.0.retain(|id| {
            let Some(device) = devices.get_mut(id) else {
                return false;
            };
            due.extend(device.waited_for(id, listened));
            device.holds_jump()
        });
        due
    }
}
