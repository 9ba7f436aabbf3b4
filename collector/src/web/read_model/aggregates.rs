//! Aggregates of racks, and indices of rows, rooms and the site.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::device::{DataState, DeviceId, Role};
use rackwatch_core::indices::Aggregate;
use rackwatch_core::site::Spot;

use super::rows::{RackRow, Scope};
use super::{KnownDevice, ReadModel};

impl ReadModel {
    /// Returns all racks, sorted by room, row and name.
    pub(crate) fn racks(&self) -> Vec<RackRow> {
        let mut racks: BTreeMap<&str, Vec<(&DeviceId, &KnownDevice)>> = BTreeMap::new();
        for (id, device) in &self.devices {
            racks
                .entry(&device.spot.rack)
                .or_default()
                .push((id, device));
        }
        racks.remove("");
        let mut rows: Vec<_> = racks
            .into_iter()
            .map(|(rack, devices)| self.rack_row(rack, &devices))
            .collect();
        rows.sort_by(|a, b| (&a.room, &a.row, &a.rack).cmp(&(&b.room, &b.row, &b.rack)));
        rows
    }

    /// Returns the named racks, in no order.
    pub(crate) fn some_racks(&self, names: &BTreeSet<String>) -> Vec<RackRow> {
        let mut racks: BTreeMap<&str, Vec<(&DeviceId, &KnownDevice)>> = BTreeMap::new();
        for (id, device) in &self.devices {
            if names.contains(&device.spot.rack) {
                racks
                    .entry(&device.spot.rack)
                    .or_default()
                    .push((id, device));
            }
        }
        let each = racks.into_iter();
        each.map(|(rack, devices)| self.rack_row(rack, &devices))
            .collect()
    }

    /// Aggregates the devices of a rack.
    fn rack_row(&self, rack: &str, devices: &[(&DeviceId, &KnownDevice)]) -> RackRow {
        let spot = devices.first().map(|(_, device)| device.spot.clone());
        let spot = spot.unwrap_or_default();
        let of_role = |role: Role| {
            let each = devices
                .iter()
                .filter(move |(_, device)| device.role() == role);
            each.filter_map(|(_, device)| Some(device.good_value()?.degrees()))
        };
        let mean = |role| {
            let values: Vec<f64> = of_role(role).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let open = devices.iter().filter_map(|(id, _)| self.open.get(*id));
        RackRow {
            rack: rack.to_owned(),
            row: spot.row,
            room: spot.room,
            sensors: devices.len(),
            faults: devices
                .iter()
                .filter(|(_, device)| device.state == DataState::Faulty)
                .count(),
            stale: devices
                .iter()
                .filter(|(_, device)| device.state == DataState::Stale)
                .count(),
            inlet_min: of_role(Role::Inlet).reduce(f64::min),
            inlet_max: of_role(Role::Inlet).reduce(f64::max),
            delta_t: mean(Role::Exhaust)
                .zip(mean(Role::Inlet))
                .map(|(exhaust, inlet)| exhaust - inlet),
            severity: devices.iter().filter_map(|(id, _)| self.severity(id)).max(),
            open: open.map(BTreeMap::len).sum(),
            at: devices.iter().filter_map(|(_, device)| device.at).max(),
        }
    }

    /// Returns the indices of the site, then of each room, then of each row.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut racks: BTreeMap<[&str; 3], Aggregate> = BTreeMap::new();
        for device in self.devices.values() {
            let Some(value) = device.good_value() else {
                continue;
            };
            let Spot {
                rack, row, room, ..
            } = &device.spot;
            if rack.is_empty() {
                continue;
            }
            let aggregate = racks.entry([rack, row, room]).or_default();
            match device.role() {
                Role::Inlet => aggregate.inlet(value.degrees(), device.known.u, &self.envelope),
                Role::Exhaust => aggregate.exhaust(value.degrees()),
                _ => {}
            }
        }
        let mut scopes: BTreeMap<(&'static str, String), Aggregate> = BTreeMap::new();
        for ([_, row, room], rack) in racks {
            let aggregate = rack.of_rack();
            for (scope, name) in [("site", ""), ("room", room), ("row", row)] {
                if scope == "site" || !name.is_empty() {
                    let all = scopes.entry((scope, name.to_owned())).or_default();
                    all.add(&aggregate);
                }
            }
        }
        let order = |scope: &str| ["site", "room", "row"].iter().position(|s| *s == scope);
        let mut rows: Vec<_> = scopes
            .into_iter()
            .map(|((scope, name), aggregate)| Scope {
                scope,
                name,
                indices: aggregate.indices(&self.envelope),
            })
            .collect();
        rows.sort_by(|a, b| (order(a.scope), &a.name).cmp(&(order(b.scope), &b.name)));
        rows
    }
}
