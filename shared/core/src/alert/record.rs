//! Alert records, as the engine writes them.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::id::AlertId;
use super::state::AlertState;
use crate::detect::{AlertFacts, AlertKind, Detail};
use crate::device::Role;
use crate::severity::Severity;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// One change of an episode. (alert id, state, severity) identifies it.
///
/// Its JSON form has the fields of the wire side by side, `null` where a kind does not have one.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRecord {
    /// The sensor, target or agent that has the problem.
    pub subject: Subject,
    /// The reading that caused the record; none where the subject could not be read, or is no sensor.
    pub temperature: Option<Celsius>,
    /// The time of that reading.
    pub at: Timestamp,
    /// The value that was crossed: °C for limits, kelvin for swings, drifts, outliers and runaways, seconds
    /// for the others.
    pub threshold: f64,
    /// The severity; on resolution the worst of the episode.
    pub severity: Severity,
    /// The id of the episode.
    pub id: AlertId,
    /// The name of the rule.
    pub rule: String,
    /// The rack; empty where it is unknown.
    pub rack: String,
    /// Height in the rack, in rack units.
    pub u: Option<u16>,
    /// The role of the sensor.
    pub role: Role,
    /// The beginning of the episode: the first reading beyond.
    pub started: Timestamp,
    /// Recent change in kelvin per minute; of runaways that of the rack.
    pub rate: Option<f64>,
    /// The kind, with what it adds.
    pub detail: Detail,
    /// The end of the episode; none while it fires.
    pub resolution: Option<Resolution>,
    /// Whether the record was older than [`AlertRecord::NEWS`] when it was written, as in a backlog. Only
    /// this field depends on the collector's clock.
    pub historical: bool,
}

/// The part of a record that only the end of an episode has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// The length of the episode.
    pub duration: Duration,
    /// The most extreme temperature; none for kinds that do not look at temperatures.
    pub peak: Option<Celsius>,
    /// The reason for the end.
    pub ended_by: EndedBy,
}

/// The reason why an episode ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndedBy {
    /// Readings show that the trouble is over.
    #[default]
    Readings,
    /// The rule is another or gone.
    RuleChange,
    /// The device was forgotten.
    Forgotten,
    /// The device sent no data for `alerts.stale_after`.
    Stale,
    /// A person resolved it.
    Operator,
}

impl EndedBy {
    /// Every reason that records name.
    pub const NAMED: [Self; 4] = [
        Self::RuleChange,
        Self::Forgotten,
        Self::Stale,
        Self::Operator,
    ];

    /// Returns the value of the field `ended_by`; none if readings ended the episode.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Readings => None,
            Self::RuleChange => Some("rule_change"),
            Self::Forgotten => Some("forgotten"),
            Self::Stale => Some("stale"),
            Self::Operator => Some("operator"),
        }
    }

    /// Returns the reason with this name. An unknown one, of a newer version, counts as readings.
    pub fn from_name(name: Option<&str>) -> Self {
        let mut named = Self::NAMED.into_iter();
        named.find(|by| by.name() == name).unwrap_or_default()
    }
}

impl AlertRecord {
    /// The greatest age of a record that is news when it is written.
    pub const NEWS: Duration = Duration::from_mins(2);

    /// Returns the kind, the field `type`.
    pub fn kind(&self) -> AlertKind {
        self.detail.kind()
    }

    /// Returns the numbers that records of every kind have, from which words are made.
    pub fn facts(&self) -> AlertFacts {
        AlertFacts {
            is_firing: self.resolution.is_none(),
            temperature: self.temperature,
            threshold: self.threshold,
            rate: self.rate,
        }
    }

    /// Returns the state of the episode after this record.
    pub fn state(&self) -> AlertState {
        match self.resolution {
            None => AlertState::Firing,
            Some(_) => AlertState::Resolved,
        }
    }
}

impl Serialize for AlertRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        FlatRecord::from(self).serialize(to)
    }
}

/// A record with all fields side by side.
#[derive(Serialize)]
struct FlatRecord<'a> {
    #[serde(rename = "type")]
    kind: AlertKind,
    device_id: &'a Subject,
    temperature: Option<Celsius>,
    timestamp: Timestamp,
    threshold: f64,
    severity: Severity,
    state: AlertState,
    alert_id: &'a AlertId,
    rule: &'a str,
    rack: &'a str,
    u: Option<u16>,
    role: Role,
    since: Timestamp,
    rate: Option<f64>,
    change: Option<f64>,
    window_ms: Option<u64>,
    reason: Option<String>,
    left_min_ms: Option<u64>,
    left_max_ms: Option<u64>,
    peak: Option<Celsius>,
    duration_ms: Option<u64>,
    skew_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    historical: bool,
}

impl<'a> From<&'a AlertRecord> for FlatRecord<'a> {
    fn from(record: &'a AlertRecord) -> Self {
        let extras = record.detail.extras();
        Self {
            kind: record.kind(),
            device_id: &record.subject,
            temperature: record.temperature,
            timestamp: record.at,
            threshold: record.threshold,
            severity: record.severity,
            state: record.state(),
            alert_id: &record.id,
            rule: &record.rule,
            rack: &record.rack,
            u: record.u,
            role: record.role,
            since: record.started,
            rate: record.rate,
            change: extras.change,
            window_ms: extras.window.map(millis),
            reason: extras.reason,
            left_min_ms: extras.left.map(|(least, _)| millis(least)),
            left_max_ms: extras.left.map(|(_, most)| millis(most)),
            peak: record.resolution.and_then(|resolution| resolution.peak),
            duration_ms: record
                .resolution
                .map(|resolution| millis(resolution.duration)),
            skew_ms: extras.skew_ms,
            ended_by: record
                .resolution
                .and_then(|resolution| resolution.ended_by.name()),
            historical: record.historical,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
