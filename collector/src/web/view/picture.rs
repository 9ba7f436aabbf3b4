//! The picture: what there is to see of the whole site now. Pure.
//!
//! In: what becomes known of devices, readings, alerts, incidents and silences. Out: rows for tables, sums for maps, and
//! what has changed since it was last asked. Bounded: of alerts and incident records the newest are kept.

mod incidents;
mod rows;
mod sums;
mod troubles;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rackwatch_core::alert::{AlertRecord, AlertState, Severity};
use rackwatch_core::detect::Side;
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Event, IncidentId, IncidentRecord};
use rackwatch_core::indices::Envelope;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::rules::{DeviceTraits, RuleSet};
use rackwatch_core::site::{Site, Spot};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

pub use rows::{DeviceRow, IncidentRow, Limit, Now, Open, RackRow, Scope, Trouble};

use crate::incidents::episodes;

/// So many alert records are kept to look back at.
const ALERTS: usize = 5_000;
/// So many incident records.
const INCIDENTS: usize = 5_000;

/// Something has become known.
#[derive(Clone, Debug)]
pub enum Change {
    /// Where things stand.
    Site(Site),
    /// What is known of a device; nothing any more.
    Described(DeviceId, Option<Box<Description>>),
    /// A reading.
    Reading(Reading),
    /// All episodes that are open.
    Open(Vec<Episode>),
    /// An alert record was written.
    Alert(Box<AlertRecord>),
    /// An incident record was written.
    Incident(Box<IncidentRecord>),
    /// All silences.
    Silences(Vec<Silence>),
}

/// What has changed since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Devices with another number, fault or severity.
    pub devices: BTreeSet<DeviceId>,
    /// Incidents of which there is a new record.
    pub incidents: BTreeSet<IncidentId>,
    /// Silences are others.
    pub silences: bool,
    /// Where things stand, or what there is, is another: all is to be read again.
    pub layout: bool,
}

impl News {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.incidents.is_empty() && !self.silences && !self.layout
    }
}

/// One device, as it was seen last.
#[derive(Clone, Debug, Default)]
struct Seen {
    described: Option<Box<Description>>,
    /// With what the site says of it.
    known: Description,
    spot: Spot,
    value: Option<Celsius>,
    fault: Option<Fault>,
    at: Option<Timestamp>,
    /// It has read well at least once since it is looked at.
    has_read: bool,
}

/// All that is seen.
#[derive(Debug)]
pub struct Picture {
    rules: Arc<RuleSet>,
    envelope: Envelope,
    site: Site,
    devices: HashMap<DeviceId, Seen>,
    open: BTreeMap<DeviceId, BTreeMap<String, Open>>,
    alerts: VecDeque<AlertRecord>,
    records: VecDeque<IncidentRecord>,
    /// The newest record of each incident that is not over.
    incidents: BTreeMap<IncidentId, IncidentRecord>,
    silences: Vec<Silence>,
    news: News,
}

impl Picture {
    /// Nothing is known yet.
    pub fn new(rules: Arc<RuleSet>, envelope: Envelope) -> Self {
        Self {
            rules,
            envelope,
            site: Site::default(),
            devices: HashMap::new(),
            open: BTreeMap::new(),
            alerts: VecDeque::new(),
            records: VecDeque::new(),
            incidents: BTreeMap::new(),
            silences: Vec::new(),
            news: News::default(),
        }
    }

