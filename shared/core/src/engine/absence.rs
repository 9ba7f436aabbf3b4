//! Absence: devices, targets and agents that no longer send data.
//!
//! Time is measured by [`Listening`]. A fault counts as data: its agent reports that there is no reading.

use std::collections::{BTreeMap, BTreeSet};

use super::device::{Device, Devices};
use super::effects::AlertEvent;
use super::listening::Listening;
use super::records::{Evidence, NO_DATA};
use super::subjects::{OpenAlert, SubjectAlerts, SubjectRule};
use crate::alert::{AlertId, AlertKind, Severity};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::subject::Subject;
use crate::time::Timestamp;

/// The grace period after a clean shutdown, in milliseconds of listening.
const GRACE_MS: u64 = 20 * 60_000;

/// The agents and targets that send no data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Absence {
    pub(super) listening: Listening,
    alerts: SubjectAlerts,
}

impl Default for Absence {
    fn default() -> Self {
        Self {
            listening: Listening::default(),
            alerts: SubjectAlerts::new(SubjectRule {
                kind: AlertKind::NoData,
                name: NO_DATA,
                threshold: 0.0,
            }),
        }
    }
}

/// The devices of each agent, or of each target.
#[derive(Debug, Default)]
struct Groups(BTreeMap<String, Group>);

/// The devices of one agent or target.
#[derive(Debug, Default)]
struct Group {
    agents: BTreeSet<String>,
    devices: usize,
    absent: usize,
    /// The newest reading of all.
    last: Timestamp,
    /// The time since the device that was heard last, in milliseconds of listening.
    quiet: u64,
    severity: Option<Severity>,
    all_leaving: bool,
    /// The rack of all devices; empty where they are in several.
    rack: Option<String>,
}

impl Absence {
    /// Returns whether a stored episode belongs here.
    pub(super) fn owns(episode: &Episode) -> bool {
        episode.rule == NO_DATA && episode.subject.sensor().is_none()
    }

    /// Takes over the stored episodes that belong here.
    pub(super) fn resume(&mut self, episodes: &[Episode]) {
        self.alerts
            .resume(episodes.iter().filter(|episode| Self::owns(episode)));
    }

    /// Closes the alert with this id, because a person resolved it.
    pub(super) fn resolve_by_hand(
        &mut self,
        subject: &Subject,
        alert: &AlertId,
        at: Timestamp,
    ) -> Option<AlertEvent> {
        self.alerts.resolve_by_hand(subject, alert, at)
    }

    /// Returns whether no alert about an agent or a target is open.
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Checks every device. If all devices of an agent are absent, that is one alert; so it is for a target.
    /// Else each absent device has its own.
    pub(super) fn check(&mut self, devices: &mut Devices) -> Vec<AlertEvent> {
        let now = self.listening.count;
        let is_absent = |device: &Device| {
            let limit = device.absence_limit();
            limit.is_some_and(|(_, after)| now.saturating_sub(device.heard) >= after)
        };
        // Nearly always none is, and no groups are needed.
        if !devices.values().any(|device| is_absent(device)) {
            return Vec::new();
        }
        let (mut agents, mut targets) = (Groups::default(), Groups::default());
        let mut absent: Vec<DeviceId> = Vec::new();
        for (id, device) in devices.iter() {
            let Some((severity, after)) = device.absence_limit() else {
                continue;
            };
            let quiet = now.saturating_sub(device.heard);
            let severity = (quiet >= after).then_some(severity);
            agents.add(device.agent(), device, quiet, severity);
            targets.add(device.target(), device, quiet, severity);
            if severity.is_some() {
                absent.push(id.clone());
            }
        }
        let at = self.listening.now();
        let mut events = Vec::new();
        for (agent, group) in &agents.0 {
            events.extend(self.fire(Subject::agent(agent), group, at));
        }
        for (target, group) in &targets.0 {
            // A single device has its own alert, and an absent agent covers its targets.
            let covered = group.agents.iter().all(|agent| agents.is_absent(agent));
            if group.devices > 1 && !covered {
                events.extend(self.fire(Subject::target(target), group, at));
            }
        }
        // The map's order must not show in the records.
        absent.sort_unstable();
        for id in absent {
            let Some(device) = devices.get_mut(&id) else {
                continue;
            };
            let of_agent = device.agent().is_some_and(|agent| agents.is_absent(agent));
            let of_target = device.target().is_some_and(|target| {
                let group = targets.0.get(target);
                group.is_some_and(|group| group.devices > 1 && group.is_absent())
            });
            if !of_agent && !of_target {
                let quiet = now.saturating_sub(device.heard);
                events.extend(device.report_absence(&id, quiet >= GRACE_MS, at));
            }
        }
        events
    }

