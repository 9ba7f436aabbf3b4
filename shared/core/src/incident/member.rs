//! The alerts of an incident.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::IncidentId;
use crate::alert::{AlertKind, AlertRecord, AlertState, Severity};
use crate::device::Role;
use crate::site::Spot;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// What kind of trouble alerts speak of: only those of one family have one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Hot, or becoming hot.
    Heat,
    /// Cold, or becoming cold.
    Cold,
    /// Sensors and agents of which nothing good comes.
    Silence,
    /// One sensor that cannot be believed.
    Sensor,
}

impl Family {
    /// That of a record.
    pub fn of(record: &AlertRecord) -> Self {
        let change = record.detail.extras().change;
        let is_below = change.is_some_and(|change| change < 0.0);
        match record.kind() {
            AlertKind::Drift | AlertKind::Outlier if is_below => Self::Cold,
            kind => Self::of_kind(kind),
        }
    }

    /// That of a kind, where it is not known which way a sensor went.
    pub fn of_kind(kind: AlertKind) -> Self {
        match kind {
            AlertKind::LowTemp | AlertKind::Drop => Self::Cold,
            AlertKind::HighTemp
            | AlertKind::Spike
            | AlertKind::Runaway
            | AlertKind::Drift
            | AlertKind::Outlier => Self::Heat,
            AlertKind::NoData | AlertKind::SensorFault | AlertKind::ClockSkew => Self::Silence,
            AlertKind::StuckSensor => Self::Sensor,
        }
    }
}

/// One alert of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The sensor, target or agent.
    pub device: Subject,
    /// The type of alert.
    #[serde(rename = "type")]
    pub kind: AlertKind,
    /// The rule's name.
    pub rule: String,
    /// The worst it was.
    pub severity: Severity,
    /// What the device measures.
    pub role: Role,
    /// Where it stands.
    pub spot: Spot,
    /// When the episode began.
    #[serde(rename = "since_ms")]
    pub started: Timestamp,
    /// When its last record was made.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// When it was heard of here.
    #[serde(rename = "seen_ms")]
    pub seen: Timestamp,
    /// The last temperature that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<Celsius>,
    /// Until the critical limit, at least and at most, in milliseconds: of runaways.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left_ms: Option<(u64, u64)>,
    /// It is not over.
    pub open: bool,
    /// It was no news when it was written.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub historical: bool,
}

impl Member {
    /// Its rack, or the device itself where that is in none.
    pub(super) fn place(&self) -> &str {
        match self.spot.rack.as_str() {
            "" => self.device.as_str(),
            rack => rack,
        }
    }

    pub(super) fn of(record: &AlertRecord, spot: Spot, now: Timestamp) -> Self {
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self {
            device: record.subject.clone(),
            kind: record.kind(),
            rule: record.rule.clone(),
            severity: record.severity,
            role: record.role,
            spot,
            started: record.started,
            at: record.at,
            seen: now,
            temperature: record.temperature,
            left_ms: record
                .detail
                .extras()
                .left
                .map(|(least, most)| (millis(least), millis(most))),
            open: record.state() == AlertState::Firing,
            historical: record.historical,
        }
    }
}

/// A member as it is stored: under its alert's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Its incident.
    pub incident: IncidentId,
    /// What it is.
    #[serde(flatten)]
    pub member: Member,
}
