//! The alerts of an incident.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::IncidentId;
use crate::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use crate::device::Role;
use crate::episode::Episode;
use crate::site::Spot;
use crate::stored::{IfRefused, StoredValue};
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The sensors that an agent or a target without data leaves unread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The number of sensors.
    #[serde(rename = "sensors")]
    pub sensors: usize,
    /// Their racks, at most [`Missing::NAMES`].
    #[serde(rename = "racks")]
    pub racks: BTreeSet<String>,
    /// Their rows, at most [`Missing::NAMES`].
    #[serde(rename = "rows")]
    pub rows: BTreeSet<String>,
    /// Their rooms, at most [`Missing::NAMES`].
    #[serde(rename = "rooms")]
    pub rooms: BTreeSet<String>,
    /// Their roles.
    #[serde(rename = "roles")]
    pub roles: BTreeSet<Role>,
}

impl Missing {
    /// The most racks, rows or rooms that are named.
    pub const NAMES: usize = 1000;

    /// Adds a sensor.
    pub fn add(&mut self, spot: &Spot, role: Role) {
        self.sensors += 1;
        self.roles.insert(role);
        let named = [
            (&mut self.racks, &spot.rack),
            (&mut self.rows, &spot.row),
            (&mut self.rooms, &spot.room),
        ];
        for (set, name) in named {
            if !name.is_empty() && set.len() < Self::NAMES {
                set.insert(name.clone());
            }
        }
    }
}

/// The place of an alert, with the sensors that are missing there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertPlace {
    /// The location of the device.
    pub spot: Spot,
    /// The sensors of an agent or a target that sends no data.
    pub missing: Option<Missing>,
}

impl From<Spot> for AlertPlace {
    fn from(spot: Spot) -> Self {
        Self {
            spot,
            missing: None,
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
    /// The name of the rule.
    pub rule: String,
    /// The peak severity of the alert.
    pub severity: Severity,
    /// The kind of measurement.
    pub role: Role,
    /// The location of the device.
    pub spot: Spot,
    /// The start of the episode.
    #[serde(rename = "since_ms")]
    pub started: Timestamp,
    /// The time of the newest record.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// The time at which the correlator read the first record.
    #[serde(rename = "seen_ms")]
    pub seen: Timestamp,
    /// The last known temperature.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<Celsius>,
    /// The shortest and longest time until the critical limit, in milliseconds. Runaway alerts have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left_ms: Option<(u64, u64)>,
    /// Whether the alert still fires.
    pub open: bool,
    /// Whether its sensor sends no data, so that it is not known how the alert goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub stale: bool,
    /// The sensors of an agent or a target that sends no data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<Missing>,
    /// Whether the record was old already when it was written, as from a backlog.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub historical: bool,
}

impl Member {
    /// Returns the member that `record` describes.
    pub(super) fn of(record: &AlertRecord, place: impl Into<AlertPlace>, now: Timestamp) -> Self {
        let AlertPlace { spot, missing } = place.into();
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
            stale: false,
            missing,
            historical: record.historical,
        }
    }

    /// Returns the open episode behind this alert, for one whose stored value and records were lost. Its threshold and
    /// height in the rack are unknown: 0 and none.
    pub fn episode(&self, alert: &AlertId) -> Episode {
        Episode {
            id: alert.clone(),
            subject: self.device.clone(),
            rule: self.rule.clone(),
            kind: self.kind,
            started: self.started,
            severity: self.severity,
            threshold: 0.0,
            temperature: self.temperature.unwrap_or(Celsius::ZERO),
            at: self.at,
            rack: self.spot.rack.clone(),
            u: None,
            role: self.role,
        }
    }

    /// Returns the rack, or the device itself if it is in no rack.
    pub(super) fn place(&self) -> &str {
        match self.spot.rack.as_str() {
            "" => self.device.as_str(),
            rack => rack,
        }
    }

    /// Merges a later record of the same alert. Returns whether that changed the state or raised the severity.
    pub(super) fn update(&mut self, later: &Self) -> bool {
        let severity = self.severity.max(later.severity);
        if !self.open || (later.open && severity == self.severity) {
            return false;
        }
        self.severity = severity;
        self.open = later.open;
        self.at = later.at;
        self.temperature = later.temperature.or(self.temperature);
        self.left_ms = later.left_ms.or(self.left_ms);
        self.historical = later.historical;
        true
    }
}

/// A member as Redis keeps it, under the id of its alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredMember {
    /// The incident that the alert belongs to.
    pub incident: IncidentId,
    /// The alert as a member.
    #[serde(flatten)]
    pub member: Member,
}

impl StoredValue for StoredMember {
    const NAME: &'static str = "incident member";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused =
        IfRefused::StartsCold("open alerts are grouped into incidents again");
}
