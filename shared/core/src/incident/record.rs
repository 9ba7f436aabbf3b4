//! Records of incidents, as `rackwatch:incidents` holds them.

use std::fmt;

use serde::Serialize;

use super::cause::Cause;
use super::id::IncidentId;
use super::member::StoredMember;
use crate::alert::{AlertId, Severity};
use crate::device::Role;
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// A change of an incident, the least important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The incident began. No notification was sent yet.
    Pending,
    /// Alerts joined, or ended.
    Changed,
    /// A person acknowledged it.
    Acked,
    /// No alert is open any more. The incident is resolved unless one fires again.
    Resolving,
    /// The first notification was sent.
    Opened,
    /// The severity rose, the critical part grew by much, or a critical rack sends no data any more.
    Worse,
    /// The repeat interval has passed without an acknowledgement.
    Repeat,
    /// No alert has been open for `resolve_after`.
    Resolved,
}

impl Event {
    /// Every event, in order.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Changed,
        Self::Acked,
        Self::Resolving,
        Self::Opened,
        Self::Worse,
        Self::Repeat,
        Self::Resolved,
    ];

    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Changed => "changed",
            Self::Acked => "acked",
            Self::Resolving => "resolving",
            Self::Opened => "opened",
            Self::Worse => "worse",
            Self::Repeat => "repeat",
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
    /// The id of the incident.
    #[serde(rename = "incident_id")]
    pub id: IncidentId,
    /// The change that the record reports.
    pub event: Event,
    /// The id of the notification that this record asks for, if it asks for one. Every attempt to send it
    /// carries the same id, so receivers can drop repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<String>,
    /// The highest severity of open alerts, or the peak once none is open.
    pub severity: Severity,
    /// The symptom and the place in a few words.
    pub title: String,
    /// The suspected cause of all alerts.
    #[serde(flatten)]
    pub cause: Cause,
    /// The first sensor: the device whose episode began first.
    pub first: Subject,
    /// The start of the first sensor's episode.
    pub since: Timestamp,
    /// The time at which the last alert ended, if none is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The time of the change.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// The racks with alerts, at most [`IncidentRecord::RACKS`].
    pub racks: Vec<String>,
    /// The rooms with alerts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
    /// The roles of the devices with alerts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// The devices with alerts in the order of their ids, at most [`IncidentRecord::DEVICES`].
    pub devices: Vec<Subject>,
    /// The number of devices with alerts.
    pub device_count: usize,
    /// The number of alerts so far.
    pub alerts: usize,
    /// The number of alerts that still fire.
    pub open: usize,
    /// The number of open alerts whose sensor sends no data.
    #[serde(skip_serializing_if = "is_zero")]
    pub stale: usize,
    /// The hottest reading of the open alerts, or the coldest where it is too cold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<Celsius>,
    /// The shortest and longest time until the critical limit is reached, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<(u64, u64)>,
    /// The person whose acknowledgement is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acked_by: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl IncidentRecord {
    /// The most devices that a record lists.
    pub const DEVICES: usize = 20;
    /// The most racks that a record lists.
    pub const RACKS: usize = 200;
}

/// The outcome of one step. All of it is written together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// New entries of `rackwatch:incidents`, in order.
    pub records: Vec<IncidentRecord>,
    /// Incidents to store: the versioned JSON of each, without its members.
    pub incidents: Vec<(IncidentId, String)>,
    /// Members to store, with their alerts.
    pub members: Vec<(AlertId, StoredMember)>,
    /// Resolved incidents, which are to be deleted.
    pub resolved: Vec<IncidentId>,
    /// Alerts whose members are to be deleted.
    pub removed_members: Vec<AlertId>,
}

impl Changes {
    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
