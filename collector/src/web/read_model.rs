//! The read model: the current state of the whole site, for every page and API request.
//!
//! A [`ReadModel`] is pure. It applies each [`Change`] (readings, descriptions, alerts, incidents, silences) and
//! answers queries with rows. Of alert and incident records it keeps the newest. [`SharedReadModel`] guards one
//! behind a lock, and publishes updates to subscribers. [`follow`] feeds it from Redis; the demo feeds it directly.
//! Whichever collector owns a partition, every collector shows the whole site.

mod aggregates;
mod apply;
mod behind;
mod change;
mod faults;
pub(crate) mod follow;
mod incidents;
mod rows;
mod shared;
mod staleness;
mod streams;
mod unread_subjects;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use rackwatch_core::alert::{AlertRecord, Severity};
use rackwatch_core::detect::Side;
use rackwatch_core::device::{DataState, Description, DeviceId, Role};
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{IncidentId, IncidentRecord};
use rackwatch_core::indices::Envelope;
use rackwatch_core::reading::Fault;
use rackwatch_core::rules::{DeviceTraits, RuleSet};
use rackwatch_core::site::{Site, Spot};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

pub(crate) use change::{Change, ChangeSet};
pub(crate) use rows::{DeviceRow, IncidentRow, Limit, Now, Open, RackRow, Scope};
pub(crate) use shared::{NotReady, SharedReadModel, Update};

use self::behind::Behind;
use self::unread_subjects::UnreadSubjects;
use crate::incidents::episodes;

/// The last known state of one device.
#[derive(Clone, Debug, Default)]
struct KnownDevice {
    /// The description that its agent sent.
    described: Option<Box<Description>>,
    /// The reason why that description is refused.
    refused: Option<String>,
    /// An agent has sent a reading of it.
    by_agent: bool,
    /// The description with the site file applied.
    known: Description,
    spot: Spot,
    /// The last good value. It stays while a fault lasts.
    value: Option<Celsius>,
    fault: Option<Fault>,
    at: Option<Timestamp>,
    /// Its newest readings are older than `at`.
    behind: Option<Behind>,
    /// At least one good reading since the model was built.
    has_read: bool,
    /// Whether the value still says anything.
    state: DataState,
}

/// The current state of the site.
#[derive(Debug)]
pub(crate) struct ReadModel {
    rules: Arc<RuleSet>,
    envelope: Envelope,
    site: Site,
    devices: HashMap<DeviceId, KnownDevice>,
    /// The most devices that readings add.
    max_devices: usize,
    open: BTreeMap<DeviceId, BTreeMap<String, Open>>,
    alerts: VecDeque<AlertRecord>,
    records: VecDeque<IncidentRecord>,
    /// The newest record of each unresolved incident.
    incidents: BTreeMap<IncidentId, IncidentRecord>,
    silences: Vec<Silence>,
    /// The time by Redis' clock, as of about a second ago; zero until it is known.
    now: Timestamp,
    /// The subjects that send no data, as of that time.
    absent: UnreadSubjects,
    changes: ChangeSet,
}

impl ReadModel {
    /// Returns an empty model, which takes limits from `rules` and colours from `envelope`.
    pub(crate) fn new(rules: Arc<RuleSet>, envelope: Envelope) -> Self {
        Self {
            rules,
            envelope,
            site: Site::default(),
            devices: HashMap::new(),
            max_devices: usize::MAX,
            open: BTreeMap::new(),
            alerts: VecDeque::new(),
            records: VecDeque::new(),
            incidents: BTreeMap::new(),
            silences: Vec::new(),
            now: Timestamp::default(),
            absent: UnreadSubjects::default(),
            changes: ChangeSet::default(),
        }
    }

    /// Limits the devices that readings add to so many for each of `partitions`, as their owners do.
    pub(crate) fn limit_devices(&mut self, max_devices: usize, partitions: usize) {
        self.max_devices = max_devices.saturating_mul(partitions);
    }

    /// Returns the envelope that colours and indices use.
    pub(crate) fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Returns the number of known devices.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// Returns the current value and state of a device.
    pub(crate) fn now(&self, id: &DeviceId) -> Option<Now> {
        Some(self.now_of(id, self.devices.get(id)?))
    }

    /// Returns the rack of a device, or an empty name if it is unknown.
    pub(crate) fn rack_of(&self, id: &DeviceId) -> &str {
        self.devices.get(id).map_or("", |device| &device.spot.rack)
    }

