//! The suspected cause of an incident: the smallest thing that all its alerts share.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::member::Member;
use crate::alert::AlertKind;
use crate::device::Role;
use crate::subject::Subject;

/// The smallest thing that all alerts share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", content = "cause_name", rename_all = "lowercase")]
pub enum Cause {
    /// One sensor, or the component that it measures.
    Sensor(String),
    /// One agent, or its host.
    Agent(String),
    /// One target of an agent: a host, a BMC, a cooler.
    Target(String),
    /// One rack of devices.
    Rack(String),
    /// The only cooler that feeds all the devices, or whose own supply air is wrong.
    Cooler(String),
    /// One row of racks.
    Row(String),
    /// One room of racks.
    Room(String),
    /// Nothing smaller than the whole site. The name is empty.
    Site(String),
}

impl Cause {
    /// Returns the kind and the name, as records carry them.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Sensor(name) => ("sensor", name),
            Self::Agent(name) => ("agent", name),
            Self::Target(name) => ("target", name),
            Self::Rack(name) => ("rack", name),
            Self::Cooler(name) => ("cooler", name),
            Self::Row(name) => ("row", name),
            Self::Room(name) => ("room", name),
            Self::Site(name) => ("site", name),
        }
    }

    /// Builds a cause from a record's kind and name. Returns none for an unknown kind.
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        let name = name.to_owned();
        Some(match kind {
            "sensor" => Self::Sensor(name),
            "agent" => Self::Agent(name),
            "target" => Self::Target(name),
            "rack" => Self::Rack(name),
            "cooler" => Self::Cooler(name),
            "row" => Self::Row(name),
            "room" => Self::Room(name),
            "site" => Self::Site(name),
            _ => return None,
        })
    }

    /// Returns the smallest thing that all members share.
    pub(super) fn suspect<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> Self {
        let devices: BTreeSet<_> = members.clone().map(|member| &member.device).collect();
        let runaway = members.clone().any(|m| m.kind == AlertKind::Runaway);
        if let (1, Some(device)) = (devices.len(), devices.first()) {
            match device {
                Subject::Agent(name) => return Self::Agent(name.to_string()),
                Subject::Target(name) => return Self::Target(name.to_string()),
                // The alert of one sensor stands for all of a rack that runs away.
                Subject::Sensor(_) if runaway => {}
                Subject::Sensor(device) => return Self::Sensor(device.to_string()),
            }
        }
        // Supply sensors of one cooler: its own air is wrong.
        let supply = members.clone().filter(|m| m.role == Role::Supply);
        let own: BTreeSet<_> = supply.flat_map(|member| &member.spot.coolers).collect();
        if let (1, Some(cooler)) = (own.len(), own.first()) {
            return Self::Cooler((*cooler).clone());
        }
        if let Some(rack) = common(members.clone().map(|m| &m.spot.rack)) {
            return Self::Rack(rack);
        }
        let mut feeding: Option<BTreeSet<&String>> = None;
        for member in members.clone() {
            let coolers = member.spot.coolers.iter().collect();
            feeding = Some(match feeding {
                None => coolers,
                Some(before) => before.intersection(&coolers).copied().collect(),
            });
        }
        let feeding = feeding.unwrap_or_default();
        if let (1, Some(cooler)) = (feeding.len(), feeding.first()) {
            return Self::Cooler((*cooler).clone());
        }
        if let Some(row) = common(members.clone().map(|m| &m.spot.row)) {
            return Self::Row(row);
        }
        match common(members.map(|m| &m.spot.room)) {
            Some(room) => Self::Room(room),
            None => Self::Site(String::new()),
        }
    }
}

/// Returns the name that all have in common, unless one differs or is empty.
fn common<'m>(mut names: impl Iterator<Item = &'m String>) -> Option<String> {
    let first = names.next().filter(|name| !name.is_empty())?;
    names.all(|name| name == first).then(|| first.clone())
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (_, "") => write!(f, "the site"),
            (kind, name) => write!(f, "{kind} {name}"),
        }
    }
}
