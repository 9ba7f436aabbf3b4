//! The site: where devices stand and what cools them, as the operator says it once for all agents.
//!
//! What it says beats what agents say of their devices, and that beats what an id tells. Later entries
//! beat earlier ones, key by key.

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::alert::AlertRecord;
use crate::device::{Description, DeviceId, HardwareLimits, Role};

/// A site file as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSite {
    /// Racks: where they stand, and what cools them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<RawRacks>,
    /// Devices: where they are, and what they measure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<RawDevices>,
}

/// One `[[racks]]` table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRacks {
    /// Racks whose name matches one of these globs.
    pub rack: Vec<String>,
    /// The row they stand in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The coolers that feed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooler: Option<Vec<String>>,
}

/// One `[[devices]]` table. All of `host`, `agent`, `target` and `device` that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDevices {
    /// Devices on a host that matches one of these globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<String>,
    /// Devices that such an agent reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent: Vec<String>,
    /// Devices of such a target: a BMC, a cooler.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<String>,
    /// Devices with such an id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<String>,
    /// The rack they are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u: Option<u16>,
    /// What they measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What people call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Limits in the place of those that the hardware reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<HardwareLimits>,
    /// The row, where there is no rack, or another than the rack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The room, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The coolers that feed the place, or whose own sensors these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooler: Option<Vec<String>>,
}

/// A site that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table}[{index}].{key}{}: {why}", value.as_ref().map_or_else(String::new, |v| format!(" = {v:?}")))]
pub struct SiteError {
    /// `racks` or `devices`.
    pub table: &'static str,
    /// Which of them, from 0.
    pub index: usize,
    /// The key.
    pub key: &'static str,
    /// What it says.
    pub value: Option<String>,
    /// What is wrong with that.
    pub why: String,
}

/// Where something stands, as far as it is known; empty where it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spot {
    /// The rack.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rack: String,
    /// The row.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub row: String,
    /// The room; the agent's zone where no site says better.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// The coolers that feed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coolers: Vec<String>,
}

/// A checked site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    racks: Vec<(Vec<GlobMatcher>, RawRacks)>,
    devices: Vec<Devices>,
}

#[derive(Clone, Debug)]
struct Devices {
    hosts: Vec<GlobMatcher>,
    agents: Vec<GlobMatcher>,
    targets: Vec<GlobMatcher>,
    ids: Vec<GlobMatcher>,
    says: RawDevices,
}

/// The longest name of a rack, row, room or cooler, in bytes.
const LONGEST_NAME: usize = 128;
/// The most entries of a site file: each is looked at for each device.
const MOST: usize = 10_000;

impl Site {
    /// Checks what a file says.
    ///
    /// # Errors
    ///
    /// When a glob is none, a name is empty or too long, or an entry would match everything or say
    /// nothing.
    pub fn new(raw: &RawSite) -> Result<Self, SiteError> {
        for (table, count) in [("racks", raw.racks.len()), ("devices", raw.devices.len())] {
            if count > MOST {
                return Err(Place(table, MOST).wrong("*", None, "too many entries"));
            }
        }
        let racks = raw.racks.iter().enumerate().map(|(index, racks)| {
            let place = Place("racks", index);
            if racks.rack.is_empty() {
                return Err(place.wrong("rack", None, "names no rack"));
            }
            place.names("row", racks.row.as_slice())?;
            place.names("room", racks.room.as_slice())?;
            place.names("cooler", racks.cooler.as_deref().unwrap_or_default())?;
            Ok((place.globs("rack", &racks.rack)?, racks.clone()))
        });
        let devices = raw.devices.iter().enumerate().map(|(index, says)| {
            let place = Place("devices", index);
            let who = [&says.host, &says.agent, &says.target, &says.device];
            if who.iter().all(|globs| globs.is_empty()) {
                let why = "is missing, and so are agent, target and device: which devices?";
                return Err(place.wrong("host", None, why));
            }
            place.names("rack", says.rack.as_slice())?;
            place.names("name", says.name.as_slice())?;
            place.names("row", says.row.as_slice())?;
            place.names("room", says.room.as_slice())?;
            place.names("cooler", says.cooler.as_deref().unwrap_or_default())?;
            Ok(Devices {
                hosts: place.globs("host", &says.host)?,
                agents: place.globs("agent", &says.agent)?,
                targets: place.globs("target", &says.target)?,
                ids: place.globs("device", &says.device)?,
                says: says.clone(),
            })
        });
        Ok(Self {
            racks: racks.collect::<Result<_, _>>()?,
            devices: devices.collect::<Result<_, _>>()?,
        })
    }

