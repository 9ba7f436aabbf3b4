//! The places that an incident covers, and the distance of another alert from them.

use std::collections::BTreeSet;

use super::member::{Member, Missing};
use crate::detect::Family;
use crate::site::Spot;
use crate::subject::Subject;

/// The devices and places of an incident's alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// Racks, and devices that are in no rack.
    places: BTreeSet<String>,
    pub(super) devices: BTreeSet<Subject>,
    pub(super) racks: BTreeSet<String>,
    rows: BTreeSet<String>,
    coolers: BTreeSet<String>,
    pub(super) rooms: BTreeSet<String>,
    /// Sensors of agents and targets without data.
    pub(super) missing: usize,
    /// Subjects that are agents or targets with missing sensors.
    silent: usize,
}

/// The closest place that an alert shares with an incident, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Near {
    Device,
    Rack,
    Cooler,
    Row,
    Room,
}

impl Reach {
    /// Adds the places of another alert.
    pub(super) fn add(&mut self, member: &Member) {
        let Spot {
            rack,
            row,
            room,
            coolers,
        } = &member.spot;
        self.places.insert(member.place().to_owned());
        let is_new = self.devices.insert(member.device.clone());
        let named = [
            (&mut self.racks, rack),
            (&mut self.rows, row),
            (&mut self.rooms, room),
        ];
        for (set, name) in named {
            if !name.is_empty() {
                set.insert(name.clone());
            }
        }
        self.coolers.extend(coolers.iter().cloned());
        if let Some(missing) = &member.missing {
            self.racks.extend(missing.racks.iter().cloned());
            self.rows.extend(missing.rows.iter().cloned());
            self.rooms.extend(missing.rooms.iter().cloned());
            if is_new {
                self.missing += missing.sensors;
                self.silent += 1;
            }
        }
    }

    /// Returns the number of sensors with alerts. Where missing data is the trouble, those of agents and targets count;
    /// elsewhere they may be the same ones.
    pub(super) fn sensors(&self, family: Family) -> usize {
        let own = self.devices.len() - self.silent;
        match family {
            Family::NoData => own + self.missing,
            Family::Heat | Family::Cold | Family::Sensor => own,
        }
    }

    /// Returns the racks, and the devices that are in no rack.
    pub(super) fn places(&self) -> impl Iterator<Item = String> {
        self.places.iter().cloned()
    }

    /// Returns whether a rack, or a device in no rack, is covered.
    pub(super) fn has_place(&self, place: &str) -> bool {
        self.places.contains(place)
    }

    /// Returns whether the incident covers the rack of an alert, or all racks of the sensors that are missing.
    pub(super) fn has_rack(&self, member: &Member) -> bool {
        self.racks.contains(&member.spot.rack)
            || member.missing.as_ref().is_some_and(|missing| {
                !missing.racks.is_empty() && missing.racks.is_subset(&self.racks)
            })
    }

    /// Returns whether the incident covers several racks.
    pub(super) fn has_spread(&self) -> bool {
        self.racks.len() > 1
    }

    /// Returns the nearest larger place that a location shares: a cooler, a row or a room.
    pub(super) fn shared_area(&self, member: &Member) -> Option<Near> {
        let spot = &member.spot;
        let shares = |own: &BTreeSet<String>, named: fn(&Missing) -> &BTreeSet<String>| {
            let missing = member.missing.as_ref();
            missing.is_some_and(|missing| !named(missing).is_disjoint(own))
        };
        let has_cooler = |cooler: &String| self.coolers.contains(cooler);
        if spot.coolers.iter().any(has_cooler) {
            Some(Near::Cooler)
        } else if self.rows.contains(&spot.row) || shares(&self.rows, |missing| &missing.rows) {
            Some(Near::Row)
        } else {
            let in_room = self.rooms.contains(&spot.room);
            (in_room || shares(&self.rooms, |missing| &missing.rooms)).then_some(Near::Room)
        }
    }
}
