//! Silence: devices, targets and agents of which nothing comes any more.
//!
//! How long is told by the ids of entries, which is Redis' own clock, and by what the owner waited on
//! an empty stream. Of a gap between entries only half a minute counts unless it was waited out: while
//! Redis or the collector was away nobody could be heard, and that is nobody's silence. A fault is no
//! silence either: somebody says that there is nothing to say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Effects;
use super::device::Device;
use super::owners::{Said, agent_device, is_agent, is_target, target_device};
use super::records::silent;
use crate::alert::{AlertRecord, Severity};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::time::Timestamp;

/// Of a gap between two entries no more counts, in milliseconds.
const GAP: u64 = 30_000;
/// How often it is looked for, in milliseconds of what counts.
const LOOK: u64 = 5_000;
/// Who said that he leaves is missed after this long.
const LEFT: u64 = 20 * 60_000;

/// The rule's name, where it is an agent that is silent.
pub(super) const NO_DATA: &str = "no_data";

/// The clock that silence is measured by, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Listening {
    /// What counts so far; from one on, so that nothing heard is zero.
    pub(super) count: u64,
    /// Until when by Redis' clock.
    pub(super) until: u64,
    looked: u64,
}

impl Listening {
    /// An entry came; whether it is time to look who is silent.
    pub(super) fn entry(&mut self, ms: u64) -> bool {
        if self.count == 0 {
            *self = Self {
                count: 1,
                until: ms,
                looked: 1,
            };
        }
        let gap = ms.saturating_sub(self.until).min(GAP);
        self.until = self.until.max(ms);
        self.count += gap;
        self.is_due()
    }

    /// Nothing came for so long.
    pub(super) fn waited(&mut self, wait: Duration) -> bool {
        if self.count == 0 {
            return false;
        }
        let wait = u64::try_from(wait.as_millis()).unwrap_or(0);
        self.count += wait;
        self.until += wait;
        self.is_due()
    }

    fn is_due(&mut self) -> bool {
        let due = self.count - self.looked >= LOOK;
        if due {
            self.looked = self.count;
        }
        due
    }

    /// Until when was listened, by Redis' clock.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.until).unwrap_or_default()
    }
}

/// Agents and targets of which it was said that they are silent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Missed(Said);

/// What is found of each agent, or of each target.
#[derive(Debug, Default)]
struct Owners(BTreeMap<String, Found>);

/// The devices of one of them, as they are found.
#[derive(Debug, Default)]
struct Found {
    /// Whose they are.
    agents: BTreeSet<String>,
    heard: usize,
    silent: usize,
    /// The newest reading of all.
    last: Timestamp,
    /// How long the one that was heard last is silent, in what counts.
    since: u64,
    severity: Option<Severity>,
    all_leave: bool,
    /// The rack that all of them are in; empty where they are in several.
    rack: Option<String>,
}

impl Missed {
    /// Whether `episode` is one of these.
    pub(super) fn has(episode: &Episode) -> bool {
        episode.rule == NO_DATA && (is_agent(&episode.device) || is_target(&episode.device))
    }

    /// Those of the stored episodes.
    pub(super) fn of(stored: &[Episode]) -> Self {
        Self(Said::of(stored.iter().filter(|e| Self::has(e))))
    }

