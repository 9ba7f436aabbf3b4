//! Alerts about agents and targets: one record for all their devices at once.

use std::collections::BTreeMap;

use super::effects::AlertEvent;
use super::records::{Evidence, Header, Place};
use crate::alert::{AlertId, AlertKind, EndedBy, Severity};
use crate::episode::Episode;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The rule behind the alerts of one part of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SubjectRule {
    pub(super) kind: AlertKind,
    pub(super) name: &'static str,
    pub(super) threshold: f64,
}

/// The open alerts of one rule, by agent and target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SubjectAlerts {
    rule: SubjectRule,
    open: BTreeMap<Subject, OpenAlert>,
}

/// The open alert of one agent or target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpenAlert {
    pub(super) since: Timestamp,
    pub(super) severity: Severity,
    /// The rack of all devices; empty where they are in several.
    rack: String,
}

impl SubjectAlerts {
    /// Creates a set without open alerts.
    pub(super) fn new(rule: SubjectRule) -> Self {
        Self {
            rule,
            open: BTreeMap::new(),
        }
    }

    /// Takes over stored episodes.
    pub(super) fn resume<'a>(&mut self, episodes: impl Iterator<Item = &'a Episode>) {
        self.open = episodes
            .map(|episode| {
                let open = OpenAlert {
                    since: episode.started,
                    severity: episode.severity,
                    rack: episode.rack.clone(),
                };
                (episode.subject.clone(), open)
            })
            .collect();
    }

    /// Returns whether no alert is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the open alert of an agent or a target.
    pub(super) fn get(&self, subject: &Subject) -> Option<&OpenAlert> {
        self.open.get(subject)
    }

    /// Opens an alert, or raises the severity of an open one.
    pub(super) fn fire(
        &mut self,
        subject: Subject,
        open: OpenAlert,
        evidence: Evidence,
    ) -> AlertEvent {
        let header = self.header(subject.clone(), open.clone());
        let severity = open.severity;
        self.open.insert(subject, open);
        header.fire(evidence, Celsius::ZERO, severity)
    }

    /// Closes the alert of an agent or a target if one is open.
    pub(super) fn resolve(&mut self, subject: Subject, at: Timestamp) -> Option<AlertEvent> {
        let open = self.open.remove(&subject)?;
        let header = self.header(subject, open);
        Some(header.resolve(Evidence::at(at), at, Celsius::ZERO))
    }

    /// Closes the alert with this id, because a person resolved it.
    pub(super) fn resolve_by_hand(
        &mut self,
        subject: &Subject,
        alert: &AlertId,
        at: Timestamp,
    ) -> Option<AlertEvent> {
        let open = self.open.get(subject)?;
        let is_meant = AlertId::of(subject, self.rule.name, open.since) == *alert;
        let event = is_meant.then(|| self.resolve(subject.clone(), at))??;
        Some(event.ended_by(EndedBy::Operator))
    }

    fn header(&self, subject: Subject, open: OpenAlert) -> Header {
        Header {
            subject,
            kind: self.rule.kind,
            rule: self.rule.name.to_owned(),
            place: Place::of_rack(open.rack),
            started: open.since,
            severity: open.severity,
            threshold: self.rule.threshold,
        }
    }
}

impl OpenAlert {
    /// Creates an alert; `rack` is empty unless all devices share one.
    pub(super) fn new(since: Timestamp, severity: Severity, rack: String) -> Self {
        Self {
            since,
            severity,
            rack,
        }
    }
}
