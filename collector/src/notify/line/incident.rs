//! The line for an incident.

use std::fmt::Write;
use std::time::Duration;

use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::name::printable;
use rackwatch_core::time::format_duration;

use super::style::Style;
use super::time::time;

/// Returns the line for an incident, without a newline.
///
/// `2026-11-23 14:02:11+01:00 CRITICAL incident   cooling is failing: row B, 12 sensors in B1, B2, critical in
/// 3m to 4m, first sensor inlet-B1-2  [a1b2c3]`
pub fn incident_line(record: &IncidentRecord, style: &Style) -> String {
    let at = time(record.at, &style.zone);
    let is_resolved = record.event == Event::Resolved;
    let state = if is_resolved {
        style.paint("RESOLVED", None)
    } else {
        let word = record.severity.name().to_uppercase();
        style.paint(&format!("{word:<8}"), Some(record.severity))
    };
    let prefix = match record.event {
        Event::Worse => "got worse: ",
        Event::Repeat => "still open: ",
        _ => "",
    };
    let mut line = format!("{:<9}  {prefix}{}", "incident", record.title);
    if is_resolved {
        let end = record.until.unwrap_or(record.at);
        let _ok = write!(line, ", after {}", format_duration(end.since(record.since)));
    } else {
        details(record, &mut line);
    }
    let _ok = write!(line, "  [{}]", record.id.short());
    format!("{at} {state} {}", printable(&line))
}

/// Appends what is known of an open incident: temperature, time to critical, first sensor, age.
fn details(record: &IncidentRecord, line: &mut String) {
    // Writing to a String cannot fail.
    if let Some(peak) = record.peak {
        let _ok = write!(line, ", {:.1} °C", peak.degrees());
    }
    if let Some((least, most)) = record.left_ms {
        let duration = |ms| format_duration(Duration::from_millis(ms));
        let _ok = write!(
            line,
            ", critical in {} to {}",
            duration(least),
            duration(most)
        );
    }
    if record.device_count > 1 {
        let _ok = write!(line, ", first sensor {}", record.first);
    }
    if record.event == Event::Repeat {
        let age = record.at.since(record.since);
        let _ok = write!(line, ", for {}", format_duration(age));
    }
}
