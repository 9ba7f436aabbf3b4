//! Devices whose readings an agent sends and nothing describes, as `status` names them.
//!
//! In: the entries of each batch, and which of their devices have no description. Out: the sorted set
//! [`keys::UNDESCRIBED`]. It outlives the raw stream's entries and the owner, since no alert reports that such a device vanished.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys;
use redis::Pipeline;

use super::super::Entry;

/// Interval at which the arrival of a device's readings is written again.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Devices kept, the newest: `status` names a few.
const MAX_KEPT: usize = 10_000;

/// The devices of agents without a description that this owner has read.
#[derive(Debug, Default)]
pub(super) struct Undescribed {
    devices: HashMap<DeviceId, Arrivals>,
    /// Members of the set for devices that a rule looks at now.
    gone: Vec<String>,
}

/// The arrivals of a device's readings, in milliseconds since 1970 by Redis' clock.
#[derive(Debug)]
struct Arrivals {
    agent: String,
    newest: u64,
    /// The newest that was written.
    written: Option<u64>,
}

impl Undescribed {
    /// Notes the readings of `entries` from devices that are `waiting` for a description. A plain client's device needs none.
    pub(super) fn note(&mut self, entries: &[Entry], waiting: &HashSet<DeviceId>) {
        let described = |device: &DeviceId| !waiting.contains(device);
        for (device, gone) in self.devices.extract_if(|device, _| described(device)) {
            self.gone.push(keys::undescribed(&device, &gone.agent));
        }
        if waiting.is_empty() {
            return;
        }
        for entry in entries {
            for reading in &entry.decoded.readings {
                match &entry.decoded.agent {
                    Some(agent) if waiting.contains(&reading.device) => {
                        self.arrive(&reading.device, agent, entry.arrived().millis());
                    }
                    Some(_) => {}
                    None => self.remove(&reading.device),
                }
            }
        }
    }

    fn arrive(&mut self, device: &DeviceId, agent: &str, newest: u64) {
        if let Some(known) = self.devices.get_mut(device)
            && known.agent == agent
        {
            known.newest = newest;
            return;
        }
        self.remove(device);
        if self.devices.len() < MAX_KEPT {
            let arrivals = Arrivals {
                agent: agent.to_owned(),
                newest,
                written: None,
            };
            self.devices.insert(device.clone(), arrivals);
        }
    }

    fn remove(&mut self, device: &DeviceId) {
        if let Some(gone) = self.devices.remove(device) {
            self.gone.push(keys::undescribed(device, &gone.agent));
        }
    }

    /// Forgets devices whose readings are refused.
    pub(super) fn forget(&mut self, devices: &HashSet<DeviceId>) {
        for device in devices {
            self.devices.remove(device);
        }
    }

    /// Takes the commands that bring the set up to date; none if nothing is due.
    pub(super) fn take_due(&mut self) -> Option<Pipeline> {
        let every = u64::try_from(WRITE_EVERY.as_millis()).unwrap_or(u64::MAX);
        let mut all = redis::pipe();
        for gone in self.gone.drain(..) {
            all.zrem(keys::UNDESCRIBED, gone).ignore();
        }
        for (device, arrivals) in &mut self.devices {
            let written = arrivals.written;
            if written.is_none_or(|written| arrivals.newest.saturating_sub(written) >= every) {
                let member = keys::undescribed(device, &arrivals.agent);
                all.zadd(keys::UNDESCRIBED, member, arrivals.newest)
                    .ignore();
                arrivals.written = Some(arrivals.newest);
            }
        }
        if all.is_empty() {
            return None;
        }
        let excess = -1 - isize::try_from(MAX_KEPT).unwrap_or(isize::MAX - 1);
        all.zremrangebyrank(keys::UNDESCRIBED, 0, excess).ignore();
        Some(all)
    }
}
