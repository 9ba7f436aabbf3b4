//! Applies changes to the read model.

use std::collections::BTreeSet;

use rackwatch_core::alert::{AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::reading::Reading;
use rackwatch_core::site::Site;

use super::behind::Behind;
use super::change::{Change, ChangeSet};
use super::rows::Open;
use super::{KnownDevice, ReadModel};

/// Alert records kept. The oldest are dropped.
const MAX_ALERTS: usize = 5_000;
/// Incident records kept. The oldest are dropped.
const MAX_INCIDENT_RECORDS: usize = 5_000;

impl ReadModel {
    /// Applies a change. A reading that is older than the known one is ignored, unless no newer one comes.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Site(site) => self.apply_site(site),
            Change::Described(id, Some(description)) => self.apply_description(id, description),
            Change::Described(id, None) => {
                if self.devices.remove(&id).is_some() {
                    self.changes.reload = true;
                }
            }
            Change::Refused(id, reason) => self.apply_refusal(&id, reason),
            Change::Reading { reading, by_agent } => self.apply_reading(reading, by_agent),
            Change::Open(episodes) => self.apply_episodes(episodes),
            Change::Alert(record) => self.apply_alert(*record),
            Change::Incident(record) => self.apply_incident(*record),
            Change::Time(now) => self.apply_time(now),
            Change::Silences(silences) => {
                if silences != self.silences {
                    self.silences = silences;
                    self.changes.silences = true;
                }
            }
        }
    }

    /// Takes the changes since the last call.
    pub(crate) fn take_changes(&mut self) -> ChangeSet {
        std::mem::take(&mut self.changes)
    }

    fn apply_site(&mut self, site: Site) {
        self.site = site;
        for (id, device) in &mut self.devices {
            device.place(id, &self.site);
        }
        self.changes.reload = true;
    }

    fn apply_description(&mut self, id: DeviceId, description: Box<Description>) {
        let device = self.devices.entry(id.clone()).or_default();
        // The board's verdict changes now and then, and moves nothing.
        let place = |device: &KnownDevice| {
            let mut known = device.known.clone();
            known.verdict = None;
            (device.described.is_some(), known, device.spot.clone())
        };
        let before = place(device);
        device.described = Some(description);
        device.refused = None;
        device.place(&id, &self.site);
        let is_in_place = place(device) == before;
        self.update_state(&id);
        if is_in_place {
            self.changes.devices.insert(id);
        } else {
            self.changes.reload = true;
        }
    }

    /// Takes back the description of a device: the present one is refused, so nothing is known of it.
    fn apply_refusal(&mut self, id: &DeviceId, reason: String) {
        let device = self.devices.entry(id.clone()).or_default();
        device.described = None;
        device.refused = Some(reason);
        device.place(id, &self.site);
        self.update_state(id);
        self.changes.reload = true;
    }

    fn apply_reading(&mut self, reading: Reading, by_agent: bool) {
        let Reading {
            device: id,
            at,
            value,
        } = reading;
        let is_new = !self.devices.contains_key(&id);
        if is_new && self.devices.len() >= self.max_devices {
            return;
        }
        let device = self.devices.entry(id.clone()).or_default();
        // An agent's device without a description has another role than a plain client's.
        let is_role_new = by_agent && !device.by_agent && device.described.is_none();
        device.by_agent |= by_agent;
        if is_new {
            device.place(&id, &self.site);
        }
        self.changes.reload |= is_new || is_role_new;
        if let Some(last) = device.at
            && at <= last
        {
            let now = self.now;
            let is_set_back = at < last
                && device
                    .behind
                    .get_or_insert_with(|| Behind::begin(now))
                    .count(now);
            if !is_set_back {
                return;
            }
        }
        device.behind = None;
        device.at = Some(at);
        match value {
            Ok(value) => {
                device.has_read = true;
                (device.value, device.fault) = (Some(value), None);
            }
            Err(fault) => device.fault = Some(fault),
        }
        self.update_state(&id);
        self.changes.devices.insert(id);
    }

    fn apply_episodes(&mut self, episodes: Vec<Episode>) {
        let before: BTreeSet<DeviceId> = self.open.keys().cloned().collect();
        self.open.clear();
        for episode in episodes {
            let open = Open {
                rule: episode.rule.clone(),
                kind: episode.kind,
                severity: episode.severity,
                threshold: episode.threshold,
                since: episode.started,
            };
            let rules = self.open.entry(episode.subject.into()).or_default();
            rules.insert(episode.rule, open);
        }
        self.changes.devices.extend(before);
        self.changes.devices.extend(self.open.keys().cloned());
    }

    fn apply_alert(&mut self, record: AlertRecord) {
        let id = record.subject.as_id();
        self.changes.devices.insert(id.clone());
        match record.state() {
            AlertState::Firing => {
                let open = Open {
                    rule: record.rule.clone(),
                    kind: record.kind(),
                    severity: record.severity,
                    threshold: record.threshold,
                    since: record.started,
                };
                let rules = self.open.entry(id.clone()).or_default();
                rules.insert(record.rule.clone(), open);
            }
            AlertState::Resolved => {
                if let Some(rules) = self.open.get_mut(id) {
                    rules.remove(&record.rule);
                    if rules.is_empty() {
                        self.open.remove(id);
                    }
                }
            }
        }
        if self.alerts.len() == MAX_ALERTS {
            self.alerts.pop_front();
        }
        self.alerts.push_back(record);
    }

    fn apply_incident(&mut self, record: IncidentRecord) {
        self.changes.incidents.insert(record.id.clone());
        if record.event == Event::Resolved {
            self.incidents.remove(&record.id);
        } else {
            self.incidents.insert(record.id.clone(), record.clone());
        }
        if self.records.len() == MAX_INCIDENT_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }
}