    /// Returns the zone of a device's agent, which decides the partition.
    pub(crate) fn zone_of(&self, id: &DeviceId) -> String {
        let device = self.devices.get(id);
        let described = device.and_then(|device| device.described.as_deref());
        described
            .map_or(Description::DEFAULT_ZONE, Description::zone)
            .to_owned()
    }

    /// Returns the row of a device.
    pub(crate) fn device(&self, id: &DeviceId) -> Option<DeviceRow> {
        Some(self.row(id, self.devices.get(id)?))
    }

    /// Returns the rows of all devices that match, in the order of their ids.
    pub(crate) fn devices(&self, matches: impl Fn(&DeviceId, &Spot) -> bool) -> Vec<DeviceRow> {
        let matching = self
            .devices
            .iter()
            .filter(|(id, device)| matches(id, &device.spot));
        let mut rows: Vec<_> = matching.map(|(id, device)| self.row(id, device)).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// Returns the limits of the rules that apply to a device.
    pub(crate) fn limits(&self, id: &DeviceId) -> Vec<Limit> {
        // No rule looks at devices with an unknown role.
        let known = self.devices.get(id);
        let Some(device) = known.filter(|device| !device.is_undescribed()) else {
            return Vec::new();
        };
        let traits = DeviceTraits {
            device: id,
            role: device.role(),
            rack: Some(device.spot.rack.as_str()).filter(|rack| !rack.is_empty()),
            limits: device.known.limits,
            resolution: device.known.resolution,
            interval: device.known.interval,
        };
        let plan = self.rules.plan(&traits);
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

    /// Returns alert records of these devices, or of all if none is named, from `from` on, oldest first.
    pub(crate) fn alerts(&self, devices: &[DeviceId], from: Timestamp) -> Vec<AlertRecord> {
        let matches = |record: &&AlertRecord| {
            record.at >= from && (devices.is_empty() || devices.contains(record.subject.as_id()))
        };
        self.alerts.iter().filter(matches).cloned().collect()
    }

    /// Returns all silences, expired ones included.
    pub(crate) fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Returns the highest severity that fires on a device.
    fn severity(&self, id: &DeviceId) -> Option<Severity> {
        let rules = self.open.get(id)?;
        rules.values().map(|open| open.severity).max()
    }

    fn now_of(&self, id: &DeviceId, device: &KnownDevice) -> Now {
        Now {
            value: device.value,
            fault: match device.state {
                DataState::Live | DataState::Unknown => None,
                DataState::Faulty => device.fault.as_ref().map(Fault::to_string),
                DataState::NotEvaluated => Some("not_evaluated".to_owned()),
                DataState::Stale => Some("no_data".to_owned()),
                DataState::Withdrawn => Some("withdrawn".to_owned()),
            },
            at: device.at,
            severity: self.severity(id),
        }
    }

    fn row(&self, id: &DeviceId, device: &KnownDevice) -> DeviceRow {
        let known = &device.known;
        let open = self.open.get(id).into_iter().flat_map(BTreeMap::values);
        let now = self.now_of(id, device);
        DeviceRow {
            id: id.clone(),
            name: known.name.clone(),
            role: device.role(),
            spot: device.spot.clone(),
            u: known.u,
            source: known.source.clone(),
            target: known.target.clone(),
            agent: known.agent.clone(),
            interval_ms: u64::try_from(known.interval.as_millis()).unwrap_or(0),
            limits: known.limits.plausible(),
            board_severity: episodes::disagrees(known.verdict, now.severity),
            now,
            state: device.state,
            open: open.cloned().collect(),
        }
    }
}

impl KnownDevice {
    /// Sets its place from the site file and its description.
    fn place(&mut self, id: &DeviceId, site: &Site) {
        let described = self.described.as_deref();
        let mut known = described.cloned().unwrap_or_default();
        site.place(id, &mut known);
        self.spot = site.spot(id, described);
        self.known = known;
    }

    /// Returns its role. A plain client's devices without a description are inlets; the role of an agent's is unknown.
    fn role(&self) -> Role {
        match &self.described {
            Some(_) => self.known.role,
            None if self.by_agent => Role::Other,
            None => Role::Inlet,
        }
    }

    /// Returns whether no rule looks at its readings, because an agent sends them and nothing describes them.
    fn is_undescribed(&self) -> bool {
        self.by_agent && self.described.is_none()
    }

    /// Returns its value if that is the present one.
    fn good_value(&self) -> Option<Celsius> {
        self.value.filter(|_| self.state == DataState::Live)
    }
}

#[cfg(test)]
mod tests;
