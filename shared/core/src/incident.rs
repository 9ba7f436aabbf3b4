//! Incidents: what one cause made of many alerts, and when people are to hear of it.
//!
//! A pure state machine over all partitions: alert records, silences and acknowledgements go in with the
//! time; [`Incidents::settle`] says what is to be written, and which of it people are to be told. The
//! first alert opens an incident. Others join it where they are of its family (heat, cold, or sensors
//! that say nothing) and near: on a device or in a rack that it has, or within the time for companions
//! behind the same cooler, in the same row or room. It closes when all its alerts are over and stay so
//! for a while.
//!
//! People are told when it opens, when it becomes worse, again after a while, and when it is over:
//! never because more of the same joins it, and never of what is silenced.

mod cause;
mod life;
mod member;
mod record;
pub mod silence;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cause::Cause;
pub use life::{Ack, Incident};
pub use member::{Family, Member, Stored};
pub use record::{Changes, Event, IncidentRecord};

use self::silence::{Silence, Silences};
use crate::alert::{AlertId, AlertKind, AlertRecord, Severity};
use crate::hash;
use crate::site::Spot;
use crate::time::Timestamp;

/// Names an incident for all time: sixteen hexadecimal digits made from its first alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(String);

impl IncidentId {
    /// The id of the incident that `first` opens.
    pub fn of(first: &AlertId) -> Self {
        Self(hash::id([&b"incident\0"[..], first.as_str().as_bytes()]))
    }

    /// An id as it stands in a record.
    pub fn from_wire(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first six digits, as people read and type them.
    pub fn short(&self) -> &str {
        self.0.get(..6).unwrap_or(&self.0)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How long things are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// What is no critical waits so long for companions before people are told.
    pub wait: Duration,
    /// What is elsewhere behind the same cooler, in the same row or room belongs to an incident that grew
    /// so recently.
    pub companions: Duration,
    /// People are told that it is over when nothing of it has come back for so long.
    pub hold: Duration,
    /// People are told again of a critical one that nobody has acknowledged.
    pub remind_critical: Duration,
    /// The same of a warning.
    pub remind_warning: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            companions: Duration::from_mins(5),
            // Air that a cooler keeps at a limit crosses it every few minutes.
            hold: Duration::from_mins(10),
            remind_critical: Duration::from_mins(30),
            remind_warning: Duration::from_hours(4),
        }
    }
}

/// How long a fast change back is taken for the recovery: the longest window of a swing that comes with us.
const RECOVERY: Duration = Duration::from_hours(1);
/// The most alerts of one incident that are remembered; those that are over are forgotten first.
const MOST_MEMBERS: usize = 20_000;

/// All incidents that are not over.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    timing: Timing,
    open: BTreeMap<IncidentId, Incident>,
    of_alert: HashMap<AlertId, IncidentId>,
    /// Alerts of severity `info` that belong to nothing yet: they do not open incidents.
    loose: BTreeMap<AlertId, (Family, Member)>,
    silences: Silences,
    /// Racks and devices in which it was too hot or too cold, and until when: what goes the other way there is
    /// the recovery.
    recovering: BTreeMap<(Family, String), Timestamp>,
    /// Members that have changed since the last [`Incidents::settle`].
    touched: BTreeSet<AlertId>,
    gone: Vec<AlertId>,
}