    /// Looks who is silent: an agent with all its devices is one record, a target with all of its is, else
    /// each device is.
    pub(super) fn look(
        &mut self,
        listening: &Listening,
        devices: &mut HashMap<DeviceId, Box<Device>>,
        effects: &mut Effects,
    ) {
        let now = listening.count;
        let is_silent = |device: &Device| {
            let missed = device.misses();
            missed.is_some_and(|(_, after)| now.saturating_sub(device.heard) >= after)
        };
        // Nearly always nobody is: whose they are need not be asked.
        if !devices.values().any(|device| is_silent(device)) {
            return;
        }
        let (mut agents, mut targets) = (Owners::default(), Owners::default());
        let mut silent: Vec<DeviceId> = Vec::new();
        for (id, device) in devices.iter() {
            let Some((severity, after)) = device.misses() else {
                continue;
            };
            let quiet = now.saturating_sub(device.heard);
            let severity = (quiet >= after).then_some(severity);
            agents.add(device.agent(), device, quiet, severity);
            targets.add(device.target(), device, quiet, severity);
            if severity.is_some() {
                silent.push(id.clone());
            }
        }
        let at = listening.now();
        for (agent, found) in &agents.0 {
            self.tell(&agent_device(agent), found, at, effects);
        }
        for (target, found) in &targets.0 {
            // One device speaks for itself, and an agent for all its targets.
            let joins = found.agents.iter().all(|agent| agents.misses(agent));
            if found.heard > 1 && !joins {
                self.tell(&target_device(target), found, at, effects);
            }
        }
        // HashMap order must not show in the records.
        silent.sort_unstable();
        for id in silent {
            let Some(device) = devices.get_mut(&id) else {
                continue;
            };
            let of_agent = device.agent().is_some_and(|agent| agents.misses(agent));
            let of_target = device.target().is_some_and(|target| {
                let found = targets.0.get(target);
                found.is_some_and(|found| found.heard > 1 && found.is_missed())
            });
            if !of_agent && !of_target {
                let quiet = now.saturating_sub(device.heard);
                device.fall_silent(&id, quiet >= LEFT, at, effects);
            }
        }
    }

    fn tell(&mut self, owner: &DeviceId, found: &Found, at: Timestamp, effects: &mut Effects) {
        let Some(severity) = found.severity.filter(|_| found.is_missed()) else {
            return;
        };
        let severity = if found.all_leave && found.since < LEFT {
            Severity::Info
        } else {
            severity
        };
        let said = self.0.get(owner);
        if said.is_some_and(|said| said.severity >= severity) {
            return;
        }
        let since = said.map_or(found.last, |said| said.since);
        let record = AlertRecord {
            rack: found.rack.clone().unwrap_or_default(),
            ..silent(owner, since, at, severity)
        };
        self.0.begin(record, effects);
    }

    /// None of them is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An agent or a target, by the name of its episode, is heard again or known no more; whether it was missed.
    pub(super) fn end(&mut self, owner: DeviceId, at: Timestamp, effects: &mut Effects) -> bool {
        self.0.end(owner, at, silent, effects)
    }
}

impl Owners {
    fn add(&mut self, owner: Option<&str>, device: &Device, quiet: u64, silent: Option<Severity>) {
        let Some(owner) = owner else { return };
        if !self.0.contains_key(owner) {
            self.0.insert(owner.to_owned(), Found::new());
        }
        if let Some(found) = self.0.get_mut(owner) {
            found.add(device, quiet, silent);
        }
    }

    fn misses(&self, owner: &str) -> bool {
        self.0.get(owner).is_some_and(Found::is_missed)
    }
}

impl Found {
    fn new() -> Self {
        Self {
            since: u64::MAX,
            all_leave: true,
            ..Self::default()
        }
    }

    fn add(&mut self, device: &Device, quiet: u64, silent: Option<Severity>) {
        let agent = device.agent().unwrap_or_default();
        if !self.agents.contains(agent) {
            self.agents.insert(agent.to_owned());
        }
        self.heard += 1;
        self.silent += usize::from(silent.is_some());
        self.last = self.last.max(device.last().unwrap_or_default());
        self.since = self.since.min(quiet);
        self.severity = self.severity.max(silent);
        self.all_leave &= device.leaves();
        let rack = device.stands_in().unwrap_or_default();
        match &mut self.rack {
            None => self.rack = Some(rack.to_owned()),
            Some(all) if all != rack => all.clear(),
            Some(_) => {}
        }
    }

    /// All of it is silent.
    fn is_missed(&self) -> bool {
        self.silent == self.heard && self.heard > 0
    }
}
