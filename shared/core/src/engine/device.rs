//! One device in the engine: what is known of it, its plan, and the state of each rule.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::{Clock, SetBack};
use super::records::{CLOCK_SKEW, Place, ended, fired, given_up, recovered, set_back, silent};
use super::{Effects, EpisodeChange};
use crate::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use crate::detect::runaway::{Runaway, RunawaySpec, RunawayState};
use crate::detect::trend::Trend;
use crate::detect::{Detector, DetectorState, Finding};
use crate::device::{Description, DeviceId, HardwareLimits, Role};
use crate::episode::{Change, Episode, Tracker};
use crate::quality;
use crate::reading::{Fault, Reading};
use crate::rules::{Plan, PlannedRule, Subject};
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// A device.
#[derive(Debug, Default)]
pub(super) struct Device {
    description: Option<Box<Description>>,
    /// Who writes it; none before its first reading.
    by_agent: Option<bool>,
    plan: Arc<Plan>,
    /// One for each rule of the plan.
    rules: Vec<RuleState>,
    trend: Trend,
    /// The newest reading that was taken in.
    last: Option<(Timestamp, Option<Celsius>)>,
    /// The last entry that had a reading of it.
    through: StreamId,
    clock: Clock,
    /// When it was heard last, by what counts as silence; zero for never.
    pub(super) heard: u64,
    /// How long it pauses at times, in milliseconds, where nobody says how often it is read.
    pause: u64,
    /// What was said before a restart of which the device's own state is lost: waits for the plan.
    carried: Option<Box<[Episode]>>,
}

/// What a device cannot answer by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asks {
    /// Whether its rack runs away.
    pub(super) rack: bool,
    /// What the others of its rack say.
    pub(super) others: bool,
}

/// What one rule remembers of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleState {
    pub(super) detector: DetectorState,
    pub(super) tracker: Tracker,
}

/// A device as it stands in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    id: DeviceId,
    through: StreamId,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Box<Description>>,
    by_agent: Option<bool>,
    last: Option<(Timestamp, Option<Celsius>)>,
    trend: Trend,
    #[serde(default, skip_serializing_if = "Clock::is_fine")]
    clock: Clock,
    heard: u64,
    #[serde(default)]
    pause: u64,
    /// Name and fingerprint of each rule, with its state.
    rules: Vec<(String, u64, RuleState)>,
}

/// Silence begins after so many of the longest pauses.
const PAUSES: u64 = 3;

impl Device {
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

    /// Where it stands. An id names a rack or a host; only a description tells which, so that the
    /// id is believed where there is none.
    fn place(&self, id: &DeviceId) -> Place {
        match self.description.as_deref() {
            Some(known) => Place {
                rack: known.rack.clone().unwrap_or_default(),
                u: known.u,
                role: known.role,
            },
            None => Place {
                rack: id.rack_part().unwrap_or_default().to_owned(),
                u: None,
                role: Role::Inlet,
            },
        }
    }

