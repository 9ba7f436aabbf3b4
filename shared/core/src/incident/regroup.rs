//! Open alerts whose incidents were lost, grouped again.
//!
//! Stored incidents and members of another version are refused, and deleted by the next step. Their alerts may still
//! be open. [`Incidents::regroup`] takes them in as if they fired now:
//!
//! - An alert that opened a lost incident continues it under the same id, so that receivers and acknowledgements
//!   recognise it. If notifications were sent before, the next one is a repeat with the next number.
//! - Every other alert joins the nearest incident, or opens one.
//! - A lost incident that no alert continues ends, with a last record and a notification if it ever sent one.

use std::collections::BTreeMap;

use super::id::IncidentId;
use super::incidents::Incidents;
use super::lifecycle::Incident;
use super::member::{AlertPlace, Member};
use super::phase::{Notifications, Phase};
use super::record::{Changes, Event, IncidentRecord};
use crate::alert::{AlertId, AlertRecord, Severity};
use crate::time::Timestamp;

/// The stored state of incidents that a program could not take over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LostIncidents {
    /// The incidents, each with its newest record, which carries the id of its newest notification. None where no
    /// record is known.
    pub incidents: BTreeMap<IncidentId, Option<IncidentRecord>>,
    /// The alerts whose members were refused.
    pub members: Vec<AlertId>,
}

impl LostIncidents {
    /// Returns whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.members.is_empty()
    }
}

impl Incidents {
    /// Groups open alerts at their places. Alerts that an incident has already stay where they are.
    pub fn regroup(
        &mut self,
        mut alerts: Vec<(AlertRecord, AlertPlace)>,
        lost: LostIncidents,
        now: Timestamp,
    ) {
        alerts.retain(|(record, _)| !self.has_alert(&record.id));
        alerts.sort_by_cached_key(|(record, _)| {
            let id = IncidentId::of(&record.id);
            let has_opened = lost.incidents.contains_key(&id) || self.open.contains_key(&id);
            // These may belong to the others.
            let is_recovery = record.kind().info().recovery_of.is_some();
            let is_minor = is_recovery || record.severity == Severity::Info;
            (!has_opened, is_minor, record.started, record.id.clone())
        });
        for (record, place) in alerts {
            let id = IncidentId::of(&record.id);
            let former = lost.incidents.get(&id);
            if former.is_none() && !self.open.contains_key(&id) {
                self.observe(&record, place, now);
                continue;
            }
            let member = Member::of(&record, place, now);
            if let Some(former) = former {
                self.continue_lost(id.clone(), former.as_ref(), &record, &member);
            }
            self.join(&id, record.id, member);
        }
        let gone = lost.members.into_iter();
        let gone: Vec<_> = gone.filter(|alert| !self.has_alert(alert)).collect();
        self.removed_members.extend(gone);
        let ended = lost.incidents.into_iter();
        let ended = ended.filter(|(id, _)| !self.open.contains_key(id));
        self.ended.extend(ended.collect::<Vec<_>>());
    }

    /// Returns whether an incident has this alert.
    pub fn has_alert(&self, alert: &AlertId) -> bool {
        self.incident_of.contains_key(alert)
    }

    /// Opens a lost incident again, without members. `first` is the alert that had opened it.
    fn continue_lost(
        &mut self,
        id: IncidentId,
        former: Option<&IncidentRecord>,
        first: &AlertRecord,
        member: &Member,
    ) {
        let change = first.detail.extras().change;
        let family = first.kind().info().family_of(change);
        let mut incident = Incident::opened_by(&first.id, family, member);
        if let Some(former) = former
            && let Some(count) = former.notification_count()
        {
            // The time of the last one is left at zero, so that a repeat is due at once.
            let notifications = Notifications {
                count,
                peak: former.severity,
                at: Timestamp::default(),
            };
            incident.phase = Phase::Open { notifications };
            incident.unreported = Some(Event::Changed);
        }
        self.open.insert(id, incident);
    }

    /// Adds the last records of lost incidents that ended.
    pub(super) fn collect_ended(&mut self, now: Timestamp, changes: &mut Changes) {
        for (id, former) in std::mem::take(&mut self.ended) {
            let last = former.filter(|record| record.event != Event::Resolved);
            changes.records.extend(last.map(|record| record.ended(now)));
            changes.resolved.push(id);
        }
    }
}

impl IncidentRecord {
    /// Returns the number in the notification's id, which counts the notifications of an incident.
    fn notification_count(&self) -> Option<u32> {
        let (_, count) = self.notification_id.as_ref()?.rsplit_once('-')?;
        count.parse().ok()
    }

    /// Returns the record of the end, whose notification follows that of this record.
    fn ended(self, now: Timestamp) -> Self {
        let count = self.notification_count();
        Self {
            event: Event::Resolved,
            notification_id: count.map(|count| format!("{}-{}", self.id, count + 1)),
            until: self.until.or(Some(now)),
            at: now,
            open: 0,
            left_ms: None,
            ..self
        }
    }
}
