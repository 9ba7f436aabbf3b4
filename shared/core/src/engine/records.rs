//! Alert events: complete records with the episode changes that go with them.

use super::effects::{AlertEvent, EpisodeChange};
use crate::alert::{
    AlertId, AlertKind, AlertRecord, Detail, EndedBy, Extras, Resolution, Severity,
};
use crate::detect::Peak;
use crate::device::{Description, DeviceId, Role};
use crate::episode::Episode;
use crate::rules::PlannedRule;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The name of the engine's own rule for clocks.
pub(super) const CLOCK_SKEW: &str = "clock_skew";
/// The rule name in records about agents of one name.
pub(super) const DUPLICATE_AGENT: &str = "duplicate_agent";
/// The rule name in records about agents and targets that send no data.
pub(super) const NO_DATA: &str = "no_data";
/// The rule name in records about targets that cannot be read.
pub(super) const SENSOR_FAULT: &str = "sensor_fault";

/// The place of a subject, as records show it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) rack: String,
    pub(super) u: Option<u16>,
    pub(super) role: Role,
}

impl Place {
    /// Returns the place of a device. Without a description the rack is read from the id; a described device
    /// has the rack of its description only, because its id may name a host instead.
    pub(super) fn of(description: Option<&Description>, id: &DeviceId) -> Self {
        match description {
            Some(known) => Self {
                rack: known.rack.clone().unwrap_or_default(),
                u: known.u,
                role: known.role,
            },
            None => Self {
                rack: id.rack_part().unwrap_or_default().to_owned(),
                u: None,
                role: Role::Inlet,
            },
        }
    }

    /// Returns the place of an agent or a target; `rack` is empty unless all its devices share one.
    pub(super) fn of_rack(rack: String) -> Self {
        Self {
            rack,
            u: None,
            role: Role::Other,
        }
    }
}

/// Returns the threshold of the rule's mildest level: the one to clear for an episode to end.
pub(super) fn mildest_threshold(rule: &PlannedRule) -> f64 {
    Severity::ALL
        .into_iter()
        .find_map(|severity| rule.threshold(severity))
        .unwrap_or_default()
}

/// The part of an episode that all its records share.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) subject: Subject,
    pub(super) kind: AlertKind,
    pub(super) rule: String,
    pub(super) place: Place,
    pub(super) started: Timestamp,
    pub(super) severity: Severity,
    pub(super) threshold: f64,
}

impl AlertEvent {
    /// Sets the reason for the end of the episode.
    pub(super) fn ended_by(mut self, by: EndedBy) -> Self {
        if let Some(resolution) = &mut self.record.resolution {
            resolution.ended_by = by;
        }
        self
    }
}

/// The evidence behind one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) at: Timestamp,
    pub(super) temperature: Option<Celsius>,
    /// Recent change, in kelvin per minute.
    pub(super) rate: Option<f64>,
    pub(super) extras: Extras,
}

impl Evidence {
    /// Returns the evidence of a time alone.
    pub(super) fn at(at: Timestamp) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }
}

impl Header {
    /// Returns the header of a stored episode.
    pub(super) fn of_episode(episode: &Episode) -> Self {
        Self {
            subject: episode.subject.clone(),
            kind: episode.kind,
            rule: episode.rule.clone(),
            place: Place {
                rack: episode.rack.clone(),
                u: episode.u,
                role: episode.role,
            },
            started: episode.started,
            severity: episode.severity,
            threshold: episode.threshold,
        }
    }

    /// Returns the event of an episode that began or became worse. `last` is the newest known temperature,
    /// which the stored episode keeps; `reported` is the severity in the record.
    pub(super) fn fire(self, evidence: Evidence, last: Celsius, reported: Severity) -> AlertEvent {
        let episode = Episode {
            id: AlertId::of(&self.subject, &self.rule, self.started),
            subject: self.subject.clone(),
            rule: self.rule.clone(),
            kind: self.kind,
            started: self.started,
            severity: self.severity,
            threshold: self.threshold,
            temperature: last,
            at: evidence.at,
            rack: self.place.rack.clone(),
            u: self.place.u,
            role: self.place.role,
        };
        let header = Self {
            severity: reported,
            ..self
        };
        AlertEvent {
            record: header.record(evidence, None),
            episode: EpisodeChange::Open(Box::new(episode)),
        }
    }

    /// Returns the event of an episode that ended at `end`. `peak` is its most extreme temperature.
    pub(super) fn resolve(self, evidence: Evidence, end: Timestamp, peak: Celsius) -> AlertEvent {
        let resolution = Resolution {
            duration: end.since(self.started),
            peak: (self.kind.info().peak != Peak::None).then_some(peak),
            ended_by: EndedBy::Readings,
        };
        let episode = EpisodeChange::Close {
            subject: self.subject.clone(),
            rule: self.rule.clone(),
        };
        AlertEvent {
            record: self.record(evidence, Some(resolution)),
            episode,
        }
    }

    fn record(self, evidence: Evidence, resolution: Option<Resolution>) -> AlertRecord {
        AlertRecord {
            id: AlertId::of(&self.subject, &self.rule, self.started),
            subject: self.subject,
            temperature: evidence.temperature,
            at: evidence.at,
            threshold: self.threshold,
            severity: self.severity,
            rule: self.rule,
            rack: self.place.rack,
            u: self.place.u,
            role: self.place.role,
            started: self.started,
            rate: evidence.rate,
            detail: Detail::new(self.kind, evidence.extras),
            resolution,
            historical: false,
        }
    }
}