    fn fire(&mut self, subject: Subject, group: &Group, at: Timestamp) -> Option<AlertEvent> {
        let severity = group.severity.filter(|_| group.is_absent())?;
        let severity = if group.all_leaving && group.quiet < GRACE_MS {
            Severity::Info
        } else {
            severity
        };
        let known = self.alerts.get(&subject);
        if known.is_some_and(|known| known.severity >= severity) {
            return None;
        }
        let since = known.map_or(group.last, |known| known.since);
        let open = OpenAlert::new(since, severity, group.rack.clone().unwrap_or_default());
        Some(self.alerts.fire(subject, open, Evidence::at(at)))
    }

    /// Takes in that a device was heard: the alerts of its agent and its target end, and the absence of their
    /// other devices is counted anew.
    pub(super) fn hear(
        &mut self,
        devices: &mut Devices,
        id: &DeviceId,
        at: Timestamp,
    ) -> Vec<AlertEvent> {
        let Some(device) = devices.get(id).filter(|_| !self.is_empty()) else {
            return Vec::new();
        };
        let agent = device.agent().map(str::to_owned);
        let target = device.target().map(str::to_owned);
        let mut events = Vec::new();
        if let Some(agent) = agent
            && let Some(event) = self.end(Subject::agent(&agent), at)
        {
            events.push(event);
            self.restart(devices, |device| device.agent() == Some(&agent));
        }
        if let Some(target) = target
            && let Some(event) = self.end(Subject::target(&target), at)
        {
            events.push(event);
            self.restart(devices, |device| device.target() == Some(&target));
        }
        events
    }

    fn restart(&self, devices: &mut Devices, belongs: impl Fn(&Device) -> bool) {
        for device in devices.values_mut() {
            if device.heard > 0 && belongs(device) {
                device.heard = self.listening.count;
            }
        }
    }

    /// Closes the alert of an agent or a target that was heard, or has no devices any more.
    pub(super) fn end(&mut self, subject: Subject, at: Timestamp) -> Option<AlertEvent> {
        self.alerts.resolve(subject, at)
    }
}

impl Groups {
    fn add(&mut self, name: Option<&str>, device: &Device, quiet: u64, absent: Option<Severity>) {
        let Some(name) = name else { return };
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Group::new());
        }
        if let Some(group) = self.0.get_mut(name) {
            group.add(device, quiet, absent);
        }
    }

    fn is_absent(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Group::is_absent)
    }
}

impl Group {
    fn new() -> Self {
        Self {
            quiet: u64::MAX,
            all_leaving: true,
            ..Self::default()
        }
    }

    fn add(&mut self, device: &Device, quiet: u64, absent: Option<Severity>) {
        let agent = device.agent().unwrap_or_default();
        if !self.agents.contains(agent) {
            self.agents.insert(agent.to_owned());
        }
        self.devices += 1;
        self.absent += usize::from(absent.is_some());
        self.last = self.last.max(device.last_read().unwrap_or_default());
        self.quiet = self.quiet.min(quiet);
        self.severity = self.severity.max(absent);
        self.all_leaving &= device.is_leaving();
        let rack = device.described_rack().unwrap_or_default();
        match &mut self.rack {
            None => self.rack = Some(rack.to_owned()),
            Some(all) if all != rack => all.clear(),
            Some(_) => {}
        }
    }

    /// Returns whether all of its devices are absent.
    fn is_absent(&self) -> bool {
        self.absent == self.devices && self.devices > 0
    }
}
