//! Text that several notifiers share.

use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::Timestamp;

/// Returns the address of the incident on the dashboard, if the dashboard has a public address.
pub(super) fn dashboard_link(dashboard: Option<&str>, record: &IncidentRecord) -> Option<String> {
    Some(format!("{}/#/incident/{}", dashboard?, record.id.as_str()))
}

/// Returns the state and the title: `CRITICAL: cooling is failing: rack B07`, or `✓ RESOLVED: …`.
pub(super) fn title_line(record: &IncidentRecord) -> String {
    let state = match record.event {
        Event::Resolved => "✓ RESOLVED".to_owned(),
        _ => record.severity.name().to_uppercase(),
    };
    format!("{state}: {}", record.title)
}

/// Formats a time as RFC 3339 in UTC.
pub(super) fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis);
    at.unwrap_or_default().to_string()
}
