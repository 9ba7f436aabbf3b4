//! One incident: what belongs to it, and when people are to hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::silence::Silences;
use super::{Cause, Event, Family, IncidentId, IncidentRecord, Member, Timing, words};
use crate::alert::{AlertId, AlertKind, Severity};
use crate::device::DeviceId;
use crate::site::Spot;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// What was no news when it was written may be over by now: its end is waited for so long.
const OLD_NEWS: Duration = Duration::from_mins(1);
/// Who has taken an incident on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// When.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// What they had to say.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
}

/// An incident that is not over, without its members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// What kind of trouble.
    pub family: Family,
    /// When its first alert was heard of.
    #[serde(rename = "opened_ms")]
    pub opened: Timestamp,
    /// When the newest of its alerts was made.
    #[serde(rename = "grown_ms")]
    pub(super) grown: Timestamp,
    /// The worst it was.
    pub severity: Severity,
    /// The worst that people were told.
    pub told: Option<Severity>,
    /// When that was.
    #[serde(rename = "told_at_ms")]
    pub(super) told_at: Timestamp,
    /// How often people were told.
    pub(super) times: u32,
    /// Since when none of its alerts is open.
    #[serde(rename = "over_ms", default)]
    over: Option<Timestamp>,
    /// Who has taken it on.
    pub ack: Option<Ack>,
    /// Racks that were critical when they did.
    #[serde(default)]
    pub(super) acked_racks: BTreeSet<String>,
    #[serde(skip)]
    pub(super) members: BTreeMap<AlertId, Member>,
    #[serde(skip)]
    pub(super) reach: Reach,
    #[serde(skip)]
    pub(super) news: Option<Event>,
}

/// What its members are and where they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reach {
    places: BTreeSet<String>,
    pub(super) devices: BTreeSet<Subject>,
    pub(super) racks: BTreeSet<String>,
    pub(super) rows: BTreeSet<String>,
    pub(super) coolers: BTreeSet<String>,
    pub(super) rooms: BTreeSet<String>,
}

impl Reach {
    /// The racks, and the devices that are in none.
    pub(super) fn places(&self) -> impl Iterator<Item = String> {
        self.places.iter().cloned()
    }

    /// Whether a rack, or a device that is in none, is one of these.
    pub(super) fn has(&self, place: &str) -> bool {
        self.places.contains(place)
    }

    pub(super) fn add(&mut self, member: &Member) {
        let Spot {
            rack,
            row,
            room,
            coolers,
        } = &member.spot;
        self.places.insert(member.place().to_owned());
        self.devices.insert(member.device.clone());
        let named = [
            (&mut self.racks, rack),
            (&mut self.rows, row),
            (&mut self.rooms, room),
        ];
        for (set, name) in named {
            if !name.is_empty() {
                set.insert(name.clone());
            }
        }
        self.coolers.extend(coolers.iter().cloned());
    }
}

/// How near an alert is to an incident, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Near {
    Device,
    Rack,
    Cooler,
    Row,
    Room,
}

impl Incident {
    /// The one that `first` opens, without it.
    pub(super) fn opened_by(first: &AlertId, family: Family, member: &Member) -> Self {
        Self {
            id: IncidentId::of(first),
            family,
            opened: member.seen,
            grown: member.at,
            severity: member.severity,
            told: None,
            told_at: Timestamp::default(),
            times: 0,
            over: None,
            ack: None,
            acked_racks: BTreeSet::new(),
            members: BTreeMap::new(),
            reach: Reach::default(),
            news: Some(Event::Pending),
        }
    }

