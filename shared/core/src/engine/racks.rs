//! Racks: which devices are judged together, and what they say together.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use super::device::Device;
use crate::detect::outlier::median;
use crate::detect::runaway::{Runaway, rise};
use crate::device::DeviceId;
use crate::reading::Reading;
use crate::time::Timestamp;

/// A rack's number: what a device keeps of where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RackNumber(NonZeroU32);

/// A device that has not been read for so long says nothing any more.
const SILENT: Duration = Duration::from_mins(2);
/// Devices of racks that have only one are judged together; a zone of thousands would cost too much.
const MOST_ALONE: usize = 64;
/// Others of a rack that are looked at: their mean is told by fewer.
const MOST_OTHERS: usize = 16;

/// Devices that are judged together, by where they stand.
#[derive(Debug, Default)]
pub(super) struct Racks {
    /// By zone and name.
    numbers: HashMap<(String, String), RackNumber>,
    all: Vec<Rack>,
    /// Devices that are alone in their rack, by zone.
    alone: HashMap<String, BTreeSet<DeviceId>>,
}

/// One rack.
#[derive(Debug)]
struct Rack {
    zone: String,
    members: BTreeSet<DeviceId>,
}

/// What the others of a rack say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Others {
    /// The mean of all; none where there are none.
    pub(super) mean: Option<f64>,
    /// The median of those that measure the same; none where there are too few.
    pub(super) median: Option<f64>,
}

impl Racks {
    /// Says where a device stands, in which zone and rack; none where it is not asked. What it keeps of
    /// that is the answer.
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
                rack.members.remove(id);
                if let Some(alone) = self.alone.get_mut(&rack.zone) {
                    alone.remove(id);
                }
            }
            self.sort(old);
        }
        if let Some(now) = now {
            if let Some(rack) = self.all.get_mut(now.index()) {
                rack.members.insert(id.clone());
            }
            self.sort(now);
        }
        now
    }

    fn number(&mut self, rack: (String, String)) -> RackNumber {
        if let Some(known) = self.numbers.get(&rack) {
            return *known;
        }
        self.all.push(Rack {
            zone: rack.0.clone(),
            members: BTreeSet::new(),
        });
        let number = RackNumber::of_index(self.all.len() - 1);
        self.numbers.insert(rack, number);
        number
    }

    /// Whoever is alone in a rack is with others of the zone who are.
    fn sort(&mut self, rack: RackNumber) {
        let Some(Rack { zone, members }) = self.all.get(rack.index()) else {
            return;
        };
        match members.len() {
            1 => {
                let alone = self.alone.entry(zone.clone()).or_default();
                alone.extend(members.iter().cloned());
            }
            // The second has come: the first is alone no more.
            2 => {
                if let Some(alone) = self.alone.get_mut(zone) {
                    for id in members {
                        alone.remove(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// What the other devices of its rack say.
    pub(super) fn others(
        &self,
        devices: &HashMap<DeviceId, Box<Device>>,
        reading: &Reading,
    ) -> Others {
        let own = devices.get(&reading.device);
        let rack = own.and_then(|own| self.all.get(own.rack_number()?.index()));
        let (Some(own), Some(rack)) = (own, rack) else {
            return Others::default();
        };
        let role = own.stands().0;
        let (mut sum, mut count) = (0.0, 0.0);
        let mut alike = Vec::with_capacity(MOST_OTHERS.min(rack.members.len()));
        for id in rack.members.iter().take(MOST_OTHERS) {
            let device = devices.get(id).filter(|_| *id != reading.device);
            let read = device.filter(|device| is_read(device, reading.at));
            let Some((device, value)) = read.and_then(|d| Some((d, d.value()?))) else {
                continue;
            };
            sum += value;
            count += 1.0;
            if device.stands().0 == role {
                alike.push(value);
            }
        }
        Others {
            mean: (count > 0.0).then(|| sum / count),
            median: median(&mut alike),
        }
    }

    /// Whether the rack of the device that was read just now runs away. Of several devices only one
    /// says so.
    pub(super) fn runaway(
        &self,
        devices: &HashMap<DeviceId, Box<Device>>,
        reading: &Reading,
    ) -> Option<Runaway> {
        let device = devices.get(&reading.device)?;
        let (spec, _, open) = device.runaway()?;
        let rack = self.all.get(device.rack_number()?.index())?;
        let group = if rack.members.len() > 1 {
            &rack.members
        } else {
            self.alone.get(&rack.zone)?
        };
        let says = open.is_some();
        let mut states = Vec::with_capacity(group.len().min(MOST_ALONE));
        for id in group.iter().take(MOST_ALONE) {
            let Some(device) = devices.get(id).filter(|d| is_read(d, reading.at)) else {
                continue;
            };
            let Some((spec, state, open)) = device.runaway() else {
                continue;
            };
            if !says && open.is_some() {
                return None;
            }
            states.push((state, spec.resolution));
        }
        rise(spec, reading.at, &states, says)
    }
}

impl RackNumber {
    fn of_index(index: usize) -> Self {
        let number = u32::try_from(index).unwrap_or(u32::MAX - 1);
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

fn is_read(device: &Device, at: Timestamp) -> bool {
    device.last().is_some_and(|last| at.since(last) < SILENT)
}
