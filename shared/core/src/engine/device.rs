//! One device in the engine: what is known of it, its plan, and the state of each rule.
//!
//! `judge` judges a reading, `outage` is about a target that does not answer, `silence` is about there being none, `saved` carries it over a restart.

mod judge;
mod outage;
mod saved;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use thin_vec::ThinVec;

use super::clock::{Clock, SetBack};
use super::racks::RackNumber;
use super::records::{CLOCK_SKEW, Place, ended, given_up, recovered, set_back};
use super::{Effects, EpisodeChange};
use crate::detect::DetectorState;
use crate::detect::trend::Trend;
use crate::device::{Description, DeviceId, HardwareLimits, Range, Role};
use crate::episode::{Episode, Open, Tracker};
use crate::quality;
use crate::reading::Reading;
use crate::rules::{Plan, Subject};
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

pub(super) use saved::Saved;

/// A device.
#[derive(Debug, Default)]
pub(super) struct Device {
    description: Option<Box<Description>>,
    /// Who writes it; none before its first reading.
    by_agent: Option<bool>,
    plan: Arc<Plan>,
    /// One for each rule of the plan.
    detectors: Box<[DetectorState]>,
    /// The same; none at all while every one is idle, as nearly always.
    trackers: ThinVec<Tracker>,
    /// The rack that it is judged with, by the engine's number.
    rack: Option<RackNumber>,
    trend: Trend,
    /// The newest reading that was taken in.
    last: Option<(Timestamp, Option<Celsius>)>,
    /// When it could last be judged, in seconds from 1970; zero for never.
    judged: u32,
    /// The role that it is counted with.
    counted: Option<Role>,
    /// The last entry that had a reading of it.
    through: StreamId,
    clock: Clock,
    /// When it was heard last, by what counts as silence; zero for never.
    pub(super) heard: u64,
    /// How long it pauses at times, in milliseconds, where nobody says how often it is read.
    pause: u64,
    /// Since when its target has given no answer, while that was not said.
    failing: Option<Timestamp>,
    /// What was said before a restart of which the device's own state is lost: waits for the plan.
    carried: Option<Box<[Episode]>>,
}

/// What a device cannot answer by itself.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each question")]
pub(super) struct Asks {
    /// Whether its rack runs away.
    pub(super) rack: bool,
    /// What the others of its rack say.
    pub(super) others: bool,
    /// It was judged for the first time.
    pub(super) first: bool,
    /// Its target has given no answer for long: whether for any other.
    pub(super) outage: bool,
}

