//! One incident: its alerts, its phase, and the notification that is due next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::extent::Extent;
use super::id::IncidentId;
use super::member::Member;
use super::phase::{Ack, ActiveAck, Phase};
use super::reach::{Near, Reach};
use super::record::{Event, IncidentRecord};
use super::silence::Silences;
use super::timing::IncidentTiming;
use super::title;
use crate::alert::{AlertId, AlertKind, Severity};
use crate::detect::Family;
use crate::device::DeviceId;
use crate::stored::{IfRefused, StoredValue};
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// Shortest repeat interval of an incident whose sensors all send no data: nothing new can be said of it.
const STALE_REPEAT: Duration = Duration::from_hours(24);
/// Delay before a historical alert counts: its resolution may follow in the same backlog.
const HISTORICAL_DELAY: Duration = Duration::from_mins(1);

/// An incident that is not resolved. Redis keeps it without its members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub(super) id: IncidentId,
    pub(super) family: Family,
    /// The time at which the correlator read the first alert.
    #[serde(rename = "opened_ms")]
    pub(super) opened: Timestamp,
    /// The time of the newest alert that joined.
    #[serde(rename = "grown_ms")]
    grown: Timestamp,
    /// The peak severity of its alerts.
    severity: Severity,
    /// The highest severity of its open alerts as of its last record.
    #[serde(rename = "now", default, skip_serializing_if = "Option::is_none")]
    now: Option<Severity>,
    pub(super) phase: Phase,
    #[serde(rename = "acknowledgement")]
    ack: Option<ActiveAck>,
    /// The critical part as of the last notification; none before one.
    #[serde(rename = "extent", default, skip_serializing_if = "Option::is_none")]
    extent: Option<Extent>,
    /// Whether the critical part may have grown since.
    #[serde(skip)]
    may_have_grown: bool,
    #[serde(skip)]
    pub(super) members: BTreeMap<AlertId, Member>,
    #[serde(skip)]
    pub(super) reach: Reach,
    /// The most important event that no record has reported yet.
    #[serde(skip)]
    pub(super) unreported: Option<Event>,
}

impl StoredValue for Incident {
    const NAME: &'static str = "incident";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused =
        IfRefused::StartsCold("open alerts are grouped into incidents again");
}

impl Incident {
    /// Returns the peak severity of its alerts.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns the highest severity of its open alerts as of its last record, or the peak once none is open.
    pub fn severity_now(&self) -> Severity {
        self.now.unwrap_or(self.severity)
    }

    /// Finds the highest severity of its open alerts.
    pub(super) fn update_severity(&mut self) {
        let open = self.members.values().filter(|member| member.open);
        self.now = open.map(|member| member.severity).max();
    }

    /// Returns the incident that `first` opens, without any member.
    pub(super) fn opened_by(first: &AlertId, family: Family, member: &Member) -> Self {
        Self {
            id: IncidentId::of(first),
            family,
            opened: member.seen,
            grown: member.at,
            severity: member.severity,
            now: None,
            phase: Phase::Pending,
            ack: None,
            extent: None,
            may_have_grown: false,
            members: BTreeMap::new(),
            reach: Reach::default(),
            unreported: Some(Event::Pending),
        }
    }

    /// Adds another alert as a member.
    pub(super) fn add(&mut self, alert: AlertId, member: Member) {
        self.grown = self.grown.max(member.at);
        self.severity = self.severity.max(member.severity);
        self.reach.add(&member);
        self.members.insert(alert, member);
        self.may_have_grown = true;
        self.report(Event::Changed);
    }

    /// Restores a stored alert, which changes nothing else.
    pub(super) fn restore(&mut self, alert: AlertId, member: Member) {
        self.reach.add(&member);
        self.members.insert(alert, member);
        self.may_have_grown = true;
    }

    /// Merges another record of a member. Returns whether that changed the member.
    pub(super) fn update(&mut self, alert: &AlertId, later: &Member) -> bool {
        let Some(member) = self.members.get_mut(alert) else {
            return false;
        };
        if !member.update(later) {
            return false;
        }
        self.severity = self.severity.max(member.severity);
        self.may_have_grown = true;
        self.report(Event::Changed);
        true
    }

    /// Finds the open alerts whose sensors send no data. Returns those for which that changed.
    pub(super) fn set_absent(&mut self, is_absent: impl Fn(&Subject) -> bool) -> Vec<AlertId> {
        let mut changed = Vec::new();
        for (alert, member) in &mut self.members {
            let is_sensor = member.device.sensor().is_some() && member.kind != AlertKind::NoData;
            let stale = is_sensor && member.open && is_absent(&member.device);
            if stale != member.stale {
                member.stale = stale;
                changed.push(alert.clone());
            }
        }
        if !changed.is_empty() {
            self.may_have_grown = true;
            self.report(Event::Changed);
        }
        changed
    }

