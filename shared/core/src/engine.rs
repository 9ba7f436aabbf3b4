//! The engine: one partition's readings in, alert records and episode changes out.
//!
//! A pure state machine with few doors: [`Engine::step`] judges, [`Engine::warm`] runs readings
//! through that were judged before; [`Engine::snapshot`], [`Engine::restore`] and
//! [`Engine::resume`] carry its state over a restart. The same inputs give the same effects, whoever drives it: a collector, the demo,
//! a replay or a test.
//!
//! A reading no newer than its device's last is not judged, unless the device's clock was set back
//! (`clock`). Faults are counted, not judged.

mod agents;
mod clock;
mod device;
mod moves;
mod newcomers;
mod outage;
mod owners;
mod racks;
mod records;
mod silence;
mod snapshot;
mod sums;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use moves::{Move, Stand};
pub use newcomers::Notice;
pub use owners::{agent_device, target_device};
pub use snapshot::Slice;

use self::agents::Agents;
use self::device::{Asks, Device};
use self::moves::Hardware;
use self::newcomers::Newcomers;
use self::outage::Outages;
use self::racks::Racks;
use self::silence::{Listening, Missed};
use crate::alert::AlertRecord;
use crate::device::{Description, DeviceId};
use crate::episode::Episode;
use crate::ledger::{Ledger, Loss, Passed, Runs};
use crate::reading::Reading;
use crate::rules::{Plan, RuleSet};
use crate::time::StreamId;

/// What goes into the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// What is known of a device, or that nothing is known of it any more.
    Describe(DeviceId, Option<Box<Description>>),
    /// A reading.
    Reading {
        /// The entry that brought it.
        entry: StreamId,
        /// Whether that entry names an agent: what a plain client writes is taken for an inlet, what
        /// an agent has not described yet is not judged.
        by_agent: bool,
        /// What it says.
        reading: Reading,
    },
    /// What an agent's entry says of itself; before its readings.
    Passed(Box<Passed>),
    /// Nothing came for so long, though somebody listened.
    Waited(Duration),
    /// Other rules hold from here on.
    Rules(Arc<RuleSet>),
}

/// What comes out of the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Records to write, in order.
    pub alerts: Vec<AlertRecord>,
    /// What does not fit the site.
    pub notices: Vec<Notice>,
    /// What stands elsewhere than before.
    pub moves: Vec<Move>,
    /// Losses to write, in order.
    pub losses: Vec<Loss>,
    /// How far agents have come, to be stored together with the records.
    pub agents: Vec<(String, Runs)>,
    /// What to change in the stored episodes, together with the records.
    pub episodes: Vec<EpisodeChange>,
    /// What was done with the readings.
    pub tally: Tally,
}

/// A change of the stored episodes.
#[derive(Clone, Debug, PartialEq)]
pub enum EpisodeChange {
    /// It began or became worse: store it.
    Open(Box<Episode>),
    /// It ended: forget it.
    Close {
        /// On which device.
        device: DeviceId,
        /// By which rule.
        rule: String,
    },
}

/// Counts what was done with readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Judged by the device's rules (perhaps none).
    pub judged: u64,
    /// Of agents' devices that nobody has described yet.
    pub undescribed: u64,
    /// As old as the device's last: known already.
    pub duplicate: u64,
    /// Older than the device's last: too late to judge.
    pub late: u64,
    /// Faults.
    pub faults: u64,
}

/// Judges the readings of one partition.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    devices: HashMap<DeviceId, Box<Device>>,
    /// Devices that are judged together.
    racks: Racks,
    /// Hardware that is known again under another name.
    hardware: Hardware,
    /// What devices began with.
    newcomers: Newcomers,
    /// What each agent's numbers have come to.
    ledger: Ledger,
    /// Agents whose clock is wrong.
    agents: Agents,
    /// The clock of silence, and agents that are missed.
    listening: Listening,
    missed: Missed,
    /// Targets that do not answer.
    outages: Outages,
    /// Devices with equal plans share one.
    plans: Vec<Arc<Plan>>,
    /// Stored episodes to be brought in line with at the first step after a restore.
    said: Option<Vec<Episode>>,
    /// Device and rule of the episodes that were said and are not over.
    open: HashSet<(DeviceId, String)>,
}

