//! All incidents that are not resolved: which one an alert joins, and what each step writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::id::IncidentId;
use super::lifecycle::Incident;
use super::member::{AlertPlace, Member, StoredMember};
use super::phase::Ack;
use super::record::{Changes, Event, IncidentRecord};
use super::silence::{Silence, Silences};
use super::timing::IncidentTiming;
use crate::alert::{AlertId, AlertRecord, Severity};
use crate::detect::Family;
use crate::device::DeviceId;
use crate::stored;
use crate::subject::Subject;
use crate::time::Timestamp;

/// Time after an incident in which a fast change back counts as its recovery: the longest window of a default
/// spike or drop rule.
const RECOVERY: Duration = Duration::from_hours(1);
/// Alerts remembered for one incident, so that one that flaps for weeks stays bounded. Resolved alerts are
/// forgotten first.
const MAX_MEMBERS: usize = 20_000;

/// All incidents that are not resolved.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    timing: IncidentTiming,
    pub(super) open: BTreeMap<IncidentId, Incident>,
    pub(super) incident_of: HashMap<AlertId, IncidentId>,
    /// Info alerts that belong to no incident.
    info_alerts: BTreeMap<AlertId, (Family, Member)>,
    silences: Silences,
    /// Places that were too hot or too cold, with the end of their recovery.
    recovering: BTreeMap<(Family, String), Timestamp>,
    /// Members that changed since the last [`Incidents::advance`].
    changed_members: BTreeSet<AlertId>,
    pub(super) removed_members: Vec<AlertId>,
    /// Lost incidents that no alert continues, with the newest record of each.
    pub(super) ended: Vec<(IncidentId, Option<IncidentRecord>)>,
}

impl Incidents {
    /// Returns a state without any incident.
    pub fn new(timing: IncidentTiming) -> Self {
        Self {
            timing,
            ..Self::default()
        }
    }

    /// Restores stored incidents. Members of an incident that is not among them are dropped. Returns the incidents
    /// that none of the members belongs to, which are dropped too.
    pub fn restore(
        &mut self,
        incidents: impl IntoIterator<Item = Incident>,
        members: impl IntoIterator<Item = (AlertId, StoredMember)>,
    ) -> Vec<IncidentId> {
        for incident in incidents {
            self.open.insert(incident.id.clone(), incident);
        }
        for (alert, stored) in members {
            if let Some(incident) = self.open.get_mut(&stored.incident) {
                incident.restore(alert.clone(), stored.member);
                self.incident_of.insert(alert, stored.incident);
            }
        }
        let empty = self
            .open
            .extract_if(.., |_, incident| incident.members.is_empty());
        empty.map(|(id, _)| id).collect()
    }

    /// Returns the number of incidents.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns whether there are no incidents.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes in an alert record of a device at `spot`. A record that was taken in before changes nothing.
    pub fn observe(&mut self, record: &AlertRecord, place: impl Into<AlertPlace>, now: Timestamp) {
        let member = Member::of(record, place, now);
        if let Some(id) = self.incident_of.get(&record.id) {
            let incident = self.open.get_mut(id);
            if incident.is_some_and(|incident| incident.update(&record.id, &member)) {
                self.changed_members.insert(record.id.clone());
            }
            return;
        }
        self.info_alerts.remove(&record.id);
        if !member.open || self.is_recovery(&member, now) {
            return;
        }
        let change = record.detail.extras().change;
        let family = record.kind().info().family_of(change);
        match self.nearest(family, &member) {
            Some(id) => self.join(&id, record.id.clone(), member),
            None if member.severity == Severity::Info => {
                self.info_alerts.insert(record.id.clone(), (family, member));
            }
            None => self.begin(family, record.id.clone(), member),
        }
    }

    /// Returns the sensors with open alerts, each once.
    pub fn open_sensors(&self) -> Vec<DeviceId> {
        let members = self
            .open
            .values()
            .flat_map(|incident| incident.members.values());
        let open = members.filter(|member| member.open);
        let sensors: BTreeSet<_> = open.filter_map(|member| member.device.sensor()).collect();
        sensors.into_iter().cloned().collect()
    }

    /// Finds the open alerts whose sensors send no data. `is_absent` says so of a sensor.
    pub fn set_absent(&mut self, is_absent: impl Fn(&Subject) -> bool) {
        for incident in self.open.values_mut() {
            let changed = incident.set_absent(&is_absent);
            self.changed_members.extend(changed);
        }
    }

    /// Replaces all silences that are in force.
    pub fn set_silences(&mut self, all: Vec<Silence>) {
        self.silences = Silences::new(all);
    }

    /// Returns whether an incident has open alerts, and silences cover all that may cause a notification. False for an
    /// unknown incident.
    pub fn is_muted(&self, id: &IncidentId, now: Timestamp) -> bool {
        let incident = self.open.get(id);
        incident.is_some_and(|incident| incident.is_muted(&self.silences, now))
    }

