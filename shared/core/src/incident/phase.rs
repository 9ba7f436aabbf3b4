//! The phases of an incident, and its acknowledgement.
//!
//! ```text
//!   first alert
//!        │
//!        ▼             critical, or group_wait has passed:
//!  ┌───────────┐       notify opened                          ┌──────────┐
//!  │  Pending  │─────────────────────────────────────────────▶│   Open   │◀┐ worsened: notify worse
//!  └───────────┘                                              └──────────┘─┘ repeat interval: notify repeat
//!        │                                                     │        ▲
//!        │ no alert is open                   no alert is open │        │ an alert fires
//!        │                                                     ▼        │
//!        │                                                    ┌───────────┐
//!        │                                                    │ Resolving │
//!        │                                                    └───────────┘
//!        ▼                                                     │ resolve_after has passed:
//!    resolved, without a notification                          ▼ notify resolved
//! ```
//!
//! While every open alert is silenced, or of severity `info`, no notification is due: a pending incident stays
//! pending. A resolved incident is removed, so it needs no phase.
//!
//! An acknowledgement is independent of the phase. It suppresses repeats. It ends when the incident gets worse:
//! when the severity rises above that of all notifications, when a critical alert comes from another rack, or when a
//! critical rack sends no data any more.

use serde::{Deserialize, Serialize};

use super::extent::Extent;
use crate::alert::Severity;
use crate::stored::{IfRefused, StoredValue};
use crate::time::Timestamp;

/// The phase of an incident that is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(super) enum Phase {
    /// No notification was sent yet.
    Pending,
    /// A notification was sent, and an alert is open.
    Open {
        /// The notifications so far.
        notifications: Notifications,
    },
    /// A notification was sent, and no alert is open. An alert that fires again continues the incident.
    Resolving {
        /// The notifications so far.
        notifications: Notifications,
        /// The time at which the last alert ended.
        #[serde(rename = "since_ms")]
        since: Timestamp,
    },
}

/// The notifications of one incident so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notifications {
    /// The number sent, at least one. It is part of the next notification's id.
    pub(super) count: u32,
    /// The highest severity of all.
    pub(super) peak: Severity,
    /// The time of the newest.
    #[serde(rename = "at_ms")]
    pub(super) at: Timestamp,
}

impl Phase {
    /// Returns the notifications so far, if there are any.
    pub(super) fn notifications(&self) -> Option<Notifications> {
        match self {
            Self::Pending => None,
            Self::Open { notifications } | Self::Resolving { notifications, .. } => {
                Some(*notifications)
            }
        }
    }

    /// Returns the phase of an incident with an open alert.
    pub(super) fn with_open_alert(self) -> Self {
        match self {
            Self::Resolving { notifications, .. } => Self::Open { notifications },
            Self::Pending | Self::Open { .. } => self,
        }
    }

    /// Returns the phase after a notification of an incident with open alerts.
    pub(super) fn notified(self, severity: Severity, now: Timestamp) -> Self {
        let before = self.notifications();
        Self::Open {
            notifications: Notifications {
                count: before.map_or(0, |before| before.count) + 1,
                peak: before.map_or(severity, |before| before.peak.max(severity)),
                at: now,
            },
        }
    }
}

/// An acknowledgement by a person, as Redis keeps it until the incident is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The name of the person.
    pub by: String,
    /// The time of the acknowledgement.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// A remark, which may be empty.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
}

impl StoredValue for Ack {
    const NAME: &'static str = "acknowledgement";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::HasNoEffect("acknowledge the incidents again");
}

/// An acknowledgement in force, with the critical part that it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ActiveAck {
    /// The acknowledgement as stored.
    #[serde(flatten)]
    pub(super) ack: Ack,
    /// The critical part at the time of the acknowledgement.
    pub(super) extent: Extent,
}
