//! The sensors of a BMC: their identities, roles and descriptions. Pure.

use std::collections::{HashMap, HashSet};

use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::units::Kelvin;

use super::output::Row;
use crate::source::DiscoveredDevice;
use crate::source::component::{self, device_id, unique};
use crate::source::target::TargetIdentity;

/// Nearly all BMCs round to whole degrees.
const RESOLUTION: Kelvin = Kelvin(1.0);

/// The identity of a sensor among those of its BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SensorKey {
    /// Sensor number, with entity and instance if they are known.
    Number(u8, Option<(u8, u8)>),
    /// Name, with the number of earlier sensors of that name.
    Name(String, usize),
}

impl SensorKey {
    /// Returns the last part of the device id.
    fn id_part(&self) -> String {
        match self {
            Self::Number(number, Some((entity, instance))) => {
                format!("{number:02x}h_{entity}.{instance}")
            }
            Self::Number(number, None) => format!("{number:02x}h"),
            Self::Name(name, 0) => name.clone(),
            Self::Name(name, n) => format!("{name}.{}", n + 1),
        }
    }
}

/// Pairs each row with its identity.
pub(super) fn keyed(rows: &[Row]) -> impl Iterator<Item = (&Row, SensorKey)> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    rows.iter().map(move |row| {
        let before = names.entry(&row.name).or_default();
        let key = match row.number {
            Some(number) => SensorKey::Number(number, row.entity),
            None => SensorKey::Name(row.name.clone(), *before),
        };
        *before += 1;
        (row, key)
    })
}

/// Describes the sensors in `rows`. Limits and ranges come from `verbose`, the rows of a more
/// detailed command that lacks numbers.
pub(super) fn describe(
    bmc: &TargetIdentity,
    rows: &[Row],
    verbose: &[Row],
) -> Vec<(DiscoveredDevice, SensorKey)> {
    let mut taken = HashSet::new();
    let mut sensors = Vec::new();
    for (row, key) in keyed(rows) {
        let same = |other: &&Row| other.name == row.name && other.entity == row.entity;
        let detailed = verbose.iter().find(same).unwrap_or(row);
        let device = device(bmc, row, &key, &mut taken);
        let description = Description {
            host: bmc.name.clone(),
            target: bmc.name.clone(),
            source: "ipmi".to_owned(),
            name: row.name.clone(),
            role: role(row),
            interval: bmc.interval,
            resolution: Some(RESOLUTION),
            limits: detailed.limits,
            range: detailed.range,
            verdict: row.verdict,
            rack: bmc.rack.clone(),
            u: bmc.u,
            ..Description::default()
        };
        let discovered = DiscoveredDevice {
            device,
            description,
        };
        sensors.push((discovered, key));
    }
    sensors
}

fn device(
    bmc: &TargetIdentity,
    row: &Row,
    key: &SensorKey,
    taken: &mut HashSet<DeviceId>,
) -> DeviceId {
    unique(&device_id(role(row), &bmc.name, &key.id_part()), taken)
}

/// Returns a sensor's role: by its name, else by its entity (IPMI 2.0, table 43-13; DCMI 1.5,
/// table 6-10).
fn role(row: &Row) -> Role {
    let by_name = component::role_on_board(&row.name);
    if by_name != Role::Other {
        return by_name;
    }
    match row.entity {
        Some((3 | 65, _)) => Role::Cpu,
        Some((4, _)) => Role::Disk,
        Some((8 | 32, _)) => Role::Memory,
        Some((55 | 64, _)) => Role::Inlet,
        _ => Role::Other,
    }
}
