//! What becomes of an incident, as it is written down and told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Cause, IncidentId, Stored};
use crate::alert::{AlertId, Severity};
use crate::device::Role;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It is there, and waits for companions.
    Pending,
    /// Its alerts are others than before.
    Changed,
    /// Somebody has taken it on.
    Acked,
    /// None of its alerts is open any more; one may come back.
    Quiet,
    /// People are told of it for the first time.
    Opened,
    /// It became worse.
    Worse,
    /// It is still there.
    Reminder,
    /// It is over.
    Resolved,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Changed,
        Self::Acked,
        Self::Quiet,
        Self::Opened,
        Self::Worse,
        Self::Reminder,
        Self::Resolved,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Changed => "changed",
            Self::Acked => "acked",
            Self::Quiet => "quiet",
            Self::Opened => "opened",
            Self::Worse => "worse",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One change of an incident: an entry of `rackwatch:incidents`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentRecord {
    /// The incident.
    #[serde(rename = "incident_id")]
    pub id: IncidentId,
    /// What became of it.
    pub event: Event,
    /// People are to be told: the name of what they are told, the same however often it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell: Option<String>,
    /// How bad: the worst of the alerts that are open; of one that is over the worst it was.
    pub severity: Severity,
    /// What it is and where, in words.
    pub title: String,
    /// What is suspected.
    #[serde(flatten)]
    pub cause: Cause,
    /// The device that was first.
    pub first: Subject,
    /// When its episode began.
    #[serde(rename = "since")]
    pub since: Timestamp,
    /// Since when none of its alerts is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When this became so.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// The racks with alerts.
    pub racks: Vec<String>,
    /// The rooms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
    /// What its devices measure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// The first of the devices with alerts, at most [`IncidentRecord::DEVICES`].
    pub devices: Vec<Subject>,
    /// How many devices have had alerts.
    pub device_count: usize,
    /// How many alerts there have been.
    pub alerts: usize,
    /// How many of them are open.
    pub open: usize,
    /// The hottest reading of the open ones (the coldest, where it is too cold).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extreme: Option<Celsius>,
    /// Until the critical limit is reached, at least and at most, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<(u64, u64)>,
    /// Who has taken it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acked_by: Option<String>,
}

impl IncidentRecord {
    /// So many devices are listed.
    pub const DEVICES: usize = 20;
    /// So many racks are listed.
    pub const RACKS: usize = 200;
}

/// What is to be written, all in one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Entries of `rackwatch:incidents`, in order.
    pub records: Vec<IncidentRecord>,
    /// Incidents to store, as JSON without their members.
    pub incidents: Vec<(IncidentId, String)>,
    /// Members to store.
    pub members: Vec<(AlertId, Stored)>,
    /// Incidents to forget.
    pub closed: Vec<IncidentId>,
    /// Members to forget.
    pub gone: Vec<AlertId>,
}

impl Changes {
    /// There is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