    /// Says nothing.
    pub fn is_empty(&self) -> bool {
        self.racks.is_empty() && self.devices.is_empty()
    }

    /// Lays what the site says of a device over what is known of it; whether it says anything.
    pub fn place(&self, id: &DeviceId, known: &mut Description) -> bool {
        let mut said = false;
        for devices in &self.devices {
            if !devices.matches(id, Some(known)) {
                continue;
            }
            let says = &devices.says;
            said = true;
            if let Some(rack) = &says.rack {
                known.rack = Some(rack.clone());
            }
            if let Some(name) = &says.name {
                known.name.clone_from(name);
            }
            known.u = says.u.or(known.u);
            known.role = says.role.unwrap_or(known.role);
            known.limits = says.limits.unwrap_or(known.limits);
        }
        said
    }

    /// Where a device stands; `known` is what its agent says of it.
    pub fn spot(&self, id: &DeviceId, known: Option<&Description>) -> Spot {
        let mut own = RawDevices::default();
        for Devices { says, .. } in self.devices.iter().filter(|d| d.matches(id, known)) {
            lay(&mut own.rack, says.rack.as_ref());
            lay(&mut own.row, says.row.as_ref());
            lay(&mut own.room, says.room.as_ref());
            lay(&mut own.cooler, says.cooler.as_ref());
        }
        let rack = own.rack.or_else(|| match known {
            Some(known) => known.rack.clone(),
            None => id.rack_part().map(str::to_owned),
        });
        let zone = known.map_or(Description::DEFAULT_ZONE, Description::zone);
        let spot = self.spot_of_rack(rack.as_deref().unwrap_or_default(), zone);
        Spot {
            row: own.row.unwrap_or(spot.row),
            room: own.room.unwrap_or(spot.room),
            coolers: own.cooler.unwrap_or(spot.coolers),
            rack: spot.rack,
        }
    }

    /// Where an alert is; `known` is what is known of its device. An agent is where all of its devices are.
    pub fn spot_of(&self, alert: &AlertRecord, known: Option<&Description>) -> Spot {
        let zone = known.map_or(Description::DEFAULT_ZONE, Description::zone);
        if known.is_none() && !alert.rack.is_empty() {
            return self.spot_of_rack(&alert.rack, zone);
        }
        self.spot(alert.subject.as_id(), known)
    }

    /// Where a rack stands; it may be empty. `zone` is the room where the site names none.
    pub fn spot_of_rack(&self, rack: &str, zone: &str) -> Spot {
        let (mut row, mut room, mut coolers) = (None, None, None);
        let matching = self
            .racks
            .iter()
            .filter(|(globs, _)| !rack.is_empty() && globs.iter().any(|glob| glob.is_match(rack)));
        for (_, says) in matching {
            lay(&mut row, says.row.as_ref());
            lay(&mut room, says.room.as_ref());
            lay(&mut coolers, says.cooler.as_ref());
        }
        Spot {
            rack: rack.to_owned(),
            row: row.unwrap_or_default(),
            room: room.unwrap_or_else(|| zone.to_owned()),
            coolers: coolers.unwrap_or_default(),
        }
    }
}

impl Devices {
    fn matches(&self, id: &DeviceId, known: Option<&Description>) -> bool {
        let matches = |globs: &[GlobMatcher], text: &str| {
            globs.is_empty() || globs.iter().any(|glob| glob.is_match(text))
        };
        let of = |part: fn(&Description) -> &str| known.map_or("", part);
        matches(&self.hosts, of(|known| &known.host))
            && matches(&self.agents, of(|known| &known.agent))
            && matches(&self.targets, of(|known| &known.target))
            && matches(&self.ids, id.as_str())
    }
}

fn lay<T: Clone>(over: &mut Option<T>, says: Option<&T>) {
    if let Some(says) = says {
        *over = Some(says.clone());
    }
}

