//! Racks: the devices that are compared with each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::device::{Device, Devices};
use super::rack_number::RackNumber;
use crate::detect::{Compares, Finding, Observation, RackPeer};
use crate::device::DeviceId;
use crate::rules::PlannedRule;
use crate::time::Timestamp;

/// The age up to which a device's reading is compared, where it is not read more seldom.
const MAX_AGE: Duration = Duration::from_mins(2);
/// The intervals after which a reading is not compared any more.
const INTERVALS: u32 = 2;
/// The most devices that are compared across racks with one device each: a zone of thousands would cost too
/// much.
const MAX_LONE_DEVICES: usize = 64;
/// The most neighbours that are compared with one device each: so many suffice for a median.
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

    /// Lets rule number `index` of the device that was read decide with its peers: the other devices of the rack
    /// that have the rule. Returns none while another one of them has an episode that is about the rack.
    pub(super) fn observe(
        &self,
        devices: &mut Devices,
        (id, index): (&DeviceId, usize),
        now: &Observation,
    ) -> Option<Finding> {
        let own = devices.get_mut(id)?;
        let rack = self.all.get(own.rack()?.index())?;
        let plan = Arc::clone(own.plan());
        let rule = plan.rules.get(index)?;
        let mut state = own.take_detector(index)?;
        let peers = self.peers(devices, (id, rack), rule, now);
        let finding = peers.and_then(|peers| state.observe_rack(&rule.detector, now, &peers));
        if let Some(own) = devices.get_mut(id) {
            own.put_detector(index, state);
        }
        finding
    }

    /// Returns the peers that were read within the last minutes; none while another one has the rack's episode.
    fn peers<'a>(
        &self,
        devices: &'a Devices,
        (own, rack): (&DeviceId, &Rack),
        rule: &PlannedRule,
        now: &Observation,
    ) -> Option<Vec<RackPeer<'a>>> {
        let compares = rule.detector.compares();
        let (group, most) = match compares {
            Compares::Rack if rack.devices.len() == 1 => {
                (self.alone.get(&rack.zone)?, MAX_LONE_DEVICES)
            }
            Compares::Rack => (&rack.devices, MAX_LONE_DEVICES),
            _ => (&rack.devices, MAX_NEIGHBOURS),
        };
        let mut peers = Vec::with_capacity(group.len().min(most));
        for id in group.iter().filter(|id| *id != own).take(most) {
            let device = devices.get(id).filter(|device| is_current(device, now.at));
            let Some((peer, is_open)) =
                device.and_then(|device| device.peer(&rule.name, rule.kind))
            else {
                continue;
            };
            if compares == Compares::Rack && is_open && !now.is_open {
                return None;
            }
            peers.push(peer);
        }
        Some(peers)
    }
}

fn is_current(device: &Device, at: Timestamp) -> bool {
    let limit = MAX_AGE.max(device.usual_pause() * INTERVALS);
    device
        .last_read()
        .is_some_and(|last| at.since(last) < limit)
}