    /// Returns whether an acknowledgement is in force. Growth ends it.
    pub fn is_acknowledged(&self) -> bool {
        self.ack.is_some()
    }

    /// Records an acknowledgement. Returns false if it is known, or older than the newest notification.
    pub(super) fn acknowledge(&mut self, ack: Ack) -> bool {
        let known = |known: &ActiveAck| known.ack.at >= ack.at;
        let is_known = self.ack.as_ref().is_some_and(known);
        let notifications = self.phase.notifications();
        if is_known || notifications.is_some_and(|notifications| ack.at < notifications.at) {
            return false;
        }
        self.ack = Some(ActiveAck {
            ack,
            extent: Extent::of(self.members.values()),
        });
        self.report(Event::Acked);
        true
    }

    /// Returns the nearest place that an alert shares with this incident, or none if the alert is unrelated.
    pub(super) fn nearness(
        &self,
        family: Family,
        member: &Member,
        group_window: Duration,
    ) -> Option<Near> {
        let in_rack = self.reach.has_rack(member);
        if family != self.family {
            // Servers that were too hot switch off, and their agents with them.
            let switched_off = self.family == Family::Heat
                && self.severity == Severity::Critical
                && member.kind == AlertKind::NoData
                && Extent::of(self.members.values()).covers(member);
            return switched_off.then_some(Near::Rack);
        }
        if self.reach.devices.contains(&member.device) {
            return Some(Near::Device);
        }
        if family == Family::Sensor {
            // Two sensors do not get stuck for one reason.
            return None;
        }
        if in_rack {
            return Some(Near::Rack);
        }
        let is_recent = member.at.since(self.grown) <= group_window;
        let is_spreading = self.reach.has_spread() && member.severity > Severity::Info;
        if is_recent || is_spreading {
            self.reach.shared_area(member)
        } else {
            None
        }
    }

    /// Moves on to the phase that holds now. Returns the notification that is due, if any.
    pub(super) fn advance(
        &mut self,
        silences: &Silences,
        timing: &IncidentTiming,
        now: Timestamp,
    ) -> Option<Event> {
        if !self.members.values().any(|member| member.open) {
            return self.resolve(timing, now);
        }
        self.phase = self.phase.with_open_alert();
        let due = self.due(silences, timing, now);
        let (event, severity) = due?;
        if event == Event::Worse {
            self.ack = None;
        }
        self.phase = self.phase.notified(severity, now);
        self.extent = Some(self.audible_extent(silences, now));
        self.may_have_grown = false;
        Some(event)
    }

    /// Resolves an incident without open alerts, once none has fired for `resolve_after`.
    fn resolve(&mut self, timing: &IncidentTiming, now: Timestamp) -> Option<Event> {
        let (mut notifications, since) = match self.phase {
            Phase::Pending => {
                self.unreported = Some(Event::Resolved);
                return None;
            }
            Phase::Open { notifications } => {
                self.report(Event::Resolving);
                (notifications, now)
            }
            Phase::Resolving {
                notifications,
                since,
            } => (notifications, since),
        };
        let is_resolved = now.since(since) >= timing.resolve_after;
        if is_resolved {
            notifications.count += 1;
        }
        self.phase = Phase::Resolving {
            notifications,
            since,
        };
        is_resolved.then_some(Event::Resolved)
    }

    /// Returns the notification that is due while alerts are open, with its severity.
    fn due(
        &mut self,
        silences: &Silences,
        timing: &IncidentTiming,
        now: Timestamp,
    ) -> Option<(Event, Severity)> {
        let Some(sent) = self.phase.notifications() else {
            let severity = self.audible_severity(silences, now)?;
            let is_due =
                severity == Severity::Critical || now.since(self.opened) >= timing.group_wait;
            return is_due.then_some((Event::Opened, severity));
        };
        let since_sent = now.since(sent.at);
        let is_repeat = self.ack.is_none() && since_sent >= timing.repeat_interval(sent.peak);
        // Without an unreported event nothing can have come from another rack.
        let ack = self.ack.as_ref().filter(|_| self.unreported.is_some());
        let may_be_worse = ack.is_some() || self.may_have_grown;
        if !may_be_worse && !is_repeat {
            // The usual case: no need to look at every member.
            return None;
        }
        let severity = self.audible_severity(silences, now)?;
        let extent = self.audible_extent(silences, now);
        let exceeds_ack = ack.is_some_and(|ack| extent.exceeds(&ack.extent));
        let has_grown = self
            .extent
            .as_ref()
            .is_some_and(|before| extent.is_news(before, since_sent, timing.group_window));
        if severity > sent.peak || exceeds_ack || has_grown {
            return Some((Event::Worse, severity));
        }
        // Unknown before the first notification of this version: what is audible now is no growth.
        let before = self.extent.get_or_insert(extent);
        // A silence may end, and a historical alert may last: what is not audible now may be news later.
        self.may_have_grown = Extent::of(self.members.values()).exceeds(before);
        let interval = if self.is_blind() {
            timing.repeat_interval(severity).max(STALE_REPEAT)
        } else {
            timing.repeat_interval(severity)
        };
        (is_repeat && since_sent >= interval).then_some((Event::Repeat, severity))
    }