impl Engine {
    /// An engine that knows no device yet.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            rules,
            devices: HashMap::new(),
            racks: Racks::default(),
            hardware: Hardware::default(),
            newcomers: Newcomers::default(),
            ledger: Ledger::default(),
            agents: Agents::default(),
            listening: Listening::default(),
            missed: Missed::default(),
            outages: Outages::default(),
            plans: Vec::new(),
            said: None,
            open: HashSet::new(),
        }
    }

    /// Judges `inputs` in order.
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input>) -> Effects {
        let mut effects = Effects::default();
        self.align(&mut effects);
        for input in inputs {
            self.take(input, &mut effects);
        }
        effects.agents = self.ledger.moved();
        for change in &effects.episodes {
            match change {
                EpisodeChange::Open(episode) => {
                    self.open
                        .insert((episode.device.clone(), episode.rule.clone()));
                }
                EpisodeChange::Close { device, rule } => {
                    self.open.remove(&(device.clone(), rule.clone()));
                }
            }
        }
        effects
    }

    /// Runs inputs through that were judged before: state moves as it did then, nothing is said.
    pub fn warm(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let mut unsaid = Effects::default();
        for input in inputs {
            self.take(input, &mut unsaid);
            unsaid.alerts.clear();
            unsaid.losses.clear();
            unsaid.notices.clear();
            unsaid.moves.clear();
            unsaid.episodes.clear();
        }
        self.ledger.moved();
    }

    /// How many devices are known.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// How many episodes are open.
    pub fn open(&self) -> usize {
        self.open.len()
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
            Input::Passed(passed) => {
                effects.losses.extend(self.ledger.pass(&passed));
                self.agents.pass(&passed, effects);
            }
            Input::Waited(wait) => {
                if self.listening.waited(wait) {
                    self.look_for_silence(effects);
                }
            }
            Input::Rules(rules) => {
                self.rules = rules;
                self.plans.clear();
                // HashMap order must not show in the records.
                let mut ids: Vec<_> = self.devices.keys().cloned().collect();
                ids.sort();
                for id in ids {
                    self.replan(&id, effects);
                }
            }
        }
    }

    fn describe(&mut self, id: &DeviceId, now: Option<Box<Description>>, effects: &mut Effects) {
        let before = self.whose(id);
        let device = self.devices.entry(id.clone()).or_default();
        let left = device.leaves();
        if let Some(now) = now.as_deref() {
            let moved = self.hardware.describe(id, device.description(), now);
            effects.moves.extend(moved);
        }
        if device.set_description(now) {
            if left && !device.leaves() && device.heard > 0 {
                // Whoever says that it is back speaks, though no reading is here yet.
                device.heard = self.listening.count;
            }
            self.replan(id, effects);
            self.leave(before, id, effects);
        }
    }

    fn look_for_silence(&mut self, effects: &mut Effects) {
        self.missed
            .look(&self.listening, &mut self.devices, effects);
    }

    fn read(&mut self, entry: StreamId, by_agent: bool, reading: &Reading, effects: &mut Effects) {
        if self.listening.entry(entry.ms) {
            self.look_for_silence(effects);
        }
        // One look at the map for nearly every reading: it costs as much as a detector.
        let known = self.devices.get_mut(&reading.device);
        let as_usual = self.missed.is_empty()
            && self.outages.is_empty()
            && known
                .as_ref()
                .is_some_and(|device| device.is_written(by_agent));
        let said = effects.alerts.len();
        let asks = match known {
            Some(device) if as_usual => {
                device.hear(self.listening.count, reading, effects);
                device.read(entry, reading, effects)
            }
            _ => self.read_anew(entry, by_agent, reading, effects),
        };
        if asks.first {
            self.welcome(reading, said, effects);
        }
        if asks.outage {
            self.judge_outage(reading, effects);
        }
        if asks.rack {
            self.judge_rack(reading, effects);
        }
        if asks.others {
            let others = self.racks.others(&self.devices, reading);
            if let Some(device) = self.devices.get_mut(&reading.device) {
                device.judge_others(reading, others, effects);
            }
        }
    }

    /// A device that is new, has another kind of writer, or may be of an agent that was missed.
    fn read_anew(
        &mut self,
        entry: StreamId,
        by_agent: bool,
        reading: &Reading,
        effects: &mut Effects,
    ) -> Asks {
        let id = &reading.device;
        let device = self.devices.entry(id.clone()).or_default();
        if device.set_writer(by_agent) {
            self.replan(id, effects);
        }
        self.missed_no_more(reading, effects);
        self.answered(reading, effects);
        let Some(device) = self.devices.get_mut(id) else {
            return Asks::default();
        };
        device.hear(self.listening.count, reading, effects);
        device.read(entry, reading, effects)
    }

    /// A device was judged for the first time; what was said of it is from `said` on.
    fn welcome(&mut self, reading: &Reading, said: usize, effects: &mut Effects) {
        let device = self.devices.get(&reading.device);
        let Some(role) = device.and_then(|device| device.counted()) else {
            return;
        };
        let said = &mut effects.alerts[said..];
        let notice = self
            .newcomers
            .first_reading(role, self.listening.count, said);
        effects.notices.extend(notice);
    }

    fn judge_rack(&mut self, reading: &Reading, effects: &mut Effects) {
        let found = self.racks.runaway(&self.devices, reading);
        if let Some(device) = self.devices.get_mut(&reading.device) {
            device.judge_rack(reading, found, effects);
        }
    }

    /// Gives the device the plan that the rules now come to for it.
    fn replan(&mut self, id: &DeviceId, effects: &mut Effects) {
        let Some(device) = self.devices.get_mut(id) else {
            return;
        };
        let subject = device.subject(id);
        let role = subject.as_ref().map(|subject| subject.role);
        let plan = match subject {
            Some(subject) => self.rules.plan(&subject),
            None => Plan::default(),
        };
        let before = device.set_counted(role);
        if before != role {
            self.newcomers.count(before, role);
        }
        let shared = self.plans.iter().find(|known| ***known == plan).cloned();
        let plan = shared.unwrap_or_else(|| {
            let plan = Arc::new(plan);
            self.plans.push(Arc::clone(&plan));
            plan
        });
        device.set_plan(id, &plan, effects);
        let rack = device.rack(id).filter(|_| device.asks_its_rack());
        let number = self.racks.place(id, device.rack_number(), rack);
        device.set_rack_number(number);
    }

    /// After a restore: what was said is what counts. Episodes of rules that are gone end here.
    fn align(&mut self, effects: &mut Effects) {
        let Some(said) = self.said.take() else { return };
        self.agents = Agents::of(&said);
        self.missed = Missed::of(&said);
        self.outages = Outages::of(&said);
        let mut by_device: HashMap<&DeviceId, Vec<&Episode>> = HashMap::new();
        for episode in &said {
            by_device.entry(&episode.device).or_default().push(episode);
        }
        for (id, device) in &mut self.devices {
            device.align(by_device.get(id).map_or(&[], Vec::as_slice), effects);
        }
        // HashMap order must not show in the records.
        effects
            .alerts
            .sort_by(|a, b| (&a.device, &a.rule).cmp(&(&b.device, &b.rule)));
    }
}
