//! What Redis has to know of each device before its first reading.
//!
//! In: devices as the sources find them, and what the operator configured, which beats the source's
//! guess. Out: the descriptions that have to be written now: new ones, changed ones, each again
//! every ten minutes, and all when they are found missing. Nothing is lost: a description stays
//! pending until it was written.
//!
//! Pure: the caller writes, and brings the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId};

use crate::config::{AgentName, DeviceConfig, IdentityConfig};
use crate::source::{Found, stand_in};

/// How often every description is written again, so that one that somebody removed comes back.
pub const REWRITE_EVERY: Duration = Duration::from_mins(10);

/// The devices of this agent, and which of them Redis knows.
#[derive(Debug)]
pub struct Inventory {
    agent: AgentName,
    zone: String,
    host: String,
    rack: Option<String>,
    rules: Vec<DeviceConfig>,
    devices: BTreeMap<DeviceId, Known>,
    /// The device that was asked for last, see [`Inventory::probe`].
    probed: Option<DeviceId>,
}

#[derive(Debug)]
struct Known {
    description: Description,
    written: Option<Instant>,
}

impl Inventory {
    /// An empty inventory of the agent `identity` on `host`.
    pub fn new(identity: &IdentityConfig, host: &str, rules: Vec<DeviceConfig>) -> Self {
        Self {
            agent: identity.name.clone(),
            zone: identity.zone.clone(),
            host: host.to_owned(),
            rack: identity.rack.clone(),
            rules,
            devices: BTreeMap::new(),
            probed: None,
        }
    }

    /// Whether `device` is to be published at all: the last entry that says so decides.
    pub fn is_on(&self, device: &DeviceId) -> bool {
        let said = self.matching(device).filter_map(|rule| rule.off);
        !said.last().unwrap_or(false)
    }

    /// Takes what a source found; those that are no more keep their description.
    pub fn found(&mut self, found: Vec<Found>) {
        for Found {
            device,
            description,
        } in found
        {
            if !self.is_on(&device) {
                continue;
            }
            let description = self.complete(&device, description);
            self.replace_stand_in(&device, &description);
            match self.devices.get_mut(&device) {
                Some(known) if known.description == description => {}
                _ => {
                    let known = Known {
                        description,
                        written: None,
                    };
                    self.devices.insert(device, known);
                }
            }
        }
    }

    /// A target of which a sensor is known needs nothing that stands for it.
    fn replace_stand_in(&mut self, device: &DeviceId, found: &Description) {
        let stand_in = stand_in(&found.target);
        let stands = self.devices.get_mut(&stand_in);
        if let Some(known) = stands
            && *device != stand_in
            && known.description.source == found.source
            && !known.description.leaving
        {
            known.description.leaving = true;
            known.written = None;
        }
    }

    /// What has to be written now: the devices and their JSON.
    pub fn pending(&self, now: Instant) -> Vec<(DeviceId, String)> {
        let due = |known: &Known| match known.written {
            None => true,
            Some(written) => now.saturating_duration_since(written) >= REWRITE_EVERY,
        };
        let pending = self.devices.iter().filter(|(_, known)| due(known));
        pending
            .map(|(id, known)| (id.clone(), known.description.to_json()))
            .collect()
    }

    /// `json` was written for `device` at `now`; it stays pending if it has changed since.
    pub fn written(&mut self, device: &DeviceId, json: &str, now: Instant) {
        if let Some(known) = self.devices.get_mut(device)
            && known.description.to_json() == json
        {
            known.written = Some(now);
        }
    }

    /// Nothing is known to be written any more: all is pending.
    pub fn forget_written(&mut self) {
        for known in self.devices.values_mut() {
            known.written = None;
        }
    }

    /// A device that should be known to Redis, another one each time: if it is not, all may be gone.
    pub fn probe(&mut self) -> Option<DeviceId> {
        let written = |known: &Known| known.written.is_some();
        let after = |device: &DeviceId| self.probed.as_ref().is_none_or(|last| device > last);
        let mut candidates = self.devices.iter().filter(|(_, known)| written(known));
        let first = candidates.clone().next();
        let next = candidates.find(|(device, _)| after(device)).or(first)?;
        self.probed = Some(next.0.clone());
        self.probed.clone()
    }

    /// Every device with the JSON that says its agent stopped cleanly.
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

    /// Every device.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.keys()
    }

    fn matching<'a>(&'a self, device: &'a DeviceId) -> impl Iterator<Item = &'a DeviceConfig> {
        self.rules
            .iter()
            .filter(|rule| rule.matching.matches(device))
    }

    /// What is known of `device` in all: the source's words, and what the operator says.
    pub fn complete(&self, device: &DeviceId, mut description: Description) -> Description {
        self.agent.as_str().clone_into(&mut description.agent);
        description.zone.clone_from(&self.zone);
        if description.host.is_empty() {
            description.host.clone_from(&self.host);
        }
        if description.target.is_empty() {
            description.target.clone_from(&self.host);
        }
        if description.rack.is_none() {
            description.rack.clone_from(&self.rack);
        }
        for rule in self.matching(device) {
            rule.apply(&mut description);
        }
        description
    }
}

#[cfg(test)]
mod tests;
