//! The engine: one partition's readings in, alert records and episode changes out.
//!
//! A pure state machine. [`Engine::step`] evaluates inputs; [`Engine::catch_up`] takes in those that were
//! evaluated before; [`Engine::snapshot`], [`Engine::restore`] and [`Engine::resume`] carry the state over a
//! restart. The same inputs give the same effects, whether a collector, the demo, a replay or a test drives it.
//!
//! This file has the methods of [`Engine`]. Its parts know nothing of it: they take the devices where they need
//! them, and return events.
//!
//! | file | about |
//! | --- | --- |
//! | `effects` | inputs and effects |
//! | `records` | alert events: records with their episode changes |
//! | `device` | one device and its rules |
//! | `clock` | wrong clocks of devices: set back, ahead, or late |
//! | `racks`, `rack_number` | devices that are compared with each other |
//! | `subjects` | alerts about agents and targets |
//! | `absence`, `listening` | devices, targets and agents without data |
//! | `stale` | ends of episodes that no reading ends |
//! | `outages` | targets that answer for none of their devices |
//! | `agent_clocks` | agents whose clock is wrong |
//! | `duplicates` | agents of one name |
//! | `jumps` | readings that wait to be confirmed |
//! | `commissioning` | limits that do not fit a site on its first day |
//! | `inventory` | devices and hardware with a new place |
//! | `rack_aggregates` | sums for the cooling indices |
//! | `snapshot`, `cold_starts` | stored state |
//!
//! A reading that is not newer than its device's last is not evaluated, unless the device's clock was set back.
//! Faults are counted, and evaluated by the rules about faults alone.

mod absence;
mod agent_clocks;
mod clock;
mod cold_starts;
mod commissioning;
mod device;
mod duplicates;
mod effects;
mod inventory;
mod jumps;
mod listening;
mod outages;
mod rack_aggregates;
mod rack_number;
mod racks;
mod records;
mod snapshot;
mod stale;
mod subjects;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use cold_starts::{ColdStart, ColdStarts};
pub use commissioning::Notice;
pub use effects::{Effects, EpisodeChange, Input, Tally};
pub use inventory::{InventoryChange, InventoryPlace};
pub use snapshot::Slice;

use self::absence::Absence;
use self::agent_clocks::AgentClocks;
use self::commissioning::Commissioning;
use self::device::{Device, Devices, FollowUp};
use self::duplicates::Duplicates;
use self::inventory::Hardware;
use self::jumps::Jumps;
use self::outages::Outages;
use self::racks::Racks;
use self::stale::Stale;
use crate::alert::{AlertId, EndedBy};
use crate::detect::Observation;
use crate::device::{Description, DeviceId};
use crate::episode::Episode;
use crate::indices::{Aggregate, Envelope};
use crate::loss_ledger::{LossLedger, Runs};
use crate::reading::Reading;
use crate::rules::{Plan, RuleSet};
use crate::subject::Subject;
use crate::time::StreamId;

/// The engine of one partition.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    devices: Devices,
    racks: Racks,
    hardware: Hardware,
    commissioning: Commissioning,
    /// The sequence numbers of agents.
    loss_ledger: LossLedger,
    agent_clocks: AgentClocks,
    duplicates: Duplicates,
    absence: Absence,
    /// The time by which ids of entries are ahead of Redis' clock.
    ahead: Duration,
    outages: Outages,
    stale: Stale,
    jumps: Jumps,
    /// The plans in use. Devices with equal plans share one.
    plans: Vec<Arc<Plan>>,
    /// Stored episodes that the first step after a restore takes over.
    resumed: Option<Vec<Episode>>,
    /// Subject and rule of every open episode.
    open: HashSet<(Subject, String)>,
}

/// The agent and the target of a device.
#[derive(Clone, Debug, Default, PartialEq)]
struct Membership {
    agent: Option<String>,
    target: Option<String>,
}

