//! Aggregates of each rack's current temperatures.

use std::collections::BTreeMap;
use std::time::Duration;

use super::device::Devices;
use crate::device::Role;
use crate::indices::{Aggregate, Envelope};

/// The age from which a reading no longer counts, unless three intervals of its device are longer.
const MAX_AGE: Duration = Duration::from_mins(2);

/// Returns the sums of each (zone, rack) over the inlets and exhausts with a present reading, and the number of those
/// without one. `listened` is the present count of listening, in milliseconds.
pub(super) fn of(
    devices: &Devices,
    listened: u64,
    envelope: &Envelope,
) -> BTreeMap<(String, String), Aggregate> {
    let newest = devices.values().filter_map(|device| device.last_read());
    let newest = newest.max().unwrap_or_default();
    let mut racks: BTreeMap<(String, String), Aggregate> = BTreeMap::new();
    for (id, device) in devices {
        let (role, u) = device.role_and_height();
        let is_unknown = device.is_undescribed();
        if !is_unknown && !matches!(role, Role::Inlet | Role::Exhaust) {
            continue;
        }
        let Some(rack) = device.zone_and_rack(id) else {
            continue;
        };
        let aggregates = racks.entry(rack).or_default();
        let value = device.present_value(newest, listened, MAX_AGE);
        match (role, value.filter(|_| !is_unknown)) {
            (Role::Exhaust, Some(value)) => aggregates.exhaust(value),
            (Role::Exhaust, None) => aggregates.missing_exhaust(),
            (_, Some(value)) => aggregates.inlet(value, u, envelope),
            (_, None) => aggregates.missing_inlet(),
        }
    }
    racks
        .into_iter()
        .map(|(rack, aggregates)| (rack, aggregates.of_rack()))
        .collect()
}