    /// Whose limits colours go by.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Takes in what has become known.
    pub fn take(&mut self, change: Change) {
        match change {
            Change::Site(site) => {
                self.site = site;
                for (id, seen) in &mut self.devices {
                    seen.place(id, &self.site);
                }
                self.news.layout = true;
            }
            Change::Described(id, described) => {
                let Some(described) = described else {
                    if self.devices.remove(&id).is_some() {
                        self.news.layout = true;
                    }
                    return;
                };
                let seen = self.devices.entry(id.clone()).or_default();
                // What its board says changes now and then, and moves nothing.
                let stands = |seen: &Seen| {
                    let mut known = seen.known.clone();
                    known.verdict = None;
                    (seen.described.is_some(), known, seen.spot.clone())
                };
                let before = stands(seen);
                seen.described = Some(described);
                seen.place(&id, &self.site);
                if stands(seen) == before {
                    self.news.devices.insert(id);
                } else {
                    self.news.layout = true;
                }
            }
            Change::Reading(reading) => self.read(reading),
            Change::Open(all) => {
                let before: BTreeSet<DeviceId> = self.open.keys().cloned().collect();
                self.open.clear();
                for episode in all {
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
                self.news.devices.extend(before);
                self.news.devices.extend(self.open.keys().cloned());
            }
            Change::Alert(record) => self.alert(*record),
            Change::Incident(record) => self.incident(*record),
            Change::Silences(all) => {
                if all != self.silences {
                    self.silences = all;
                    self.news.silences = true;
                }
            }
        }
    }

    fn read(&mut self, reading: Reading) {
        let Reading { device, at, value } = reading;
        let is_new = !self.devices.contains_key(&device);
        let seen = self.devices.entry(device.clone()).or_default();
        if is_new {
            seen.place(&device, &self.site);
            self.news.layout = true;
        }
        if seen.at.is_some_and(|last| at <= last) {
            return;
        }
        seen.at = Some(at);
        match value {
            Ok(value) => {
                seen.has_read = true;
                (seen.value, seen.fault) = (Some(value), None);
            }
            Err(fault) => seen.fault = Some(fault),
        }
        self.news.devices.insert(device);
    }

    fn alert(&mut self, record: AlertRecord) {
        let id = record.subject.as_id();
        self.news.devices.insert(id.clone());
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
        if self.alerts.len() == ALERTS {
            self.alerts.pop_front();
        }
        self.alerts.push_back(record);
    }

    fn incident(&mut self, record: IncidentRecord) {
        self.news.incidents.insert(record.id.clone());
        if record.event == Event::Resolved {
            self.incidents.remove(&record.id);
        } else {
            self.incidents.insert(record.id.clone(), record.clone());
        }
        if self.records.len() == INCIDENTS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// What has changed since this was last asked.
    pub fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// How many devices are known.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    fn severity(&self, id: &DeviceId) -> Option<Severity> {
        let rules = self.open.get(id)?;
        rules.values().map(|open| open.severity).max()
    }

    fn now_of(&self, id: &DeviceId, seen: &Seen) -> Now {
        Now {
            value: seen.value,
            fault: seen.fault.as_ref().map(Fault::to_string),
            at: seen.at,
            severity: self.severity(id),
        }
    }

    fn row(&self, id: &DeviceId, seen: &Seen) -> DeviceRow {
        let known = &seen.known;
        let open = self.open.get(id).into_iter().flat_map(BTreeMap::values);
        let now = self.now_of(id, seen);
        DeviceRow {
            id: id.clone(),
            name: known.name.clone(),
            role: seen.role(),
            spot: seen.spot.clone(),
            u: known.u,
            source: known.source.clone(),
            target: known.target.clone(),
            agent: known.agent.clone(),
            interval_ms: u64::try_from(known.interval.as_millis()).unwrap_or(0),
            limits: known.limits.plausible(),
            board_says: episodes::disagrees(known.verdict, now.severity),
            now,
            open: open.cloned().collect(),
            leaving: known.leaving,
        }
    }

    /// What a device says now.
    pub fn now(&self, id: &DeviceId) -> Option<Now> {
        Some(self.now_of(id, self.devices.get(id)?))
    }

    /// The rack that a device is in; empty where that is not known.
    pub fn rack_of(&self, id: &DeviceId) -> &str {
        self.devices.get(id).map_or("", |seen| &seen.spot.rack)
    }

    /// The zone of a device's agent, which says in whose partition it is.
    pub fn zone_of(&self, id: &DeviceId) -> String {
        let described = self
            .devices
            .get(id)
            .and_then(|seen| seen.described.as_deref());
        described
            .map_or(Description::DEFAULT_ZONE, Description::zone)
            .to_owned()
    }

    /// A device.
    pub fn device(&self, id: &DeviceId) -> Option<DeviceRow> {
        Some(self.row(id, self.devices.get(id)?))
    }

    /// Devices that `wanted` wants, the order that of their ids.
    pub fn devices(&self, wanted: impl Fn(&DeviceId, &Spot) -> bool) -> Vec<DeviceRow> {
        let wanted = self
            .devices
            .iter()
            .filter(|(id, seen)| wanted(id, &seen.spot));
        let mut rows: Vec<_> = wanted.map(|(id, seen)| self.row(id, seen)).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// The limits that hold for a device.
    pub fn limits(&self, id: &DeviceId) -> Vec<Limit> {
        let Some(seen) = self.devices.get(id) else {
            return Vec::new();
        };
        let device = DeviceTraits {
            device: id,
            role: seen.role(),
            rack: Some(seen.spot.rack.as_str()).filter(|rack| !rack.is_empty()),
            limits: seen.known.limits,
            resolution: seen.known.resolution,
            interval: seen.known.interval,
        };
        let plan = self.rules.plan(&device);
        let rules = plan.rules.iter();
        let of_limits = rules.filter_map(|rule| Some((rule, rule.kind.info().side?)));
        of_limits
            .flat_map(|(rule, side)| {
                Severity::ALL.into_iter().filter_map(move |severity| {
                    Some(Limit {
                        rule: rule.name.clone(),
                        severity,
                        at: rule.threshold(severity)?,
                        above: side == Side::Above,
                    })
                })
            })
            .collect()
    }

    /// Alerts of these devices that were not over by `from`, the oldest first.
    pub fn alerts(&self, devices: &[DeviceId], from: Timestamp) -> Vec<AlertRecord> {
        let wanted = |record: &&AlertRecord| {
            record.at >= from && (devices.is_empty() || devices.contains(record.subject.as_id()))
        };
        self.alerts.iter().filter(wanted).cloned().collect()
    }

    /// Silences.
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }
}

impl Seen {
    fn place(&mut self, id: &DeviceId, site: &Site) {
        let described = self.described.as_deref();
        let mut known = described.cloned().unwrap_or_default();
        site.place(id, &mut known);
        self.spot = site.spot(id, described);
        self.known = known;
    }

    /// A plain client's devices are inlets.
    fn role(&self) -> Role {
        match &self.described {
            Some(_) => self.known.role,
            None => Role::Inlet,
        }
    }

    /// Its number, if it is one of now.
    fn good(&self) -> Option<Celsius> {
        self.value.filter(|_| self.fault.is_none())
    }
}

#[cfg(test)]
mod tests;