impl Incidents {
    /// None yet.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            ..Self::default()
        }
    }

    /// Goes on with what was stored.
    pub fn restore(&mut self, incidents: Vec<Incident>, members: Vec<(AlertId, Stored)>) {
        for incident in incidents {
            self.open.insert(incident.id.clone(), incident);
        }
        for (alert, stored) in members {
            if let Some(incident) = self.open.get_mut(&stored.incident) {
                incident.reach.add(&stored.member);
                incident.members.insert(alert.clone(), stored.member);
                self.of_alert.insert(alert, stored.incident);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes an alert record on a device that stands at `spot`.
    pub fn take(&mut self, record: &AlertRecord, spot: Spot, now: Timestamp) {
        let member = Member::of(record, spot, now);
        if let Some(id) = self.of_alert.get(&record.id) {
            let incident = self.open.get_mut(id);
            if incident.is_some_and(|incident| incident.update(&record.id, &member)) {
                self.touched.insert(record.id.clone());
            }
            return;
        }
        self.loose.remove(&record.id);
        if !member.open {
            return;
        }
        let family = Family::of(record);
        if self.is_recovery(&member, now) {
            return;
        }
        let near = self.open.values().filter_map(|incident| {
            let near = incident.near(family, &member, self.timing.companions)?;
            Some((near, incident.opened, &incident.id))
        });
        let home = near.min().map(|(.., id)| id.clone());
        match home {
            Some(id) => self.join(&id, record.id.clone(), member),
            None if member.severity == Severity::Info => {
                self.loose.insert(record.id.clone(), (family, member));
            }
            None => self.begin(family, record.id.clone(), member),
        }
    }

    /// These are the silences from now on.
    pub fn silences(&mut self, all: Vec<Silence>) {
        self.silences = Silences::new(all);
    }

    /// Somebody takes an incident on; whether that is news.
    pub fn ack(&mut self, id: &IncidentId, ack: Ack) -> bool {
        self.open
            .get_mut(id)
            .is_some_and(|incident| incident.acked(ack))
    }

    /// What is to be written by now, and what people are to be told.
    pub fn settle(&mut self, now: Timestamp) -> Changes {
        let companions = self.timing.companions;
        self.loose
            .retain(|_, (_, member)| now.since(member.seen) <= companions);
        let mut changes = Changes {
            gone: std::mem::take(&mut self.gone),
            ..Changes::default()
        };
        self.recovering.retain(|_, until| now < *until);
        let mut over = Vec::new();
        for incident in self.open.values_mut() {
            let tell = incident.due(&self.silences, &self.timing, now);
            let Some(event) = tell.or(incident.news) else {
                continue;
            };
            incident.news = None;
            changes.records.push(incident.record(event, tell, now));
            if event == Event::Resolved {
                over.push(incident.id.clone());
            } else {
                changes
                    .incidents
                    .push((incident.id.clone(), incident.to_json()));
            }
        }
        for id in over {
            if let Some(incident) = self.open.remove(&id) {
                let places = incident.reach.places();
                let places = places.map(|place| ((incident.family, place), now.plus(RECOVERY)));
                self.recovering.extend(places);
                for alert in incident.members.into_keys() {
                    self.of_alert.remove(&alert);
                    self.touched.remove(&alert);
                    changes.gone.push(alert);
                }
            }
            changes.closed.push(id);
        }
        for alert in std::mem::take(&mut self.touched) {
            let incident = self.of_alert.get(&alert).cloned();
            let member = incident
                .as_ref()
                .and_then(|id| self.open.get(id)?.members.get(&alert));
            if let (Some(incident), Some(member)) = (incident, member.cloned()) {
                changes.members.push((alert, Stored { incident, member }));
            }
        }
        changes
    }

    /// Whether a fast change is the way back from what an incident was about.
    fn is_recovery(&self, member: &Member, now: Timestamp) -> bool {
        let from = match member.kind {
            AlertKind::Drop => Family::Heat,
            AlertKind::Spike => Family::Cold,
            _ => return false,
        };
        let place = member.place();
        let open = self
            .open
            .values()
            .filter(|incident| incident.family == from);
        let recently = self.recovering.get(&(from, place.to_owned()));
        recently.is_some_and(|until| now < *until)
            || open.into_iter().any(|incident| incident.reach.has(place))
    }

    fn begin(&mut self, family: Family, first: AlertId, member: Member) {
        let incident = Incident::opened_by(&first, family, &member);
        let id = incident.id.clone();
        self.open.insert(id.clone(), incident);
        self.join(&id, first, member);
        // What spoke softly before was a part of it.
        let Some(incident) = self.open.get(&id) else {
            return;
        };
        let companions = self.timing.companions;
        let before = self
            .loose
            .iter()
            .filter(|(_, (family, member))| incident.near(*family, member, companions).is_some());
        let before: Vec<_> = before.map(|(alert, _)| alert.clone()).collect();
        for alert in before {
            if let Some((_, member)) = self.loose.remove(&alert) {
                self.join(&id, alert, member);
            }
        }
    }

    fn join(&mut self, id: &IncidentId, alert: AlertId, member: Member) {
        let Some(incident) = self.open.get_mut(id) else {
            return;
        };
        incident.add(alert.clone(), member);
        self.of_alert.insert(alert.clone(), id.clone());
        self.touched.insert(alert);
        if incident.members.len() > MOST_MEMBERS {
            let over = incident.members.iter().filter(|(_, member)| !member.open);
            let over: Vec<_> = over.map(|(alert, _)| alert.clone()).collect();
            for alert in over {
                incident.members.remove(&alert);
                self.of_alert.remove(&alert);
                self.touched.remove(&alert);
                self.gone.push(alert);
            }
        }
    }
}