    /// The JSON to store, without its members.
    pub(super) fn to_json(&self) -> String {
        // Strings, numbers and plain enums only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes another alert in.
    pub(super) fn add(&mut self, alert: AlertId, member: Member) {
        self.grown = self.grown.max(member.at);
        self.severity = self.severity.max(member.severity);
        self.reach.add(&member);
        self.members.insert(alert, member);
        self.say(Event::Changed);
    }

    /// Somebody takes it on; whether that is news.
    pub(super) fn acked(&mut self, ack: Ack) -> bool {
        let known = self.ack.as_ref().is_some_and(|known| known.at >= ack.at);
        if known || ack.at < self.told_at {
            return false;
        }
        self.ack = Some(ack);
        self.acked_racks = self.critical_racks();
        self.say(Event::Acked);
        true
    }

    /// Whether an alert of that family belongs to it, and why.
    pub(super) fn near(
        &self,
        family: Family,
        member: &Member,
        companions: Duration,
    ) -> Option<Near> {
        let Reach {
            devices,
            racks,
            rows,
            coolers,
            rooms,
            ..
        } = &self.reach;
        let spot = &member.spot;
        let in_rack = racks.contains(&spot.rack);
        if family != self.family {
            // Servers that were too hot switch off, and their agents with them.
            let switched_off = self.family == Family::Heat
                && self.severity == Severity::Critical
                && member.kind == AlertKind::NoData;
            return (switched_off && in_rack).then_some(Near::Rack);
        }
        if devices.contains(&member.device) {
            return Some(Near::Device);
        }
        if family == Family::Sensor {
            // Two sensors are not stuck for one reason.
            return None;
        }
        if in_rack {
            return Some(Near::Rack);
        }
        let recent = member.at.since(self.grown) <= companions;
        let spread = racks.len() > 1 && member.severity > Severity::Info;
        if !recent && !spread {
            None
        } else if spot.coolers.iter().any(|cooler| coolers.contains(cooler)) {
            Some(Near::Cooler)
        } else if rows.contains(&spot.row) {
            Some(Near::Row)
        } else {
            rooms.contains(&spot.room).then_some(Near::Room)
        }
    }

    /// Takes another record of a member in; whether that is news.
    pub(super) fn update(&mut self, alert: &AlertId, now: &Member) -> bool {
        let Some(member) = self.members.get_mut(alert) else {
            return false;
        };
        let severity = member.severity.max(now.severity);
        if !member.open || (now.open && severity == member.severity) {
            return false;
        }
        *member = Member {
            severity,
            open: now.open,
            at: now.at,
            temperature: now.temperature.or(member.temperature),
            left_ms: now.left_ms.or(member.left_ms),
            historical: now.historical,
            ..member.clone()
        };
        self.severity = self.severity.max(severity);
        self.say(Event::Changed);
        true
    }

    fn say(&mut self, event: Event) {
        let said = self.news.get_or_insert(event);
        if *said != Event::Pending {
            *said = event.max(*said);
        }
    }

    /// The racks in which something is critical.
    fn critical_racks(&self) -> BTreeSet<String> {
        let open = self.members.values().filter(|member| member.open);
        open.filter(|member| member.severity == Severity::Critical)
            .map(|member| member.spot.rack.clone())
            .collect()
    }

    /// The worst of what is open and that people want to hear of now.
    fn loud(&self, silences: &Silences, now: Timestamp) -> Option<Severity> {
        let heard = self.members.values().filter(|member| {
            member.open
                && member.severity > Severity::Info
                && (!member.historical || now.since(member.seen) >= OLD_NEWS)
                && !silences.cover(member, now)
        });
        heard.map(|member| member.severity).max()
    }

    /// None of its alerts is open: what comes back soon is still the same incident.
    fn is_over(&mut self, timing: &Timing, now: Timestamp) -> Option<Event> {
        let known = self.over.is_some();
        let over = *self.over.get_or_insert(now);
        if self.told.is_none() || now.since(over) >= timing.hold {
            self.news = Some(Event::Resolved);
            return self.told.is_some().then_some(Event::Resolved);
        }
        if !known {
            self.say(Event::Quiet);
        }
        None
    }

    /// What people are to be told now.
    pub(super) fn due(
        &mut self,
        silences: &Silences,
        timing: &Timing,
        now: Timestamp,
    ) -> Option<Event> {
        if self.members.values().all(|member| !member.open) {
            return self.is_over(timing, now);
        }
        self.over = None;
        let remind = |severity| match severity {
            Severity::Critical => timing.remind_critical,
            Severity::Warning | Severity::Info => timing.remind_warning,
        };
        let again = self
            .told
            .is_some_and(|told| self.ack.is_none() && now.since(self.told_at) >= remind(told));
        let elsewhere = self.ack.is_some() && self.news.is_some();
        if self.told == Some(Severity::Critical) && !again && !elsewhere {
            // Most of the time: nothing that is worth a look at every member.
            return None;
        }
        let loud = self.loud(silences, now)?;
        let event = match self.told {
            None if loud == Severity::Critical || now.since(self.opened) >= timing.wait => {
                Event::Opened
            }
            Some(told) if loud > told => Event::Worse,
            Some(_) if elsewhere && !self.critical_racks().is_subset(&self.acked_racks) => {
                Event::Worse
            }
            Some(_) if again && now.since(self.told_at) >= remind(loud) => Event::Reminder,
            None | Some(_) => return None,
        };
        if event == Event::Worse {
            self.ack = None;
        }
        self.told = self.told.max(Some(loud));
        self.told_at = now;
        Some(event)
    }

    pub(super) fn record(
        &mut self,
        event: Event,
        tell: Option<Event>,
        now: Timestamp,
    ) -> IncidentRecord {
        if tell.is_some() {
            self.times += 1;
        }
        let open = || self.members.values().filter(|member| member.open);
        let first = self.members.values().min_by_key(|m| (m.started, &m.device));
        let cause = Cause::suspect(self.members.values());
        let temperatures = open().filter_map(|member| member.temperature);
        let degrees = |a: &Celsius, b: &Celsius| a.degrees().total_cmp(&b.degrees());
        IncidentRecord {
            id: self.id.clone(),
            event,
            tell: tell.map(|_| format!("{}-{}", self.id, self.times)),
            severity: open()
                .map(|member| member.severity)
                .max()
                .unwrap_or(self.severity),
            title: words::title(self.family, &cause, &self.members, &self.reach),
            cause,
            first: first.map_or_else(
                || Subject::from(DeviceId::sanitized("")),
                |m| m.device.clone(),
            ),
            since: first.map_or(self.opened, |member| member.started),
            at: now,
            racks: self
                .reach
                .racks
                .iter()
                .take(IncidentRecord::RACKS)
                .cloned()
                .collect(),
            rooms: self.reach.rooms.iter().cloned().collect(),
            roles: {
                let roles = self.members.values().map(|member| member.role);
                roles.collect::<BTreeSet<_>>().into_iter().collect()
            },
            devices: self
                .reach
                .devices
                .iter()
                .take(IncidentRecord::DEVICES)
                .cloned()
                .collect(),
            device_count: self.reach.devices.len(),
            until: self.over,
            alerts: self.members.len(),
            open: open().count(),
            extreme: match self.family {
                Family::Heat => temperatures.max_by(degrees),
                Family::Cold => temperatures.min_by(degrees),
                Family::Silence | Family::Sensor => None,
            },
            left_ms: open().filter_map(|member| member.left_ms).min(),
            acked_by: self.ack.as_ref().map(|ack| ack.by.clone()),
        }
    }
}
