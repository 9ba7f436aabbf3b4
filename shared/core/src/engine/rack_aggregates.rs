//! Aggregates of each rack's current temperatures.

use std::collections::BTreeMap;
use std::time::Duration;

use super::device::Devices;
use crate::device::Role;
use crate::indices::{Aggregate, Envelope};

/// The age, relative to the newest reading of all, from which a reading no longer counts.
const MAX_AGE: Duration = Duration::from_mins(2);

/// Returns the sums of each (zone, rack) over the inlets and exhausts with a current reading.
pub(super) fn of(devices: &Devices, envelope: &Envelope) -> BTreeMap<(String, String), Aggregate> {
    let newest = devices.values().filter_map(|device| device.last_read());
    let newest = newest.max().unwrap_or_default();
    let mut racks: BTreeMap<(String, String), Aggregate> = BTreeMap::new();
    for (id, device) in devices {
        let (role, u) = device.role_and_height();
        let is_current = device
            .last_read()
            .is_some_and(|at| newest.since(at) < MAX_AGE);
        let Some(value) = device.value().filter(|_| is_current) else {
            continue;
        };
        if !matches!(role, Role::Inlet | Role::Exhaust) {
            continue;
        }
        let Some(rack) = device.zone_and_rack(id) else {
            continue;
        };
        let aggregates = racks.entry(rack).or_default();
        match role {
            Role::Exhaust => aggregates.exhaust(value),
            _ => aggregates.inlet(value, u, envelope),
        }
    }
    racks
        .into_iter()
        .map(|(rack, aggregates)| (rack, aggregates.of_rack()))
        .collect()
}
