//! Agents and targets: what is said of all devices of one at once stands under its name, in the place of a device.

use std::collections::BTreeMap;

use super::device::Device;
use super::records::stored;
use super::{Effects, Engine, EpisodeChange};
use crate::alert::{AlertRecord, AlertState, Severity};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::reading::Reading;
use crate::time::Timestamp;

const AGENT: &str = "agent:";
const TARGET: &str = "target:";

/// The name under which an agent's episode stands, in the place of a device.
pub fn agent_device(agent: &str) -> DeviceId {
    DeviceId::sanitized(&format!("{AGENT}{agent}"))
}

/// The same for a target: a host, a BMC, a cooler.
pub fn target_device(target: &str) -> DeviceId {
    DeviceId::sanitized(&format!("{TARGET}{target}"))
}

/// Whether a name stands for an agent.
pub(super) fn is_agent(name: &DeviceId) -> bool {
    name.as_str().starts_with(AGENT)
}

/// Whether a name stands for a target.
pub(super) fn is_target(name: &DeviceId) -> bool {
    name.as_str().starts_with(TARGET)
}

/// Whose a device is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Whose {
    agent: Option<String>,
    target: Option<String>,
}

/// The episodes of one kind that were said of agents and targets and are not over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said(BTreeMap<DeviceId, Open>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) since: Timestamp,
    pub(super) severity: Severity,
    /// The rack that all devices are in; empty where they are in several.
    rack: String,
}

impl Said {
    /// As they are stored.
    pub(super) fn of<'a>(episodes: impl Iterator<Item = &'a Episode>) -> Self {
        let open = |episode: &Episode| Open {
            since: episode.started,
            severity: episode.severity,
            rack: episode.rack.clone(),
        };
        Self(episodes.map(|e| (e.device.clone(), open(e))).collect())
    }

    /// None is open.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of an agent or a target.
    pub(super) fn get(&self, owner: &DeviceId) -> Option<&Open> {
        self.0.get(owner)
    }

    /// It begins, or becomes worse: `record` says so.
    pub(super) fn begin(&mut self, record: AlertRecord, effects: &mut Effects) {
        let open = Open {
            since: record.started,
            severity: record.severity,
            rack: record.rack.clone(),
        };
        self.0.insert(record.device.clone(), open);
        let episode = Box::new(stored(&record, None));
        effects.episodes.push(EpisodeChange::Open(episode));
        effects.alerts.push(record);
    }

    /// It is over, if it was said at all. `record` makes the record of one by owner, begin, time and severity.
    pub(super) fn end(
        &mut self,
        owner: DeviceId,
        at: Timestamp,
        record: fn(&DeviceId, Timestamp, Timestamp, Severity) -> AlertRecord,
        effects: &mut Effects,
    ) -> bool {
        let Some(open) = self.0.remove(&owner) else {
            return false;
        };
        let record = AlertRecord {
            state: AlertState::Resolved,
            duration: Some(at.since(open.since)),
            rack: open.rack,
            ..record(&owner, open.since, at, open.severity)
        };
        effects.episodes.push(EpisodeChange::Close {
            device: owner,
            rule: record.rule.clone(),
        });
        effects.alerts.push(record);
        true
    }
}

impl Engine {
    /// Agent and target of a device that was read are heard again, with all that belongs to them.
    pub(super) fn missed_no_more(&mut self, reading: &Reading, effects: &mut Effects) {
        let Some(device) = self.devices.get(&reading.device) else {
            return;
        };
        let agent = device.agent().map(str::to_owned);
        let target = device.target().map(str::to_owned);
        let (at, count) = (reading.at, self.listening.count);
        if let Some(agent) = agent
            && self.missed.end(agent_device(&agent), at, effects)
        {
            self.heard_all(count, |device| device.agent() == Some(&agent));
        }
        if let Some(target) = target
            && self.missed.end(target_device(&target), at, effects)
        {
            self.heard_all(count, |device| device.target() == Some(&target));
        }
    }

    fn heard_all(&mut self, count: u64, belongs: impl Fn(&Device) -> bool) {
        for device in self.devices.values_mut() {
            if device.heard > 0 && belongs(device) {
                device.heard = count;
            }
        }
    }

    /// Whose a device is, while something is said of agents or targets.
    pub(super) fn whose(&self, id: &DeviceId) -> Whose {
        if self.missed.is_empty() && self.outages.is_empty() && self.agents.is_empty() {
            return Whose::default();
        }
        let device = self.devices.get(id);
        let owner = |of: fn(&Device) -> Option<&str>| device.and_then(|d| of(d)).map(str::to_owned);
        Whose {
            agent: owner(Device::agent),
            target: owner(Device::target),
        }
    }

    /// A device was theirs, and may be somebody else's now, or known no more: with the last device of an agent or a
    /// target ends what was said of the whole.
    pub(super) fn leave(&mut self, before: Whose, id: &DeviceId, effects: &mut Effects) {
        let now = self.whose(id);
        if before == now {
            return;
        }
        let last = self.devices.get(id).and_then(|device| device.last());
        let at = self.listening.now().max(last.unwrap_or_default());
        let has_none = |owner: &String, of: fn(&Device) -> Option<&str>| {
            let mut all = self.devices.values();
            !all.any(|device| of(device) == Some(owner))
        };
        let agent = before.agent.filter(|agent| has_none(agent, Device::agent));
        let target = before
            .target
            .filter(|target| has_none(target, Device::target));
        if let Some(agent) = agent {
            self.missed.end(agent_device(&agent), at, effects);
            self.agents.end(agent_device(&agent), at, effects);
        }
        if let Some(target) = target {
            self.missed.end(target_device(&target), at, effects);
            self.outages.end(&target, at, effects);
        }
    }
}