    /// Returns whether no open alert has a sensor that sends data, and some sensor is missed.
    fn is_blind(&self) -> bool {
        let open = || self.members.values().filter(|member| member.open);
        let is_missed = |member: &Member| member.stale || member.kind == AlertKind::NoData;
        open().any(|member| member.stale) && open().all(is_missed)
    }

    /// Returns the critical part that may cause a notification.
    fn audible_extent(&self, silences: &Silences, now: Timestamp) -> Extent {
        Extent::of(self.audible(silences, now))
    }

    /// Returns the open alerts that may cause a notification.
    fn audible(&self, silences: &Silences, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| {
            member.open
                && member.severity > Severity::Info
                && (!member.historical || now.since(member.seen) >= HISTORICAL_DELAY)
                && !silences.cover(member, now)
        })
    }

    /// Returns whether alerts are open, and none of them may cause a notification.
    pub(super) fn is_muted(&self, silences: &Silences, now: Timestamp) -> bool {
        let is_open = self.members.values().any(|member| member.open);
        is_open && self.audible(silences, now).next().is_none()
    }

    /// Keeps the most important event for the next record. `Pending` stands until it was reported.
    fn report(&mut self, event: Event) {
        let unreported = self.unreported.get_or_insert(event);
        if *unreported != Event::Pending {
            *unreported = event.max(*unreported);
        }
    }

    /// Returns the highest severity among open alerts that may cause a notification now.
    fn audible_severity(&self, silences: &Silences, now: Timestamp) -> Option<Severity> {
        let severities = self.audible(silences, now).map(|member| member.severity);
        severities.max()
    }

    /// Returns the record of `event`. With `is_notification` it carries the id of the newest notification.
    pub(super) fn record(
        &self,
        event: Event,
        is_notification: bool,
        now: Timestamp,
    ) -> IncidentRecord {
        let members = || self.members.values();
        let open = || members().filter(|member| member.open);
        let first = members().min_by_key(|member| (member.started, &member.device));
        let cause = Cause::suspect(members());
        let notifications = self.phase.notifications().filter(|_| is_notification);
        let own = members().filter(|member| member.missing.is_none());
        let mut roles: BTreeSet<_> = own.map(|member| member.role).collect();
        let missing = members().filter_map(|member| member.missing.as_ref());
        roles.extend(missing.flat_map(|missing| &missing.roles));
        let racks = self.reach.racks.iter().take(IncidentRecord::RACKS);
        let devices = self.reach.devices.iter().take(IncidentRecord::DEVICES);
        IncidentRecord {
            id: self.id.clone(),
            event,
            notification_id: notifications.map(|sent| format!("{}-{}", self.id, sent.count)),
            severity: open()
                .map(|member| member.severity)
                .max()
                .unwrap_or(self.severity),
            title: title::title(self.family, &cause, &self.members, &self.reach),
            cause,
            first: first.map_or_else(
                || Subject::from(DeviceId::sanitized("")),
                |m| m.device.clone(),
            ),
            since: first.map_or(self.opened, |member| member.started),
            until: self.until(event, now),
            at: now,
            racks: racks.cloned().collect(),
            rooms: self.reach.rooms.iter().cloned().collect(),
            roles: roles.into_iter().collect(),
            devices: devices.cloned().collect(),
            device_count: self.reach.sensors(self.family),
            alerts: self.members.len(),
            open: open().count(),
            stale: open().filter(|member| member.stale).count(),
            peak: self.peak(),
            left_ms: open().filter_map(|member| member.left_ms).min(),
            acked_by: self.ack.as_ref().map(|active| active.ack.by.clone()),
        }
    }

    /// Returns the time at which the last alert ended.
    fn until(&self, event: Event, now: Timestamp) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending => (event == Event::Resolved).then_some(now),
            Phase::Open { .. } => None,
            Phase::Resolving { since, .. } => Some(since),
        }
    }

    /// Returns the worst open temperature: the hottest, or the coldest where it is too cold.
    fn peak(&self) -> Option<Celsius> {
        let open = || self.members.values().filter(|member| member.open);
        // The last value of a sensor that sends no data is no present one, unless there is no other.
        let is_live = open().any(|member| !member.stale && member.temperature.is_some());
        let shown = open().filter(|member| !(is_live && member.stale));
        let temperatures = shown.filter_map(|member| member.temperature);
        let degrees = |a: &Celsius, b: &Celsius| a.degrees().total_cmp(&b.degrees());
        match self.family {
            Family::Heat => temperatures.max_by(degrees),
            Family::Cold => temperatures.min_by(degrees),
            Family::NoData | Family::Sensor => None,
        }
    }
}
