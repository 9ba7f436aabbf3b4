//! Delays and intervals of incidents.

use std::time::Duration;

use crate::alert::Severity;

/// The delays and intervals that decide on grouping and notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentTiming {
    /// Delay before the first notification of a non-critical incident, so that related alerts can join.
    pub group_wait: Duration,
    /// Time since an incident last grew in which an alert behind the same cooler, in the same row or in the
    /// same room still joins it.
    pub group_window: Duration,
    /// Time without an open alert after which an incident is resolved.
    pub resolve_after: Duration,
    /// Interval between notifications of a critical incident that is not acknowledged.
    pub repeat_interval_critical: Duration,
    /// Interval between notifications of any other incident that is not acknowledged.
    pub repeat_interval_warning: Duration,
}

impl IncidentTiming {
    /// Returns the interval between notifications of an unacknowledged incident.
    pub(super) fn repeat_interval(&self, severity: Severity) -> Duration {
        match severity {
            Severity::Critical => self.repeat_interval_critical,
            Severity::Warning | Severity::Info => self.repeat_interval_warning,
        }
    }
}

impl Default for IncidentTiming {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_secs(10),
            group_window: Duration::from_mins(5),
            // Air that a cooler keeps at a limit crosses it every few minutes.
            resolve_after: Duration::from_mins(10),
            repeat_interval_critical: Duration::from_mins(30),
            repeat_interval_warning: Duration::from_hours(4),
        }
    }
}
