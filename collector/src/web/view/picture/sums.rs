//! What the sensors of racks, rows and rooms come to.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::indices::Aggregate;
use rackwatch_core::site::Spot;

use super::{Picture, RackRow, Scope, Seen};

impl Picture {
    /// Every rack, by room, row and name.
    pub fn racks(&self) -> Vec<RackRow> {
        let mut racks: BTreeMap<&str, Vec<(&DeviceId, &Seen)>> = BTreeMap::new();
        for (id, seen) in &self.devices {
            racks.entry(&seen.spot.rack).or_default().push((id, seen));
        }
        racks.remove("");
        let mut rows: Vec<_> = racks
            .into_iter()
            .map(|(rack, devices)| self.sum_up(rack, &devices))
            .collect();
        rows.sort_by(|a, b| (&a.room, &a.row, &a.rack).cmp(&(&b.room, &b.row, &b.rack)));
        rows
    }

    /// These racks, in no order.
    pub fn some_racks(&self, wanted: &BTreeSet<String>) -> Vec<RackRow> {
        let mut racks: BTreeMap<&str, Vec<(&DeviceId, &Seen)>> = BTreeMap::new();
        for (id, seen) in &self.devices {
            if wanted.contains(&seen.spot.rack) {
                racks.entry(&seen.spot.rack).or_default().push((id, seen));
            }
        }
        let each = racks.into_iter();
        each.map(|(rack, devices)| self.sum_up(rack, &devices))
            .collect()
    }

    fn sum_up(&self, rack: &str, devices: &[(&DeviceId, &Seen)]) -> RackRow {
        let spot = devices.first().map(|(_, seen)| seen.spot.clone());
        let spot = spot.unwrap_or_default();
        let of_role = |role: Role| {
            let each = devices.iter().filter(move |(_, seen)| seen.role() == role);
            each.filter_map(|(_, seen)| Some(seen.good()?.degrees()))
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
                .filter(|(_, seen)| seen.fault.is_some())
                .count(),
            inlet_min: of_role(Role::Inlet).reduce(f64::min),
            inlet_max: of_role(Role::Inlet).reduce(f64::max),
            delta_t: mean(Role::Exhaust)
                .zip(mean(Role::Inlet))
                .map(|(exhaust, inlet)| exhaust - inlet),
            severity: devices.iter().filter_map(|(id, _)| self.severity(id)).max(),
            open: open.map(BTreeMap::len).sum(),
            at: devices.iter().filter_map(|(_, seen)| seen.at).max(),
        }
    }

    /// Numbers of the site, and of each room and row.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut racks: BTreeMap<[&str; 3], Aggregate> = BTreeMap::new();
        for seen in self.devices.values() {
            let Some(value) = seen.good() else { continue };
            let Spot {
                rack, row, room, ..
            } = &seen.spot;
            if rack.is_empty() {
                continue;
            }
            let sums = racks.entry([rack, row, room]).or_default();
            match seen.role() {
                Role::Inlet => sums.inlet(value.degrees(), seen.known.u, &self.envelope),
                Role::Exhaust => sums.exhaust(value.degrees()),
                _ => {}
            }
        }
        let mut scopes: BTreeMap<(&'static str, String), Aggregate> = BTreeMap::new();
        for ([_, row, room], sums) in racks {
            let sums = sums.of_rack();
            for (scope, name) in [("site", ""), ("room", room), ("row", row)] {
                if scope == "site" || !name.is_empty() {
                    let all = scopes.entry((scope, name.to_owned())).or_default();
                    all.add(&sums);
                }
            }
        }
        let order = |scope: &str| ["site", "room", "row"].iter().position(|s| *s == scope);
        let mut rows: Vec<_> = scopes
            .into_iter()
            .map(|((scope, name), sums)| Scope {
                scope,
                name,
                indices: sums.indices(&self.envelope),
            })
            .collect();
        rows.sort_by(|a, b| (order(a.scope), &a.name).cmp(&(order(b.scope), &b.name)));
        rows
    }
}