impl Device {
    /// What is known of it.
    pub(super) fn description(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// Whether it differs from what was known.
    pub(super) fn set_description(&mut self, now: Option<Box<Description>>) -> bool {
        let changed = self.description != now;
        self.description = now;
        changed
    }

    /// Whether it is known to be written by such a writer.
    pub(super) fn is_written(&self, by_agent: bool) -> bool {
        self.by_agent == Some(by_agent || self.by_agent == Some(true))
    }

    /// Whether that changes how the device is judged. Once an agent has written it, it stays an
    /// agent's.
    pub(super) fn set_writer(&mut self, by_agent: bool) -> bool {
        let now = Some(by_agent || self.by_agent == Some(true));
        let changed = self.by_agent != now;
        self.by_agent = now;
        changed
    }

    /// What rules look at; none while the device is to be judged by no rule.
    pub(super) fn subject<'a>(&'a self, id: &'a DeviceId) -> Option<Subject<'a>> {
        if let Some(known) = &self.description {
            return Some(Subject {
                device: id,
                role: known.role,
                rack: known.rack.as_deref(),
                limits: known.limits,
                resolution: known.resolution,
                interval: known.interval,
            });
        }
        (self.by_agent == Some(false)).then(|| Subject {
            device: id,
            role: Role::Inlet,
            rack: id.rack_part(),
            limits: HardwareLimits::default(),
            resolution: None,
            interval: Duration::ZERO,
        })
    }

    fn role(&self) -> Role {
        // A plain client's devices are inlets; of an agent's nobody knows before it is described.
        let undescribed = if self.by_agent == Some(true) {
            Role::Other
        } else {
            Role::Inlet
        };
        self.description
            .as_ref()
            .map_or(undescribed, |known| known.role)
    }

    fn range(&self) -> Option<Range> {
        self.description.as_deref()?.range
    }

    fn place(&self, id: &DeviceId) -> Place {
        Place::of(self.description.as_deref(), id)
    }

    /// Rules that mean the same keep their state; an episode of a rule that is gone ends.
    pub(super) fn set_plan(&mut self, id: &DeviceId, plan: &Arc<Plan>, effects: &mut Effects) {
        let old = std::mem::replace(&mut self.plan, Arc::clone(plan));
        let detectors = std::mem::take(&mut self.detectors).into_iter();
        let trackers = std::mem::take(&mut self.trackers).into_iter();
        // Of idle ones there are none.
        let trackers = trackers.chain(std::iter::repeat_with(Tracker::default));
        let mut states: Vec<_> = old.rules.iter().zip(detectors.zip(trackers)).collect();
        let mut detectors = Vec::with_capacity(plan.rules.len());
        for (index, rule) in plan.rules.iter().enumerate() {
            let same = states.iter().position(|(known, _)| known.name == rule.name);
            let kept = same.map(|index| states.swap_remove(index));
            detectors.push(match kept {
                Some((known, (detector, tracker))) => {
                    self.set_tracker(index, tracker);
                    // Other numbers: the episode goes on, the windows start cold.
                    if known == rule {
                        detector
                    } else {
                        DetectorState::new(&rule.detector)
                    }
                }
                None => DetectorState::new(&rule.detector),
            });
        }
        self.detectors = detectors.into();
        let place = self.place(id);
        let at = self.last.map(|(at, _)| at);
        for (rule, (_, tracker)) in states {
            if let Some(open) = tracker.open() {
                let at = at.unwrap_or(open.started);
                let temperature = self.last.and_then(|(_, value)| value);
                effects
                    .alerts
                    .push(ended(id, &place, rule, at, temperature, *open, None));
                let rule = rule.name.clone();
                effects.episodes.push(EpisodeChange::Close {
                    device: id.clone(),
                    rule,
                });
            }
        }
        if let Some(carried) = self.carried.take() {
            self.align(&carried.iter().collect::<Vec<_>>(), effects);
        }
    }

    /// What is to be asked of its rack.
    pub(super) fn read(
        &mut self,
        entry: StreamId,
        reading: &Reading,
        effects: &mut Effects,
    ) -> Asks {
        if let Some((last, _)) = self.last
            && reading.at <= last
        {
            // An entry that was gone through before says nothing of the clock.
            let again = entry <= self.through && entry != StreamId::ZERO;
            self.through = self.through.max(entry);
            let value = match reading.value {
                Ok(value) if !again && self.clock.behind(entry, reading.at) => Some(value),
                _ => None,
            };
            let Some(value) = value else {
                let tally = &mut effects.tally;
                let count = if reading.at == last {
                    &mut tally.duplicate
                } else {
                    &mut tally.late
                };
                *count += 1;
                return Asks::default();
            };
            self.begin_anew(reading, value, last, effects);
        }
        self.through = self.through.max(entry);
        self.clock.in_time();
        if let Ok(value) = reading.value
            && let Some(set_back) = self.clock.recovers(reading.at)
        {
            let id = &reading.device;
            let record = recovered(id, self.place(id), set_back.started, reading.at, value);
            effects.alerts.push(record);
            effects.episodes.push(EpisodeChange::Close {
                device: id.clone(),
                rule: CLOCK_SKEW.to_owned(),
            });
        }
        let tally = &mut effects.tally;
        let checked = match &reading.value {
            Ok(value) => quality::check(self.role(), self.range(), *value),
            Err(fault) => Err(fault.clone()),
        };
        let value = match checked {
            Ok(value) => value,
            Err(fault) => {
                tally.faults += 1;
                self.last = Some((reading.at, self.last.and_then(|(_, value)| value)));
                if fault.is_of_target() {
                    let outage = self.fail_with_target(reading.at);
                    if self.failing.is_some() {
                        return Asks {
                            outage,
                            ..Asks::default()
                        };
                    }
                }
                self.failing = None;
                self.fail(&reading.device, reading.at, &fault, effects);
                return Asks::default();
            }
        };
        self.failing = None;
        self.last = Some((reading.at, Some(value)));
        if self.description.is_none() && self.by_agent == Some(true) {
            tally.undescribed += 1;
        } else {
            tally.judged += 1;
        }
        self.judge(&reading.device, reading.at, value, effects)
    }

    /// The tracker of a rule, to be moved; to be followed by [`Device::settle`].
    fn tracker(&mut self, index: usize) -> Option<&mut Tracker> {
        if self.trackers.is_empty() {
            self.trackers.reserve_exact(self.detectors.len());
            self.trackers
                .resize(self.detectors.len(), Tracker::default());
        }
        self.trackers.get_mut(index)
    }

    fn set_tracker(&mut self, index: usize, tracker: Tracker) {
        if tracker.is_idle() {
            return;
        }
        if self.trackers.len() <= index {
            let rules = self.plan.rules.len().max(index + 1);
            self.trackers.resize(rules, Tracker::default());
        }
        self.trackers[index] = tracker;
    }

    /// Keeps no tracker where all are idle.
    fn settle(&mut self) {
        if self.trackers.iter().all(Tracker::is_idle) {
            self.trackers = ThinVec::new();
        }
    }

    fn is_idle(&self, index: usize) -> bool {
        self.trackers.get(index).is_none_or(Tracker::is_idle)
    }

    /// The open episode of a rule.
    fn open(&self, index: usize) -> Option<&Open> {
        self.trackers.get(index)?.open()
    }

    /// The role that it is counted with.
    pub(super) fn counted(&self) -> Option<Role> {
        self.counted
    }

    /// The role that it was counted with before.
    pub(super) fn set_counted(&mut self, role: Option<Role>) -> Option<Role> {
        std::mem::replace(&mut self.counted, role)
    }

    /// The rack that it is judged with.
    pub(super) fn rack_number(&self) -> Option<RackNumber> {
        self.rack
    }

    pub(super) fn set_rack_number(&mut self, rack: Option<RackNumber>) {
        self.rack = rack;
    }

    /// The device's clock was set back from `last`: its windows start cold by the new time, its
    /// episodes go on.
    fn begin_anew(
        &mut self,
        reading: &Reading,
        value: Celsius,
        last: Timestamp,
        effects: &mut Effects,
    ) {
        let (id, at) = (&reading.device, reading.at);
        self.trend = Trend::default();
        for (rule, detector) in self.plan.rules.iter().zip(&mut self.detectors) {
            *detector = DetectorState::new(&rule.detector);
        }
        for tracker in &mut self.trackers {
            tracker.rebase(at);
        }
        let said = self.clock.set_back.is_some();
        self.clock.begin(at, last);
        // Set back again before it was over: the same trouble.
        if said {
            return;
        }
        let (record, episode) = set_back(id, self.place(id), at, value, last.since(at));
        effects.alerts.push(record);
        effects
            .episodes
            .push(EpisodeChange::Open(Box::new(episode)));
    }

    /// Brings every tracker in line with what was said of this device.
    pub(super) fn align(&mut self, said: &[&Episode], effects: &mut Effects) {
        if self.by_agent.is_none() && self.description.is_none() {
            let said = said.iter().map(|episode| (*episode).clone());
            self.carried = Some(said.collect());
            return;
        }
        let plan = Arc::clone(&self.plan);
        if !self.trackers.is_empty() || !said.is_empty() {
            for (index, rule) in plan.rules.iter().enumerate() {
                if let Some(tracker) = self.tracker(index) {
                    tracker.align(said.iter().find(|e| e.rule == rule.name).copied());
                }
            }
            self.settle();
        }
        let skewed = said.iter().find(|episode| episode.rule == CLOCK_SKEW);
        self.clock.set_back = skewed.map(|episode| {
            let known = self.clock.set_back;
            known.unwrap_or(SetBack {
                started: episode.started,
                from: None,
            })
        });
        for episode in said.iter().filter(|episode| episode.rule != CLOCK_SKEW) {
            if !self.plan.rules.iter().any(|rule| rule.name == episode.rule) {
                let at = self.last.map_or(episode.at, |(at, _)| at);
                let now = self.last.and_then(|(_, value)| value);
                effects.alerts.push(given_up(episode, at, now));
                let (device, rule) = (episode.device.clone(), episode.rule.clone());
                effects.episodes.push(EpisodeChange::Close { device, rule });
            }
        }
    }

    /// What it read last, if that was well.
    pub(super) fn value(&self) -> Option<f64> {
        self.last.and_then(|(_, value)| value).map(Celsius::degrees)
    }

    /// The rack it stands in, where that is known.
    pub(super) fn rack(&self, id: &DeviceId) -> Option<(String, String)> {
        let place = self.place(id);
        let zone = self
            .description
            .as_deref()
            .map_or(Description::DEFAULT_ZONE, Description::zone);
        (!place.rack.is_empty()).then(|| (zone.to_owned(), place.rack))
    }

    /// The name of its agent, where it is described.
    pub(super) fn agent(&self) -> Option<&str> {
        let agent = self.description.as_deref()?.agent.as_str();
        (!agent.is_empty()).then_some(agent)
    }

    /// What its agent reads to read it, where it is described.
    pub(super) fn target(&self) -> Option<&str> {
        let target = self.description.as_deref()?.target.as_str();
        (!target.is_empty()).then_some(target)
    }

    /// The rack that it is in, as far as it is known.
    pub(super) fn stands_in(&self) -> Option<&str> {
        self.description.as_deref()?.rack.as_deref()
    }

    /// What it measures, and how high in its rack; `other` where an agent has not described it yet.
    pub(super) fn stands(&self) -> (Role, Option<u16>) {
        match (self.description.as_deref(), self.by_agent) {
            (Some(known), _) => (known.role, known.u),
            (None, Some(false)) => (Role::Inlet, None),
            (None, _) => (Role::Other, None),
        }
    }

    /// Its agent said that it leaves.
    pub(super) fn leaves(&self) -> bool {
        self.description.as_ref().is_some_and(|known| known.leaving)
    }

    /// When it was read last.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last.map(|(at, _)| at)
    }

    /// Whether it has taken in later entries.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.through > other.through
    }
}