impl Engine {
    /// Creates an engine without devices.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            rules,
            devices: HashMap::new(),
            racks: Racks::default(),
            hardware: Hardware::default(),
            commissioning: Commissioning::default(),
            loss_ledger: LossLedger::default(),
            agent_clocks: AgentClocks::default(),
            duplicates: Duplicates::default(),
            absence: Absence::default(),
            ahead: Duration::ZERO,
            outages: Outages::default(),
            stale: Stale::default(),
            jumps: Jumps::default(),
            plans: Vec::new(),
            resumed: None,
            open: HashSet::new(),
        }
    }

    /// Evaluates `inputs` in order.
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input>) -> Effects {
        let mut effects = Effects::default();
        self.align(&mut effects);
        for input in inputs {
            self.take(input, &mut effects);
        }
        effects.agents = self.loss_ledger.take_progress();
        for change in &effects.episodes {
            match change {
                EpisodeChange::Open(episode) => {
                    self.open
                        .insert((episode.subject.clone(), episode.rule.clone()));
                }
                EpisodeChange::Close { subject, rule } => {
                    self.open.remove(&(subject.clone(), rule.clone()));
                }
            }
        }
        effects
    }

    /// Takes in inputs that were evaluated before. The state changes as it did then; nothing is reported.
    pub fn catch_up(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let mut discarded = Effects::default();
        for input in inputs {
            self.take(input, &mut discarded);
            discarded.alerts.clear();
            discarded.losses.clear();
            discarded.notices.clear();
            discarded.inventory.clear();
            discarded.episodes.clear();
        }
        self.loss_ledger.take_progress();
    }

    /// Returns the number of known devices.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Returns whether a device is known.
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// Returns the described devices, and whether plain clients write them.
    pub fn described_devices(&self) -> impl Iterator<Item = (&DeviceId, bool)> {
        let described = self.devices.iter();
        let described = described.filter(|(_, device)| device.description().is_some());
        described.map(|(id, device)| (id, device.is_of_plain_client()))
    }

    /// Returns the number of open episodes.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Returns the sums of each (zone, rack) over the inlets and exhausts with a present reading, which is at most two
    /// minutes or three intervals old, and the number of those without one.
    pub fn rack_aggregates(&self, envelope: &Envelope) -> BTreeMap<(String, String), Aggregate> {
        rack_aggregates::of(&self.devices, self.absence.listening.count, envelope)
    }

    /// Returns the state in slices that stand for the stream up to `through`. Each slice is made when it is
    /// asked for.
    pub fn snapshot(&self, through: StreamId) -> impl ExactSizeIterator<Item = Slice> + '_ {
        let listening = self.absence.listening;
        let duplicates = self.duplicates.saved();
        snapshot::slices(
            &self.devices,
            through,
            listening,
            &self.commissioning,
            duplicates,
        )
    }

    /// Takes over the state of a slice. Returns the rules whose state was not taken over.
    ///
    /// Call this on a new engine, for each slice in any order; then [`Engine::resume`], then
    /// [`Engine::catch_up`] with the entries behind the oldest slice, then [`Engine::step`]. A device that is
    /// in several slices, as after a crash while they were written, is taken from the youngest.
    pub fn restore(&mut self, slice: Slice) -> ColdStarts {
        let mut cold = ColdStarts::default();
        // By an older count, devices would seem to be absent for longer until they are read.
        if slice.listening.count > self.absence.listening.count {
            self.absence.listening = slice.listening;
            self.commissioning.restore(slice.commissioning);
            self.duplicates.restore(slice.duplicates);
        }
        for saved in slice.devices {
            let (id, device, rules) = saved.into_device();
            let known = self.devices.get(&id);
            if known.is_some_and(|known| known.is_newer_than(&device)) {
                continue;
            }
            if let Some(description) = device.description() {
                // The place was known before the restart: that is no change.
                let _change = self.hardware.describe(&id, None, description);
            }
            self.jumps.note(&id, &device);
            // That of an older slice is counted, and may have been in another rack.
            self.withdraw(&id);
            self.devices.insert(id.clone(), Box::new(device));
            // A plan without state ends no episode.
            self.replan(&id, &mut Effects::default());
            if let Some(device) = self.devices.get_mut(&id) {
                let names = slice.plans.get(rules.plan as usize);
                let names = names.map_or(&[][..], Vec::as_slice);
                device.resume(names, rules, &self.rules, &mut cold);
            }
        }
        cold
    }

    /// Takes over the stored episodes and the progress of agents. The first step ends the episodes of rules
    /// that are gone.
    pub fn resume(&mut self, episodes: Vec<Episode>, agents: Vec<(String, Runs)>) {
        self.loss_ledger.resume(agents);
        for episode in &episodes {
            let is_of_part = AgentClocks::owns(episode)
                || Duplicates::owns(episode)
                || Absence::owns(episode)
                || Outages::owns(episode);
            if !is_of_part {
                let id = episode.subject.as_id().clone();
                self.devices.entry(id).or_default();
            }
            self.open
                .insert((episode.subject.clone(), episode.rule.clone()));
        }
        self.resumed = Some(episodes);
    }

    /// Takes over resumed episodes: they are what was reported, whatever the state says.
    fn align(&mut self, effects: &mut Effects) {
        let Some(episodes) = self.resumed.take() else {
            return;
        };
        self.agent_clocks.resume(&episodes);
        self.duplicates.resume(&episodes);
        self.absence.resume(&episodes);
        self.outages.resume(&episodes);
        let mut by_device: HashMap<&DeviceId, Vec<&Episode>> = HashMap::new();
        for episode in &episodes {
            let id = episode.subject.as_id();
            by_device.entry(id).or_default().push(episode);
        }
        for (id, device) in &mut self.devices {
            device.align(by_device.get(id).map_or(&[], Vec::as_slice), effects);
        }
        // The map's order must not show in the records.
        effects
            .alerts
            .sort_by(|a, b| (&a.subject, &a.rule).cmp(&(&b.subject, &b.rule)));
    }

    fn take(&mut self, input: Input, effects: &mut Effects) {
        match input {
            Input::Describe(device, description) => self.describe(&device, description, effects),
            Input::Reading {
                entry,
                by_agent,
                reading,
            } => {
                self.read(entry, by_agent, &reading, effects);
            }
            Input::Sequence(reported) => {
                effects.losses.extend(self.loss_ledger.observe(&reported));
                effects.report_all(self.agent_clocks.observe(&reported));
                effects.report_all(self.duplicates.observe(&reported));
            }
            Input::ClientClock(id, at, ahead) => {
                if let Some(device) = self.devices.get_mut(&id) {
                    effects.report_all(device.set_clock_offset(&id, at, ahead));
                }
            }
            Input::Resolve(subject, alert) => self.resolve(&subject, &alert, effects),
            Input::Ahead(ahead) => self.ahead = ahead,
            Input::Waited(wait) => {
                if self.absence.listening.waited(wait) {
                    self.check_absence(effects);
                }
            }
        }
    }

    fn describe(&mut self, id: &DeviceId, now: Option<Box<Description>>, effects: &mut Effects) {
        if now.is_none() && !self.devices.contains_key(id) {
            return;
        }
        let before = self.membership(id);
        let device = self.devices.entry(id.clone()).or_default();
        let was_leaving = device.is_leaving();
        if let Some(now) = now.as_deref() {
            let change = self.hardware.describe(id, device.description(), now);
            effects.inventory.extend(change);
        }
        if now.is_none() && !device.is_of_plain_client() {
            if device.description().is_some() {
                self.forget(id, effects);
                self.end_empty_subjects(before, id, effects);
            }
            return;
        }
        if device.set_description(now) {
            if was_leaving && !device.is_leaving() && device.heard > 0 {
                // Its agent is back, though no reading has arrived yet.
                device.heard = self.absence.listening.count;
            }
            self.replan(id, effects);
            self.end_empty_subjects(before, id, effects);
        }
    }

    /// Removes a device that an agent wrote and that a person forgot, or that no agent claims.
    fn forget(&mut self, id: &DeviceId, effects: &mut Effects) {
        let Some(device) = self.devices.get_mut(id) else {
            return;
        };
        device.end_episodes(id, EndedBy::Forgotten, |_, _| true, effects);
        device.end_carried(EndedBy::Forgotten, |_| true, effects);
        device.end_clock_alert(id, EndedBy::Forgotten, |_| true, effects);
        self.withdraw(id);
        self.devices.remove(id);
    }

    /// Takes a device out of its rack and out of the count of its role.
    fn withdraw(&mut self, id: &DeviceId) {
        if let Some(device) = self.devices.get_mut(id) {
            self.racks.place(id, device.rack(), None);
            let role = device.set_counted(None);
            self.commissioning.count(role, None);
        }
    }

    /// Checks which devices are absent, and ends the episodes of those that have been for long.
    fn check_absence(&mut self, effects: &mut Effects) {
        let listened = self.absence.listening.count;
        for jump in self.jumps.due(&mut self.devices, listened) {
            self.read_jump(&jump, effects);
        }
        effects.report_all(self.absence.check(&mut self.devices));
        let (now, after) = (self.absence.listening.count, self.rules.stale_after());
        for id in self.stale.end(&mut self.devices, (now, after), effects) {
            self.forget(&id, effects);
        }
    }

    /// Ends the alert that a person resolved.
    fn resolve(&mut self, subject: &Subject, alert: &AlertId, effects: &mut Effects) {
        if stale::resolve(&mut self.devices, subject.as_id(), alert, effects) {
            return;
        }
        let at = self.absence.listening.now();
        let ended = (self.absence.resolve_by_hand(subject, alert, at))
            .or_else(|| self.outages.resolve_by_hand(subject, alert, at))
            .or_else(|| self.agent_clocks.resolve_by_hand(subject, alert, at))
            .or_else(|| self.duplicates.resolve_by_hand(subject, alert, at));
        effects.report_all(ended);
    }

    fn read(&mut self, entry: StreamId, by_agent: bool, reading: &Reading, effects: &mut Effects) {
        let ahead = u64::try_from(self.ahead.as_millis()).unwrap_or(u64::MAX);
        let arrived = entry.ms.saturating_sub(ahead);
        if self.absence.listening.entry(arrived) {
            self.check_absence(effects);
        }
        // One look-up in the map for nearly every reading: it costs as much as a detector.
        let known = self.devices.get_mut(&reading.device);
        let is_usual = self.absence.is_empty()
            && self.outages.is_empty()
            && known
                .as_ref()
                .is_some_and(|device| device.has_writer(by_agent));
        let known = match known {
            Some(device) if is_usual => Some(device),
            _ => {
                self.prepare(by_agent, reading, effects);
                self.devices.get_mut(&reading.device)
            }
        };
        let Some(device) = known else { return };
        let listened = self.absence.listening.count;
        device.hear(listened, reading, effects);
        if let Some(writer) = self.duplicates.writer(device.agent()) {
            device.read_duplicated((entry, writer), reading, effects);
            return;
        }
        device.forget_writers();
        let device = match device.confirmed_by(reading) {
            None => device,
            Some(jump) => {
                self.read_jump(&jump, effects);
                match self.devices.get_mut(&reading.device) {
                    Some(device) => device,
                    None => return,
                }
            }
        };
        let commissioning = &mut self.commissioning;
        let follow_up = device.read((entry, arrived, listened), reading, commissioning, effects);
        self.jumps.note(&reading.device, device);
        self.follow_up(follow_up, reading, effects);
    }

    /// Evaluates a jump that was held back.
    fn read_jump(&mut self, jump: &Reading, effects: &mut Effects) {
        let commissioning = (&mut self.commissioning, self.absence.listening.count);
        if let Some(device) = self.devices.get_mut(&jump.device) {
            let follow_up = device.evaluate_jump(jump, commissioning, effects);
            self.follow_up(follow_up, jump, effects);
        }
    }

    /// Does what a reading leaves to be done because it needs other devices.
    fn follow_up(&mut self, follow_up: FollowUp, reading: &Reading, effects: &mut Effects) {
        match follow_up {
            FollowUp::None => {}
            FollowUp::TargetFailure => {
                effects.report_all(self.outages.evaluate(&mut self.devices, reading));
            }
            FollowUp::Compare { rules, now } => {
                for index in rules {
                    self.compare(index, (reading, now), effects);
                }
            }
        }
    }

    /// Prepares for a reading of a device that is new, has another kind of writer, or may belong to an agent or
    /// a target with an open alert.
    fn prepare(&mut self, by_agent: bool, reading: &Reading, effects: &mut Effects) {
        let id = &reading.device;
        let device = self.devices.entry(id.clone()).or_default();
        if device.set_writer(by_agent) {
            self.replan(id, effects);
        }
        effects.report_all(self.absence.hear(&mut self.devices, id, reading.at));
        effects.report_all(self.outages.answer(&mut self.devices, reading));
    }

    /// Lets a rule of the device that was just read compare it with its rack.
    fn compare(
        &mut self,
        index: usize,
        (reading, now): (&Reading, Observation),
        effects: &mut Effects,
    ) {
        let id = &reading.device;
        let Some(device) = self.devices.get(id) else {
            return;
        };
        let now = device.observation(index, now);
        let finding = self.racks.observe(&mut self.devices, (id, index), &now);
        if let Some(device) = self.devices.get_mut(id) {
            device.observe_rack(index, reading, finding, effects);
        }
    }

    /// Gives a device the plan that the rules now make for it.
    fn replan(&mut self, id: &DeviceId, effects: &mut Effects) {
        let Some(device) = self.devices.get_mut(id) else {
            return;
        };
        let traits = device.traits(id);
        let role = traits.as_ref().map(|traits| traits.role);
        let plan = match traits {
            Some(traits) => self.rules.plan(&traits),
            None => Plan::default(),
        };
        let before = device.set_counted(role);
        if before != role {
            self.commissioning.count(before, role);
        }
        let shared = self.plans.iter().find(|known| ***known == plan).cloned();
        let plan = shared.unwrap_or_else(|| {
            let plan = Arc::new(plan);
            self.plans.push(Arc::clone(&plan));
            plan
        });
        device.set_plan(id, &plan, effects);
        let rack = device.zone_and_rack(id).filter(|_| device.compares_rack());
        let number = self.racks.place(id, device.rack(), rack);
        device.set_rack(number);
    }

    /// Returns the agent and the target of a device, while an alert about any of them is open.
    fn membership(&self, id: &DeviceId) -> Membership {
        if self.absence.is_empty()
            && self.outages.is_empty()
            && self.agent_clocks.is_empty()
            && self.duplicates.is_empty()
        {
            return Membership::default();
        }
        let device = self.devices.get(id);
        let name = |of: fn(&Device) -> Option<&str>| device.and_then(|d| of(d)).map(str::to_owned);
        Membership {
            agent: name(Device::agent),
            target: name(Device::target),
        }
    }

    /// Ends the alerts about the agent and the target that a device had `before`, if it was the last of their
    /// devices.
    fn end_empty_subjects(&mut self, before: Membership, id: &DeviceId, effects: &mut Effects) {
        if before == self.membership(id) {
            return;
        }
        let last = self.devices.get(id).and_then(|device| device.last_read());
        let at = self.absence.listening.now().max(last.unwrap_or_default());
        let is_empty = |name: &String, of: fn(&Device) -> Option<&str>| {
            let mut all = self.devices.values();
            !all.any(|device| of(device) == Some(name))
        };
        let agent = before.agent.filter(|name| is_empty(name, Device::agent));
        let target = before.target.filter(|name| is_empty(name, Device::target));
        let mut ended = Vec::new();
        if let Some(agent) = agent {
            let agent = Subject::agent(&agent);
            ended.extend(self.absence.end(agent.clone(), at));
            ended.extend(self.agent_clocks.end(agent.clone(), at));
            ended.extend(self.duplicates.end(agent, at));
        }
        if let Some(target) = target {
            let target = Subject::target(&target);
            ended.extend(self.absence.end(target.clone(), at));
            ended.extend(self.outages.end(target, at));
        }
        // It was not heard again: there is nothing left of it.
        let ended = ended.into_iter();
        effects.report_all(ended.map(|event| event.ended_by(EndedBy::Forgotten)));
    }
}
