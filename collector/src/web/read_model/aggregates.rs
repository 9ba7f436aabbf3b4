//! Aggregates of racks, and indices of rows, rooms and the site.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::device::{DataState, DeviceId, Role};
use rackwatch_core::indices::{Aggregate, Envelope};
use rackwatch_core::site::Spot;
use rackwatch_core::units::Celsius;

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
        let mut aggregate = Aggregate::default();
        for (_, device) in devices.iter().filter(|(_, device)| device.is_counted()) {
            device.add_to(&mut aggregate, &self.envelope);
        }
        let in_state = |state| {
            let each = devices.iter();
            each.filter(|(_, device)| device.state == state).count()
        };
        let open = devices.iter().filter_map(|(id, _)| self.open.get(*id));
        RackRow {
            rack: rack.to_owned(),
            row: spot.row,
            room: spot.room,
            sensors: devices.len(),
            faults: in_state(DataState::Faulty),
            not_evaluated: in_state(DataState::NotEvaluated),
            stale: in_state(DataState::Stale),
            withdrawn: in_state(DataState::Withdrawn),
            inlet_min: of_role(Role::Inlet).reduce(f64::min),
            inlet_max: of_role(Role::Inlet).reduce(f64::max),
            delta_t: aggregate.indices(&self.envelope).delta_t,
            severity: devices.iter().filter_map(|(id, _)| self.severity(id)).max(),
            open: open.map(BTreeMap::len).sum(),
            at: devices.iter().filter_map(|(_, device)| device.at).max(),
        }
    }

    /// Returns the number of devices in each state of their data, by its name.
    pub(crate) fn states(&self) -> BTreeMap<&'static str, usize> {
        let all = DataState::ALL.into_iter();
        let mut states: BTreeMap<_, _> = all.map(|state| (state.name(), 0)).collect();
        for device in self.devices.values() {
            *states.entry(device.state.name()).or_default() += 1;
        }
        states
    }

    /// Returns the indices of the site, then of each room, then of each row, also of those without present values.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut scopes: BTreeMap<(&'static str, String), Aggregate> = BTreeMap::new();
        for ([_, row, room], rack) in self.rack_aggregates() {
            let rack = rack.of_rack();
            for (scope, name) in [("site", ""), ("room", room), ("row", row)] {
                if scope == "site" || !name.is_empty() {
                    let all = scopes.entry((scope, name.to_owned())).or_default();
                    all.add(&rack);
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

    /// Returns, by rack, row and room, the sums over present values and the number of sensors without one.
    fn rack_aggregates(&self) -> BTreeMap<[&str; 3], Aggregate> {
        let mut racks: BTreeMap<[&str; 3], Aggregate> = BTreeMap::new();
        for device in self.devices.values() {
            let Spot {
                rack, row, room, ..
            } = &device.spot;
            if !rack.is_empty() && device.is_counted() {
                let aggregate = racks.entry([rack, row, room]).or_default();
                device.add_to(aggregate, &self.envelope);
            }
        }
        racks
    }
}

impl KnownDevice {
    /// Returns whether indices count it. A device that nothing describes may be an inlet.
    fn is_counted(&self) -> bool {
        self.is_undescribed() || matches!(self.role(), Role::Inlet | Role::Exhaust)
    }

    /// Adds it to the sums of its rack, with its present value if there is one.
    fn add_to(&self, aggregate: &mut Aggregate, envelope: &Envelope) {
        match (self.role(), self.good_value().map(Celsius::degrees)) {
            (Role::Exhaust, Some(value)) => aggregate.exhaust(value),
            (Role::Exhaust, None) => aggregate.missing_exhaust(),
            (_, Some(value)) => aggregate.inlet(value, self.known.u, envelope),
            (_, None) => aggregate.missing_inlet(),
        }
    }
}
