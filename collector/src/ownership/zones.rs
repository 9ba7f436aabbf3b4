//! The partition of a device, agent or entry: by the zone that agents describe.

use std::collections::BTreeMap;

use rackwatch_core::device::Description;
use rackwatch_core::keys;
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_core::subject::Subject;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::RedisResult;

/// Zones of devices and agents.
#[derive(Debug)]
pub(crate) struct Zones {
    devices: BTreeMap<String, String>,
    agents: BTreeMap<String, String>,
}

impl Zones {
    /// Reads the descriptions of all devices.
    pub(crate) async fn read(connection: &mut Connection) -> RedisResult<Self> {
        let mut zones = Self {
            devices: BTreeMap::new(),
            agents: BTreeMap::new(),
        };
        for (device, json) in scan_hash(connection, keys::DEVICES).await? {
            let described = Description::from_json(&json).unwrap_or_default();
            let zone = described.zone().to_owned();
            // Alerts about agents and targets have an id in place of a device's.
            let own = Subject::agent(&described.agent);
            let target = Subject::target(&described.target);
            zones.devices.insert(own.to_string(), zone.clone());
            zones.devices.insert(target.to_string(), zone.clone());
            zones.agents.insert(described.agent, zone.clone());
            zones.devices.insert(device, zone);
        }
        Ok(zones)
    }

    /// Returns the partition of a device; that of the default zone if it has no description.
    pub(crate) fn of_device(&self, to: Partitions, device: &str) -> PartitionId {
        let zone = self.devices.get(device).map(String::as_str);
        to.of_zone(zone.unwrap_or(Description::DEFAULT_ZONE))
    }

    /// Returns the partition of an agent; that of the default zone if it has described no device.
    pub(crate) fn of_agent(&self, to: Partitions, agent: &str) -> PartitionId {
        let zone = self.agents.get(agent).map(String::as_str);
        to.of_zone(zone.unwrap_or(Description::DEFAULT_ZONE))
    }

    /// Returns the partition of an entry by its agent, or else its device.
    pub(crate) fn of_entry(&self, to: Partitions, fields: &[(Vec<u8>, Vec<u8>)]) -> PartitionId {
        let text = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted.as_bytes());
            found.and_then(|(_, value)| std::str::from_utf8(value).ok())
        };
        match (text("agent"), text("device_id")) {
            (Some(agent), _) => self.of_agent(to, agent),
            (None, Some(device)) => self.of_device(to, device),
            (None, None) => to.of_zone(Description::DEFAULT_ZONE),
        }
    }
}
