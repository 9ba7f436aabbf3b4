//! Racks: the devices that are compared with each other.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::device::{Device, Devices};
use super::rack_number::RackNumber;
use crate::detect::{DetectorSpec, Finding, Neighbours, Observation};
use crate::device::DeviceId;
use crate::reading::Reading;
use crate::time::Timestamp;

/// The age from which a device's reading is not compared any more.
const MAX_AGE: Duration = Duration::from_mins(2);
/// The most devices that are compared across racks with one device each: a zone of thousands would cost too
/// much.
const MAX_LONE_DEVICES: usize = 64;
/// The most neighbours that are compared: so many suffice for their mean.
const MAX_NEIGHBOURS: usize = 16;

/// All racks, with their devices.
#[derive(Debug, Default)]
pub(super) struct Racks {
    /// Numbers by zone and name.
    numbers: HashMap<(String, String), RackNumber>,
    all: Vec<Rack>,
    /// Devices that are alone in their rack, by zone.
    alone: HashMap<String, BTreeSet<DeviceId>>,
}

/// The devices of one rack.
#[derive(Debug)]
struct Rack {
    zone: String,
    devices: BTreeSet<DeviceId>,
}

impl Racks {
    /// Moves a device from the rack `before` to `rack`, given by zone and name; none where no rule compares it.
    /// Returns the number of its rack.
    pub(super) fn place(
        &mut self,
        id: &DeviceId,
        before: Option<RackNumber>,
        rack: Option<(String, String)>,
    ) -> Option<RackNumber> {
        let now = rack.map(|rack| self.number(rack));
        if now == before {
            return now;
        }
        if let Some(old) = before {
            if let Some(rack) = self.all.get_mut(old.index()) {
                rack.devices.remove(id);
                if let Some(alone) = self.alone.get_mut(&rack.zone) {
                    alone.remove(id);
                }
            }
            self.update_alone(old);
        }
        if let Some(now) = now {
            if let Some(rack) = self.all.get_mut(now.index()) {
                rack.devices.insert(id.clone());
            }
            self.update_alone(now);
        }
        now
    }

    fn number(&mut self, rack: (String, String)) -> RackNumber {
        if let Some(known) = self.numbers.get(&rack) {
            return *known;
        }
        self.all.push(Rack {
            zone: rack.0.clone(),
            devices: BTreeSet::new(),
        });
        let number = RackNumber::of_index(self.all.len() - 1);
        self.numbers.insert(rack, number);
        number
    }

    /// Keeps the devices that are alone in their rack up to date after a change of that rack.
    fn update_alone(&mut self, rack: RackNumber) {
        let Some(Rack { zone, devices }) = self.all.get(rack.index()) else {
            return;
        };
        match devices.len() {
            1 => {
                let alone = self.alone.entry(zone.clone()).or_default();
                alone.extend(devices.iter().cloned());
            }
            // With the second device the first is alone no more.
            2 => {
                if let Some(alone) = self.alone.get_mut(zone) {
                    for id in devices {
                        alone.remove(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// Returns the temperatures of the other devices in the rack of the device that was read.
    pub(super) fn neighbours(&self, devices: &Devices, reading: &Reading) -> Neighbours {
        let own = devices.get(&reading.device);
        let rack = own.and_then(|own| self.all.get(own.rack()?.index()));
        let (Some(own), Some(rack)) = (own, rack) else {
            return Neighbours::default();
        };
        let role = own.role_and_height().0;
        let most = MAX_NEIGHBOURS.min(rack.devices.len());
        let (mut all, mut same_role) = (Vec::with_capacity(most), Vec::with_capacity(most));
        for id in rack.devices.iter().take(MAX_NEIGHBOURS) {
            let device = devices.get(id).filter(|_| *id != reading.device);
            let current = device.filter(|device| is_current(device, reading.at));
            let Some((device, value)) = current.and_then(|d| Some((d, d.value()?))) else {
                continue;
            };
            all.push(value);
            if device.role_and_height().0 == role {
                same_role.push(value);
            }
        }
        Neighbours::of(&all, &mut same_role)
    }

    /// Lets a detector of the device that was read decide with its peers: the devices of the rack that have a
    /// rule of the same kind. Returns none while an episode is open on another one of them.
    pub(super) fn observe_peers(
        &self,
        devices: &Devices,
        id: &DeviceId,
        detector: &DetectorSpec,
        now: &Observation,
    ) -> Option<Finding> {
        let rack = self.all.get(devices.get(id)?.rack()?.index())?;
        let group = if rack.devices.len() > 1 {
            &rack.devices
        } else {
            self.alone.get(&rack.zone)?
        };
        let mut peers = Vec::with_capacity(group.len().min(MAX_LONE_DEVICES));
        for id in group.iter().take(MAX_LONE_DEVICES) {
            let Some(device) = devices.get(id).filter(|d| is_current(d, now.at)) else {
                continue;
            };
            let Some((spec, state, is_open)) = device.peer(detector.kind()) else {
                continue;
            };
            if !now.is_open && is_open {
                return None;
            }
            peers.push((spec, state));
        }
        detector.observe_peers(now, &peers)
    }
}

fn is_current(device: &Device, at: Timestamp) -> bool {
    device
        .last_read()
        .is_some_and(|last| at.since(last) < MAX_AGE)
}