    /// Rules that mean the same keep their state; an episode of a rule that is gone ends.
    pub(super) fn set_plan(&mut self, id: &DeviceId, plan: &Arc<Plan>, effects: &mut Effects) {
        let old = std::mem::replace(&mut self.plan, Arc::clone(plan));
        let mut states: Vec<_> = old
            .rules
            .iter()
            .zip(std::mem::take(&mut self.rules))
            .collect();
        self.rules = Vec::with_capacity(plan.rules.len());
        for rule in &plan.rules {
            let same = states.iter().position(|(known, _)| known.name == rule.name);
            let kept = same.map(|index| states.swap_remove(index));
            self.rules.push(match kept {
                Some((known, state)) if known == rule => state,
                // Other numbers: the episode goes on, the windows start cold.
                Some((_, state)) => RuleState {
                    tracker: state.tracker,
                    ..RuleState::new(rule)
                },
                None => RuleState::new(rule),
            });
        }
        let place = self.place(id);
        let at = self.last.map(|(at, _)| at);
        for (rule, state) in states {
            if let Some(open) = state.tracker.open() {
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
            Ok(value) => quality::check(self.role(), *value),
            Err(fault) => Err(fault.clone()),
        };
        let value = match checked {
            Ok(value) => value,
            Err(fault) => {
                tally.faults += 1;
                self.last = Some((reading.at, self.last.and_then(|(_, value)| value)));
                self.fail(&reading.device, reading.at, &fault, effects);
                return Asks::default();
            }
        };
        self.last = Some((reading.at, Some(value)));
        if self.description.is_none() && self.by_agent == Some(true) {
            tally.undescribed += 1;
        } else {
            tally.judged += 1;
        }
        let asks = self.judge(&reading.device, reading.at, value, effects);
        self.trend.observe(reading.at, value);
        asks
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
        for (rule, state) in self.plan.rules.iter().zip(&mut self.rules) {
            state.detector = DetectorState::new(&rule.detector);
            state.tracker.rebase(at);
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

    /// By all rules that need no other device.
    fn judge(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        value: Celsius,
        effects: &mut Effects,
    ) -> Asks {
        let plan = Arc::clone(&self.plan);
        let mut asks = Asks::default();
        for index in 0..plan.rules.len().min(self.rules.len()) {
            let rule = &plan.rules[index];
            let state = &mut self.rules[index];
            if let (DetectorState::Runaway(runaway), Detector::Runaway(spec)) =
                (&mut state.detector, &rule.detector)
            {
                asks.rack |= runaway.observe(spec, at, value) || state.tracker.open().is_some();
                continue;
            }
            if let DetectorState::Stuck(stuck) = &mut state.detector
                && stuck.observe(at, value)
            {
                // What the others say decides.
                asks.others = true;
                continue;
            }
            let finding = match (&state.detector, &rule.detector) {
                (DetectorState::Stuck(stuck), Detector::Stuck(spec)) => stuck.finding(spec, at),
                _ => state.detector.observe(&rule.detector, at, value),
            };
            if finding.is_none() && state.tracker.is_idle() {
                continue;
            }
            self.find(id, index, at, value, finding, effects);
        }
        asks
    }

    /// The rule that asks for the rack, with its state; none where there is none.
    pub(super) fn runaway(&self) -> Option<(&RunawaySpec, &RunawayState, &Tracker)> {
        let mut rules = self.plan.rules.iter().zip(&self.rules);
        rules.find_map(|(rule, state)| match (&rule.detector, &state.detector) {
            (Detector::Runaway(spec), DetectorState::Runaway(known)) => {
                Some((spec, known.as_ref(), &state.tracker))
            }
            _ => None,
        })
    }

    /// What the others of its rack have as their mean, with the reading that was judged last.
    pub(super) fn judge_others(
        &mut self,
        reading: &Reading,
        mean: Option<f64>,
        effects: &mut Effects,
    ) {
        let Ok(value) = reading.value else { return };
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let state = self.rules.get_mut(index).map(|rule| &mut rule.detector);
            if let (Some(DetectorState::Stuck(state)), Detector::Stuck(spec)) =
                (state, &rule.detector)
            {
                state.look(mean);
                let finding = state.finding(spec, reading.at);
                self.find(&reading.device, index, reading.at, value, finding, effects);
            }
        }
    }

    /// It could not be read, or what was read cannot be meant.
    fn fail(&mut self, id: &DeviceId, at: Timestamp, fault: &Fault, effects: &mut Effects) {
        let plan = Arc::clone(&self.plan);
        let last = self.last.and_then(|(_, value)| value);
        for (index, rule) in plan.rules.iter().enumerate() {
            let state = self.rules.get(index).map(|rule| &rule.detector);
            if let (Some(DetectorState::Fault(state)), Detector::Fault(spec)) =
                (state, &rule.detector)
            {
                let finding = state.failed(spec);
                let said = effects.alerts.len();
                self.find(
                    id,
                    index,
                    at,
                    last.unwrap_or(Celsius::ZERO),
                    finding,
                    effects,
                );
                for record in &mut effects.alerts[said..] {
                    record.temperature = None;
                    record.rate = None;
                    record.reason = Some(fault.to_string());
                }
            }
        }
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

    /// What its rack does together, with the reading that was judged last.
    pub(super) fn judge_rack(
        &mut self,
        reading: &Reading,
        found: Option<Runaway>,
        effects: &mut Effects,
    ) {
        let Ok(value) = reading.value else { return };
        let is_it = |rule: &PlannedRule| matches!(rule.detector, Detector::Runaway(_));
        let Some(index) = self.plan.rules.iter().position(is_it) else {
            return;
        };
        let finding = found.map(|found| Finding {
            runaway: Some(found),
            ..Finding::of(Severity::Critical).by(found.rise)
        });
        self.find(&reading.device, index, reading.at, value, finding, effects);
    }

    /// What a rule found in the newest reading.
    fn find(
        &mut self,
        id: &DeviceId,
        index: usize,
        at: Timestamp,
        value: Celsius,
        finding: Option<Finding>,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        if let (Some(rule), Some(state)) = (plan.rules.get(index), self.rules.get_mut(index)) {
            let further = further_of(rule.kind, finding);
            let change = state
                .tracker
                .observe(rule.timing, at, value, finding, further);
            let Some(change) = change else { return };
            let place = self.place(id);
            let rate = self.trend.rate(at, value);
            match change {
                Change::Began(open) | Change::Worsened(open) => {
                    let (record, episode) = fired(id, place, rule, at, value, open, finding, rate);
                    effects.alerts.push(record);
                    effects
                        .episodes
                        .push(EpisodeChange::Open(Box::new(episode)));
                }
                Change::Ended(open) => {
                    effects
                        .alerts
                        .push(ended(id, &place, rule, at, Some(value), open, rate));
                    let rule = rule.name.clone();
                    effects.episodes.push(EpisodeChange::Close {
                        device: id.clone(),
                        rule,
                    });
                }
            }
        }
    }

    /// Brings every tracker in line with what was said of this device.
    pub(super) fn align(&mut self, said: &[&Episode], effects: &mut Effects) {
        if self.by_agent.is_none() && self.description.is_none() {
            let said = said.iter().map(|episode| (*episode).clone());
            self.carried = Some(said.collect());
            return;
        }
        for (rule, state) in self.plan.rules.iter().zip(&mut self.rules) {
            state
                .tracker
                .align(said.iter().find(|e| e.rule == rule.name).copied());
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

    /// Whether a rule looks at its rack.
    pub(super) fn asks_its_rack(&self) -> bool {
        let of_racks =
            |rule: &PlannedRule| matches!(rule.detector, Detector::Runaway(_) | Detector::Stuck(_));
        self.plan.rules.iter().any(of_racks)
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

    /// Its agent said that it leaves.
    pub(super) fn leaves(&self) -> bool {
        self.description.as_ref().is_some_and(|known| known.leaving)
    }

    /// How bad its silence is, and after how many milliseconds it is one; none where it was never heard,
    /// or nobody asks.
    pub(super) fn misses(&self) -> Option<(Severity, u64)> {
        let rule = self.silence()?;
        let Detector::Silence(severity) = &rule.detector else {
            return None;
        };
        let after = u64::try_from(rule.timing.dwell.as_millis()).unwrap_or(u64::MAX);
        // Once is no rhythm.
        let has_rhythm = self.is_read_by_interval() || self.pause > 0;
        (self.heard > 0 && has_rhythm).then_some((*severity, after.max(self.pause * PAUSES)))
    }

    /// Somebody says how often it is read.
    fn is_read_by_interval(&self) -> bool {
        let described = self.description.as_ref();
        described.is_some_and(|known| !known.interval.is_zero())
    }

    fn silence(&self) -> Option<&PlannedRule> {
        let is_it = |rule: &&PlannedRule| matches!(rule.detector, Detector::Silence(_));
        self.plan.rules.iter().find(is_it)
    }

    /// It has been silent for long enough, or, having left, for long.
    pub(super) fn fall_silent(
        &mut self,
        id: &DeviceId,
        long: bool,
        at: Timestamp,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        let found = plan
            .rules
            .iter()
            .zip(&mut self.rules)
            .find_map(|(rule, state)| match rule.detector {
                Detector::Silence(severity) => Some((rule, severity, state)),
                _ => None,
            });
        let Some((rule, severity, state)) = found else {
            return;
        };
        let leaves = self.description.as_ref().is_some_and(|known| known.leaving);
        let severity = if leaves && !long {
            Severity::Info
        } else {
            severity
        };
        let open = state.tracker.open().copied();
        if open.is_some_and(|open| open.severity >= severity) {
            return;
        }
        let (last, value) = self.last.unwrap_or((at, None));
        let started = open.map_or(last, |open| open.started);
        let place = match self.description.as_deref() {
            Some(known) => (known.rack.clone().unwrap_or_default(), known.u, known.role),
            None => (
                id.rack_part().unwrap_or_default().to_owned(),
                None,
                Role::Inlet,
            ),
        };
        let episode = Episode {
            id: AlertId::of(id, &rule.name, started),
            device: id.clone(),
            rule: rule.name.clone(),
            kind: AlertKind::NoData,
            started,
            severity,
            threshold: rule.timing.dwell.as_secs_f64(),
            temperature: value.unwrap_or(Celsius::ZERO),
            at,
            rack: place.0.clone(),
            u: place.1,
            role: place.2,
        };
        state.tracker.align(Some(&episode));
        effects.alerts.push(AlertRecord {
            id: episode.id.clone(),
            rule: episode.rule.clone(),
            threshold: episode.threshold,
            rack: place.0,
            u: place.1,
            role: place.2,
            ..silent(id, started, at, severity)
        });
        effects
            .episodes
            .push(EpisodeChange::Open(Box::new(episode)));
    }

    /// It was heard, at `count` of what counts as silence; a silence that was spoken of is over.
    pub(super) fn hear(&mut self, count: u64, reading: &Reading, effects: &mut Effects) {
        if self.heard > 0 && !self.is_read_by_interval() {
            // A plain client does not say how often it writes: the longest pauses of late tell.
            let pause = count.saturating_sub(self.heard);
            self.pause = pause.max(self.pause - self.pause / 8);
        }
        self.heard = count;
        let rules = self.plan.rules.iter().zip(&mut self.rules);
        for (rule, state) in rules {
            let is_it = matches!(state.detector, DetectorState::Silence);
            let Some(open) = state.tracker.open().copied().filter(|_| is_it) else {
                continue;
            };
            state.tracker.align(None);
            state.tracker.settle();
            let id = &reading.device;
            let at = reading.at.max(open.started);
            let place = match self.description.as_deref() {
                Some(known) => (known.rack.clone().unwrap_or_default(), known.u, known.role),
                None => (
                    id.rack_part().unwrap_or_default().to_owned(),
                    None,
                    Role::Inlet,
                ),
            };
            effects.alerts.push(AlertRecord {
                id: AlertId::of(id, &rule.name, open.started),
                rule: rule.name.clone(),
                threshold: rule.timing.dwell.as_secs_f64(),
                rack: place.0,
                u: place.1,
                role: place.2,
                state: AlertState::Resolved,
                duration: Some(at.since(open.started)),
                ..silent(id, open.started, at, open.severity)
            });
            effects.episodes.push(EpisodeChange::Close {
                device: id.clone(),
                rule: rule.name.clone(),
            });
        }
    }

    /// When it was read last.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last.map(|(at, _)| at)
    }

    /// Whether it has taken in later entries.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.through > other.through
    }

    pub(super) fn save(&self, id: &DeviceId) -> Saved {
        let rules = self.plan.rules.iter().zip(&self.rules);
        Saved {
            id: id.clone(),
            through: self.through,
            description: self.description.clone(),
            by_agent: self.by_agent,
            last: self.last,
            trend: self.trend.clone(),
            clock: self.clock.clone(),
            heard: self.heard,
            pause: self.pause,
            rules: rules
                .map(|(r, s)| (r.name.clone(), r.fingerprint(), s.clone()))
                .collect(),
        }
    }
}

impl Saved {
    /// The zone it counts for.
    pub(super) fn zone(&self) -> &str {
        let described = self.description.as_deref();
        described.map_or(Description::DEFAULT_ZONE, Description::zone)
    }

    /// The device without its plan, and the states that its plan may take over.
    pub(super) fn into_device(self) -> (DeviceId, Device, Vec<(String, u64, RuleState)>) {
        let device = Device {
            description: self.description,
            by_agent: self.by_agent,
            last: self.last,
            trend: self.trend,
            clock: self.clock,
            heard: self.heard,
            pause: self.pause,
            through: self.through,
            ..Device::default()
        };
        (self.id, device, self.rules)
    }
}

impl Device {
    /// Takes saved states over where the rule still means the same.
    pub(super) fn resume(&mut self, saved: Vec<(String, u64, RuleState)>) {
        for (name, fingerprint, state) in saved {
            let index = self.plan.rules.iter().position(|rule| rule.name == name);
            let Some(index) = index else { continue };
            if self.plan.rules[index].fingerprint() == fingerprint {
                self.rules[index] = state;
            }
        }
    }
}

impl RuleState {
    fn new(rule: &PlannedRule) -> Self {
        Self {
            detector: DetectorState::new(&rule.detector),
            tracker: Tracker::default(),
        }
    }
}

fn further_of(kind: AlertKind, finding: Option<Finding>) -> fn(Celsius, Celsius) -> Celsius {
    let fell = || {
        finding
            .and_then(|f| f.change)
            .is_some_and(|change| change.0 < 0.0)
    };
    match kind {
        AlertKind::Drift if fell() => Celsius::min,
        // While it is held open nothing says which way it was: the peak stays.
        AlertKind::Drift if finding.is_none() => |peak, _| peak,
        AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData => |peak, _| peak,
        AlertKind::HighTemp
        | AlertKind::Spike
        | AlertKind::Drift
        | AlertKind::Runaway
        | AlertKind::ClockSkew => Celsius::max,
        AlertKind::LowTemp | AlertKind::Drop => Celsius::min,
    }
}
