//! Device descriptions, which Redis must have before a device's first reading.
//!
//! In: discovered devices, and the operator's settings, which override what a source assumes. Out:
//! the descriptions to write now: new and changed ones, each again after ten minutes, and all of
//! them after Redis lost some. A description stays pending until it is written.
//!
//! Pure: the caller writes, and passes the time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::name;
use rackwatch_runtime::host::HostIds;

use crate::config::{DeviceConfig, IdentityConfig};
use crate::name::Name;
use crate::source::{DiscoveredDevice, placeholder};

/// Time after which a description is written again, in case it was removed from Redis.
pub const REWRITE_EVERY: Duration = Duration::from_mins(10);

/// The devices of this agent, and when each description was last written to Redis.
#[derive(Debug)]
pub struct Inventory {
    agent: Name,
    zone: String,
    host: Name,
    ids: HostIds,
    rack: Option<String>,
    overrides: Vec<DeviceConfig>,
    devices: BTreeMap<DeviceId, InventoryDevice>,
    /// Last device that [`Inventory::probe`] returned.
    probed: Option<DeviceId>,
}

#[derive(Debug)]
struct InventoryDevice {
    description: Description,
    /// Time of the last write; `None` if Redis does not have this description.
    written: Option<Instant>,
}

impl Inventory {
    /// Returns an empty inventory of the agent `identity` on the machine with these `ids`;
    /// `overrides` are the operator's `[[devices]]` entries.
    pub fn new(identity: &IdentityConfig, ids: HostIds, overrides: Vec<DeviceConfig>) -> Self {
        Self {
            agent: identity.name.clone(),
            zone: identity.zone.clone(),
            host: identity.host.clone(),
            ids,
            rack: identity.rack.clone(),
            overrides,
            devices: BTreeMap::new(),
            probed: None,
        }
    }

    /// Returns whether `device` is published: the last matching entry that sets `off` decides.
    pub fn is_on(&self, device: &DeviceId) -> bool {
        let settings = self.matching(device).filter_map(|entry| entry.off);
        !settings.last().unwrap_or(false)
    }

    /// Adds and updates discovered devices. Devices that are no longer discovered keep their
    /// description.
    pub fn update(&mut self, devices: Vec<DiscoveredDevice>) {
        for DiscoveredDevice {
            device,
            description,
        } in devices
        {
            if !self.is_on(&device) {
                continue;
            }
            let description = self.complete(&device, description);
            self.retire_placeholder(&device, &description);
            match self.devices.get_mut(&device) {
                Some(known) if known.description == description => {}
                _ => {
                    let new = InventoryDevice {
                        description,
                        written: None,
                    };
                    self.devices.insert(device, new);
                }
            }
        }
    }

    /// Marks the placeholder of a target as leaving once the target has a real device.
    fn retire_placeholder(&mut self, device: &DeviceId, discovered: &Description) {
        let placeholder = placeholder(&discovered.target);
        if *device != placeholder
            && let Some(known) = self.devices.get_mut(&placeholder)
            && known.description.source == discovered.source
            && !known.description.leaving
        {
            known.description.leaving = true;
            known.written = None;
        }
    }

    /// Returns the devices whose descriptions have to be written now, with their JSON.
    pub fn pending(&self, now: Instant) -> Vec<(DeviceId, String)> {
        let is_due = |known: &InventoryDevice| match known.written {
            None => true,
            Some(written) => now.saturating_duration_since(written) >= REWRITE_EVERY,
        };
        let pending = self.devices.iter().filter(|(_, known)| is_due(known));
        pending
            .map(|(id, known)| (id.clone(), known.description.to_json()))
            .collect()
    }

    /// Records that `json` was written for `device` at `now`. If the description has changed since,
    /// it stays pending.
    pub fn mark_written(&mut self, device: &DeviceId, json: &str, now: Instant) {
        if let Some(known) = self.devices.get_mut(device)
            && known.description.to_json() == json
        {
            known.written = Some(now);
        }
    }

    /// Makes all descriptions pending.
    pub fn mark_all_unwritten(&mut self) {
        for known in self.devices.values_mut() {
            known.written = None;
        }
    }

    /// Returns a device whose description Redis should have, each device in turn. If Redis lacks it,
    /// all descriptions may be lost.
    pub fn probe(&mut self) -> Option<DeviceId> {
        let is_written = |known: &InventoryDevice| known.written.is_some();
        let is_after = |device: &DeviceId| self.probed.as_ref().is_none_or(|last| device > last);
        let mut candidates = self.devices.iter().filter(|(_, known)| is_written(known));
        let first = candidates.clone().next();
        let next = candidates.find(|(device, _)| is_after(device)).or(first)?;
        self.probed = Some(next.0.clone());
        self.probed.clone()
    }

    /// Returns the description of every device, marked as leaving, to write at a clean stop.
    pub fn leaving(&self) -> Vec<(DeviceId, String)> {
        let leaving = self.devices.iter().map(|(id, known)| {
            let description = Description {
                leaving: true,
                ..known.description.clone()
            };
            (id.clone(), description.to_json())
        });
        leaving.collect()
    }

    fn matching<'a>(&'a self, device: &'a DeviceId) -> impl Iterator<Item = &'a DeviceConfig> {
        self.overrides
            .iter()
            .filter(|entry| entry.matching.matches(device))
    }

    /// Returns the whole description of `device`: the source's, completed with the agent's settings
    /// and overridden by the operator's.
    pub fn complete(&self, device: &DeviceId, mut description: Description) -> Description {
        self.agent.as_str().clone_into(&mut description.agent);
        description.zone.clone_from(&self.zone);
        description.machine.clone_from(&self.ids.machine);
        description.boot.clone_from(&self.ids.boot);
        if description.host.is_empty() {
            self.host.as_str().clone_into(&mut description.host);
        }
        if description.target.is_empty() {
            self.host.as_str().clone_into(&mut description.target);
        }
        if description.rack.is_none() {
            description.rack.clone_from(&self.rack);
        }
        clean(&mut description.name);
        if let Some(hardware) = &mut description.hardware {
            clean(hardware);
        }
        for entry in self.matching(device) {
            entry.apply(&mut description);
        }
        description
    }
}

/// Makes a name of text from hardware, since collectors refuse a description with any other.
fn clean(text: &mut String) {
    if let Cow::Owned(name) = name::cleaned(text) {
        *text = name;
    }
}

#[cfg(test)]
mod tests;
