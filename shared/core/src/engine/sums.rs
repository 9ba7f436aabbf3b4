//! What the sensors of each rack come to right now.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use crate::device::Role;
use crate::indices::{Aggregate, Envelope};

/// A device that has not been read for so long counts no more.
const OLD: Duration = Duration::from_mins(2);

impl Engine {
    /// The sums of each (zone, rack), of the inlets and exhausts that were read well within two minutes of the
    /// newest reading of all.
    pub fn sums(&self, envelope: &Envelope) -> BTreeMap<(String, String), Aggregate> {
        let newest = self.devices.values().filter_map(|device| device.last());
        let newest = newest.max().unwrap_or_default();
        let mut racks: BTreeMap<(String, String), Aggregate> = BTreeMap::new();
        for (id, device) in &self.devices {
            let (role, u) = device.stands();
            let read = device.last().is_some_and(|at| newest.since(at) < OLD);
            let Some(value) = device.value().filter(|_| read) else {
                continue;
            };
            if !matches!(role, Role::Inlet | Role::Exhaust) {
                continue;
            }
            let Some(rack) = device.rack(id) else {
                continue;
            };
            let sums = racks.entry(rack).or_default();
            match role {
                Role::Exhaust => sums.exhaust(value),
                _ => sums.inlet(value, u, envelope),
            }
        }
        racks
            .into_iter()
            .map(|(rack, sums)| (rack, sums.of_rack()))
            .collect()
    }
}