    /// Acknowledges an incident. Returns false if it is unknown, or if the acknowledgement is not new.
    pub fn acknowledge(&mut self, id: &IncidentId, ack: Ack) -> bool {
        let incident = self.open.get_mut(id);
        incident.is_some_and(|incident| incident.acknowledge(ack))
    }

    /// Moves all incidents on to `now`. Returns what to write, with the notifications that are due.
    pub fn advance(&mut self, now: Timestamp) -> Changes {
        let group_window = self.timing.group_window;
        self.info_alerts
            .retain(|_, (_, member)| now.since(member.seen) <= group_window);
        self.recovering.retain(|_, until| now < *until);
        let mut changes = Changes {
            removed_members: std::mem::take(&mut self.removed_members),
            ..Changes::default()
        };
        self.collect_ended(now, &mut changes);
        let mut resolved = Vec::new();
        for incident in self.open.values_mut() {
            let notification = incident.advance(&self.silences, &self.timing, now);
            let Some(event) = notification.or(incident.unreported) else {
                continue;
            };
            incident.unreported = None;
            incident.update_severity();
            let record = incident.record(event, notification.is_some(), now);
            changes.records.push(record);
            if event == Event::Resolved {
                resolved.push(incident.id.clone());
            } else {
                let json = stored::encode(&*incident);
                changes.incidents.push((incident.id.clone(), json));
            }
        }
        for id in resolved {
            self.remove(id, now, &mut changes);
        }
        self.collect_changed_members(&mut changes);
        changes
    }

    /// Removes a resolved incident with its members.
    fn remove(&mut self, id: IncidentId, now: Timestamp, changes: &mut Changes) {
        if let Some(incident) = self.open.remove(&id) {
            let places = incident.reach.places();
            let places = places.map(|place| ((incident.family, place), now.plus(RECOVERY)));
            self.recovering.extend(places);
            for alert in incident.members.into_keys() {
                self.incident_of.remove(&alert);
                self.changed_members.remove(&alert);
                changes.removed_members.push(alert);
            }
        }
        changes.resolved.push(id);
    }

    fn collect_changed_members(&mut self, changes: &mut Changes) {
        for alert in std::mem::take(&mut self.changed_members) {
            let Some(id) = self.incident_of.get(&alert) else {
                continue;
            };
            let incident = self.open.get(id);
            if let Some(member) = incident.and_then(|incident| incident.members.get(&alert)) {
                let stored = StoredMember {
                    incident: id.clone(),
                    member: member.clone(),
                };
                changes.members.push((alert, stored));
            }
        }
    }

    /// Returns the incident that an alert joins: the nearest, then the oldest.
    fn nearest(&self, family: Family, member: &Member) -> Option<IncidentId> {
        let near = self.open.values().filter_map(|incident| {
            let near = incident.nearness(family, member, self.timing.group_window)?;
            Some((near, incident.opened, &incident.id))
        });
        near.min().map(|(.., id)| id.clone())
    }

    /// Returns whether a fast change leads back from the trouble of an incident.
    fn is_recovery(&self, member: &Member, now: Timestamp) -> bool {
        let Some(from) = member.kind.info().recovery_of else {
            return false;
        };
        let place = member.place();
        let recently = self.recovering.get(&(from, place.to_owned()));
        let mut open = self.open.values();
        recently.is_some_and(|until| now < *until)
            || open.any(|incident| incident.family == from && incident.reach.has_place(place))
    }

    /// Opens an incident with `first`, and with the info alerts that preceded it.
    fn begin(&mut self, family: Family, first: AlertId, member: Member) {
        let incident = Incident::opened_by(&first, family, &member);
        let id = incident.id.clone();
        self.open.insert(id.clone(), incident);
        self.join(&id, first, member);
        let Some(incident) = self.open.get(&id) else {
            return;
        };
        let group_window = self.timing.group_window;
        let is_related = |family, member| incident.nearness(family, member, group_window).is_some();
        let related = self.info_alerts.iter();
        let related = related.filter(|(_, (family, member))| is_related(*family, member));
        let related: Vec<_> = related.map(|(alert, _)| alert.clone()).collect();
        for alert in related {
            if let Some((_, member)) = self.info_alerts.remove(&alert) {
                self.join(&id, alert, member);
            }
        }
    }

    pub(super) fn join(&mut self, id: &IncidentId, alert: AlertId, member: Member) {
        let Some(incident) = self.open.get_mut(id) else {
            return;
        };
        incident.add(alert.clone(), member);
        self.incident_of.insert(alert.clone(), id.clone());
        self.changed_members.insert(alert);
        if incident.members.len() > MAX_MEMBERS {
            let resolved = incident.members.extract_if(.., |_, member| !member.open);
            for (alert, _) in resolved {
                self.incident_of.remove(&alert);
                self.changed_members.remove(&alert);
                self.removed_members.push(alert);
            }
        }
    }
}
