//! Racks: which devices are judged together, and what they say together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use crate::detect::runaway::{Runaway, rise};
use crate::device::DeviceId;
use crate::reading::Reading;
use crate::time::Timestamp;

/// A zone, and a rack in it; all devices there share it.
pub(super) type Rack = Arc<(String, String)>;

/// A device that has not been read for so long says nothing any more.
const SILENT: Duration = Duration::from_mins(2);
/// Devices of racks that have only one are judged together; a zone of thousands would cost too much.
const MOST_ALONE: usize = 64;
/// Others of a rack that are looked at: their mean is told by fewer.
const MOST_OTHERS: usize = 16;

/// Devices that a runaway is asked of, by where they stand.
#[derive(Debug, Default)]
pub(super) struct Racks {
    places: HashMap<DeviceId, Rack>,
    members: HashMap<Rack, BTreeSet<DeviceId>>,
    /// Devices that are alone in their rack, by zone.
    alone: HashMap<String, BTreeSet<DeviceId>>,
}

impl Racks {
    /// Says where a device stands, in which zone and rack; none where it is not asked.
    pub(super) fn place(&mut self, id: &DeviceId, rack: Option<(String, String)>) {
        if self.places.get(id).map(Arc::as_ref) == rack.as_ref() {
            return;
        }
        if let Some(old) = self.places.remove(id) {
            if let Some(members) = self.members.get_mut(&old) {
                members.remove(id);
            }
            if let Some(alone) = self.alone.get_mut(&old.0) {
                alone.remove(id);
            }
            self.sort(&old);
        }
        if let Some(rack) = rack {
            let shared = self
                .members
                .get_key_value(&rack)
                .map(|(rack, _)| Arc::clone(rack));
            let rack = shared.unwrap_or_else(|| Arc::new(rack));
            self.places.insert(id.clone(), Arc::clone(&rack));
            let members = self.members.entry(Arc::clone(&rack)).or_default();
            members.insert(id.clone());
            self.sort(&rack);
        }
    }

    /// Whoever is alone in a rack is with others of the zone who are.
    fn sort(&mut self, rack: &Rack) {
        let Some(members) = self.members.get(rack) else {
            return;
        };
        let alone = self.alone.entry(rack.0.clone()).or_default();
        match members.len() {
            0 => {
                self.members.remove(rack);
            }
            1 => alone.extend(members.iter().cloned()),
            // The second has come: the first is alone no more.
            2 => {
                for id in members {
                    alone.remove(id);
                }
            }
            _ => {}
        }
    }

    /// The mean of the other devices of its rack; none where there are none.
    pub(super) fn mean_of_others(
        &self,
        devices: &HashMap<DeviceId, Box<Device>>,
        reading: &Reading,
    ) -> Option<f64> {
        let members = self.members.get(self.places.get(&reading.device)?)?;
        let (mut sum, mut count) = (0.0, 0.0);
        for id in members.iter().take(MOST_OTHERS) {
            let device = devices.get(id).filter(|_| *id != reading.device);
            let read = device.filter(|device| is_read(device, reading.at));
            if let Some(value) = read.and_then(|device| device.value()) {
                sum += value;
                count += 1.0;
            }
        }
        (count > 0.0).then(|| sum / count)
    }

    /// Whether the rack of the device that was read just now runs away. Of several devices only one
    /// says so.
    pub(super) fn runaway(
        &self,
        devices: &HashMap<DeviceId, Box<Device>>,
        reading: &Reading,
    ) -> Option<Runaway> {
        let (spec, _, own) = devices.get(&reading.device)?.runaway()?;
        let rack = self.places.get(&reading.device)?;
        let members = self.members.get(rack)?;
        let group = if members.len() > 1 {
            members
        } else {
            self.alone.get(&rack.0)?
        };
        let says = own.open().is_some();
        let mut states = Vec::with_capacity(group.len().min(MOST_ALONE));
        for id in group.iter().take(MOST_ALONE) {
            let Some(device) = devices.get(id).filter(|d| is_read(d, reading.at)) else {
                continue;
            };
            let Some((spec, state, tracker)) = device.runaway() else {
                continue;
            };
            if !says && tracker.open().is_some() {
                return None;
            }
            states.push((state, spec.resolution));
        }
        rise(spec, reading.at, &states, says)
    }
}

fn is_read(device: &Device, at: Timestamp) -> bool {
    device.last().is_some_and(|last| at.since(last) < SILENT)
}
