//! A checked site, which places devices and racks.

use globset::GlobMatcher;

use super::error::{SiteError, TablePlace};
use super::file::{RawDevices, RawRacks, RawSite};
use super::spot::Spot;
use crate::alert::AlertRecord;
use crate::device::{Description, DeviceId};

/// Most tables of one name in a site file: each is matched against each device.
const MAX_TABLES: usize = 10_000;

/// A site with compiled globs and valid names.
#[derive(Clone, Debug, Default)]
pub struct Site {
    racks: Vec<(Vec<GlobMatcher>, RawRacks)>,
    devices: Vec<Devices>,
}

/// A `[[devices]]` table with compiled globs.
#[derive(Clone, Debug)]
struct Devices {
    hosts: Vec<GlobMatcher>,
    agents: Vec<GlobMatcher>,
    targets: Vec<GlobMatcher>,
    ids: Vec<GlobMatcher>,
    table: RawDevices,
}

impl Site {
    /// Checks the content of a site file.
    ///
    /// # Errors
    ///
    /// Fails if a glob is invalid, if a name is empty or too long, if a table names no racks or devices, or if there are
    /// too many tables.
    pub fn new(raw: &RawSite) -> Result<Self, SiteError> {
        for (table, count) in [("racks", raw.racks.len()), ("devices", raw.devices.len())] {
            if count > MAX_TABLES {
                return Err(TablePlace(table, MAX_TABLES).error("*", None, "too many tables"));
            }
        }
        let racks = raw.racks.iter().enumerate().map(|(index, racks)| {
            let place = TablePlace("racks", index);
            if racks.rack.is_empty() {
                return Err(place.error("rack", None, "no racks named"));
            }
            place.names("row", racks.row.as_slice())?;
            place.names("room", racks.room.as_slice())?;
            place.names("cooler", racks.cooler.as_deref().unwrap_or_default())?;
            Ok((place.globs("rack", &racks.rack)?, racks.clone()))
        });
        let devices = raw.devices.iter().enumerate().map(|(index, table)| {
            let place = TablePlace("devices", index);
            let globs = [&table.host, &table.agent, &table.target, &table.device];
            if globs.iter().all(|globs| globs.is_empty()) {
                let why = "no devices named: set host, agent, target or device";
                return Err(place.error("host", None, why));
            }
            place.names("rack", table.rack.as_slice())?;
            place.names("name", table.name.as_slice())?;
            place.names("row", table.row.as_slice())?;
            place.names("room", table.room.as_slice())?;
            place.names("cooler", table.cooler.as_deref().unwrap_or_default())?;
            Ok(Devices {
                hosts: place.globs("host", &table.host)?,
                agents: place.globs("agent", &table.agent)?,
                targets: place.globs("target", &table.target)?,
                ids: place.globs("device", &table.device)?,
                table: table.clone(),
            })
        });
        Ok(Self {
            racks: racks.collect::<Result<_, _>>()?,
            devices: devices.collect::<Result<_, _>>()?,
        })
    }

    /// Overrides the description of a device. Returns whether the site has a table for it.
    pub fn place(&self, id: &DeviceId, known: &mut Description) -> bool {
        let mut is_placed = false;
        for devices in &self.devices {
            if !devices.matches(id, Some(known)) {
                continue;
            }
            let table = &devices.table;
            is_placed = true;
            if let Some(rack) = &table.rack {
                known.rack = Some(rack.clone());
            }
            if let Some(name) = &table.name {
                known.name.clone_from(name);
            }
            known.u = table.u.or(known.u);
            known.role = table.role.unwrap_or(known.role);
            known.limits = table.limits.unwrap_or(known.limits);
        }
        is_placed
    }

    /// Returns the location of a device. `known` is the description that its agent wrote.
    pub fn spot(&self, id: &DeviceId, known: Option<&Description>) -> Spot {
        let mut own = RawDevices::default();
        for Devices { table, .. } in self.devices.iter().filter(|d| d.matches(id, known)) {
            override_with(&mut own.rack, table.rack.as_ref());
            override_with(&mut own.row, table.row.as_ref());
            override_with(&mut own.room, table.room.as_ref());
            override_with(&mut own.cooler, table.cooler.as_ref());
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

    /// Returns the location of an alert. `known` describes its device. An agent is where all its devices are.
    pub fn spot_of(&self, alert: &AlertRecord, known: Option<&Description>) -> Spot {
        let zone = known.map_or(Description::DEFAULT_ZONE, Description::zone);
        if known.is_none() && !alert.rack.is_empty() {
            return self.spot_of_rack(&alert.rack, zone);
        }
        self.spot(alert.subject.as_id(), known)
    }

    /// Returns the location of a rack, whose name may be empty. `zone` is the room if the site names none.
    pub fn spot_of_rack(&self, rack: &str, zone: &str) -> Spot {
        let (mut row, mut room, mut coolers) = (None, None, None);
        let matching = self
            .racks
            .iter()
            .filter(|(globs, _)| !rack.is_empty() && globs.iter().any(|glob| glob.is_match(rack)));
        for (_, table) in matching {
            override_with(&mut row, table.row.as_ref());
            override_with(&mut room, table.room.as_ref());
            override_with(&mut coolers, table.cooler.as_ref());
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

fn override_with<T: Clone>(current: &mut Option<T>, later: Option<&T>) {
    if let Some(later) = later {
        *current = Some(later.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Role;

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
    fn the_site_wins_over_the_agent_and_later_tables_win_over_earlier_ones() {
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
    fn without_a_site_the_zone_is_the_room_and_the_id_names_the_rack() {
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
    fn a_fault_is_reported_with_its_place() {
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
            wrong(&raw).starts_with("devices[0].device = \"cpu-[\": not a valid glob"),
            "{}",
            wrong(&raw)
        );
        raw.devices[0].device = vec!["cpu-*".to_owned()];
        raw.devices[0].rack = Some(" ".to_owned());
        assert!(wrong(&raw).starts_with("devices[0].rack = \" \""));
    }
}