/// Where in the file something is.
struct Place(&'static str, usize);

impl Place {
    fn wrong(&self, key: &'static str, value: Option<&str>, why: &str) -> SiteError {
        SiteError {
            table: self.0,
            index: self.1,
            key,
            value: value.map(str::to_owned),
            why: why.to_owned(),
        }
    }

    fn globs(&self, key: &'static str, texts: &[String]) -> Result<Vec<GlobMatcher>, SiteError> {
        let glob = |text: &String| match Glob::new(text) {
            Ok(glob) => Ok(glob.compile_matcher()),
            Err(error) => Err(self.wrong(key, Some(text), &format!("not a glob: {error}"))),
        };
        texts.iter().map(glob).collect()
    }

    fn names(&self, key: &'static str, names: &[String]) -> Result<(), SiteError> {
        let bad = |name: &&String| {
            name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control)
        };
        match names.iter().find(bad) {
            None => Ok(()),
            Some(name) => {
                let why = "a name has 1 to 128 visible characters";
                Err(self.wrong(key, Some(name), why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str) -> DeviceId {
        DeviceId::new(id).unwrap()
    }

    fn site() -> Site {
        let racks = |rack: &str, row: &str, cooler: &str| RawRacks {
            rack: vec![rack.to_owned()],
            row: Some(row.to_owned()),
            room: Some("hall 1".to_owned()),
            cooler: Some(vec![cooler.to_owned()]),
        };
        let raw = RawSite {
            racks: vec![racks("B*", "B", "crah-1"), racks("C*", "C", "crah-2")],
            devices: vec![
                RawDevices {
                    host: vec!["web-*".to_owned()],
                    rack: Some("B07".to_owned()),
                    role: Some(Role::Inlet),
                    ..RawDevices::default()
                },
                RawDevices {
                    host: vec!["web-9".to_owned()],
                    rack: Some("C01".to_owned()),
                    u: Some(12),
                    ..RawDevices::default()
                },
            ],
        };
        Site::new(&raw).unwrap()
    }

    #[test]
    fn the_site_beats_the_agent_and_later_entries_beat_earlier_ones() {
        let site = site();
        let of = |host: &str| Description {
            host: host.to_owned(),
            rack: Some("A1".to_owned()),
            role: Role::Other,
            ..Description::default()
        };
        let mut known = of("web-9");
        assert!(site.place(&device("cpu-web-9-1"), &mut known));
        assert_eq!(known.rack.as_deref(), Some("C01"));
        assert_eq!((known.u, known.role), (Some(12), Role::Inlet));
        let spot = site.spot(&device("cpu-web-9-1"), Some(&of("web-9")));
        assert_eq!((spot.row.as_str(), spot.room.as_str()), ("C", "hall 1"));
        assert_eq!(spot.coolers, ["crah-2"]);
        let spot = site.spot(&device("cpu-web-1-1"), Some(&of("web-1")));
        assert_eq!((spot.rack.as_str(), spot.row.as_str()), ("B07", "B"));
        let mut other = of("db-1");
        assert!(!site.place(&device("cpu-db-1-1"), &mut other));
        assert_eq!(other, of("db-1"));
    }

    #[test]
    fn without_a_site_the_zone_is_the_room_and_the_id_tells_the_rack() {
        let spot = Site::default().spot(&device("inrow-ABC-1"), None);
        assert_eq!((spot.rack.as_str(), spot.room.as_str()), ("ABC", "default"));
        let known = Description {
            zone: "hall-2".to_owned(),
            ..Description::default()
        };
        let spot = Site::default().spot(&device("cpu-web-1"), Some(&known));
        assert_eq!((spot.rack.as_str(), spot.room.as_str()), ("", "hall-2"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let wrong = |raw: &RawSite| Site::new(raw).unwrap_err().to_string();
        let mut raw = RawSite::default();
        raw.devices.push(RawDevices::default());
        assert!(
            wrong(&raw).starts_with("devices[0].host: "),
            "{}",
            wrong(&raw)
        );
        raw.devices[0].device = vec!["cpu-[".to_owned()];
        assert!(
            wrong(&raw).starts_with("devices[0].device = \"cpu-[\": not a glob"),
            "{}",
            wrong(&raw)
        );
        raw.devices[0].device = vec!["cpu-*".to_owned()];
        raw.devices[0].rack = Some(" ".to_owned());
        assert!(wrong(&raw).starts_with("devices[0].rack = \" \""));
    }
}
