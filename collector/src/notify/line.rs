//! Alerts and incidents as one line each, for the console, files and messages.
//!
//! `2026-11-23 14:02:11+01:00 CRITICAL high_temp  B07/U42 inlet inrow-B07-1  33.1 °C > 32.0,
//! +1.8 °C/min, for 2m10s  [a1b2c3]`, and `… RESOLVED …  27.2 °C after 14m, peak 35.0  [a1b2c3]`.
//! Commands accept the id in brackets.

mod incident;
mod style;
mod time;

use std::fmt::Write;

use rackwatch_core::alert::{AlertRecord, EndedBy, Resolution};
use rackwatch_core::detect::Phrase;
use rackwatch_core::name::printable;
pub use rackwatch_core::time::format_duration;

pub use incident::incident_line;
pub use style::Style;
pub use time::time;

/// Returns the line for an alert, without a newline.
pub fn line(record: &AlertRecord, style: &Style) -> String {
    let (state, severity) = match record.resolution {
        None => (record.severity.name().to_uppercase(), Some(record.severity)),
        Some(_) => ("RESOLVED".to_owned(), None),
    };
    let at = time(record.at, &style.zone);
    let state = style.paint(&format!("{state:<8}"), severity);
    let mut line = format!("{:<9}", name(record));
    // Writing to a String cannot fail.
    let _ok = write!(
        line,
        "  {}{} {}  ",
        place(record),
        record.role,
        record.subject
    );
    push_measurement(record, &mut line);
    if record.historical {
        line.push_str(", historical");
    }
    let _ok = write!(line, "  [{}]", record.id.short());
    // Other programs may write records, and a name must not forge a line.
    format!("{at} {state} {}", printable(&line))
}

/// Returns the type of the alert, followed by the name of its rule where that is another.
fn name(record: &AlertRecord) -> String {
    let kind = record.kind().name();
    if record.rule == *kind {
        kind.to_owned()
    } else {
        format!("{kind} ({})", record.rule)
    }
}

/// Returns the rack and the position with a trailing space, such as `B07/U42 `; empty if the rack is unknown.
fn place(record: &AlertRecord) -> String {
    match (record.rack.as_str(), record.u) {
        ("", _) => String::new(),
        (rack, Some(u)) => format!("{rack}/U{u} "),
        (rack, None) => format!("{rack} "),
    }
}

/// Appends the temperature, and what the rule found or how the episode ended.
fn push_measurement(record: &AlertRecord, line: &mut String) {
    let facts = record.facts();
    match record.temperature {
        Some(temperature) => {
            // Writing to a String cannot fail.
            let _ok = write!(line, "{:.1} °C", temperature.degrees());
        }
        // Nothing is known of how it goes on.
        None if record
            .resolution
            .is_some_and(|end| end.ended_by != EndedBy::Readings) =>
        {
            line.push_str("ended");
        }
        None => line.push_str(&record.detail.without_temperature(&facts)),
    }
    match record.resolution {
        None => push_finding(record, &record.detail.phrase(&facts), line),
        Some(Resolution {
            duration,
            peak,
            ended_by,
        }) => {
            let _ok = write!(line, " after {}", format_duration(duration));
            if let Some(peak) = peak {
                let _ok = write!(line, ", peak {:.1}", peak.degrees());
            }
            line.push_str(match ended_by {
                EndedBy::Readings => "",
                EndedBy::RuleChange => ", because the rule changed",
                EndedBy::Forgotten => ", because the device was forgotten",
                EndedBy::Stale => ", because it sent no data for too long",
                EndedBy::Operator => ", by hand",
            });
        }
    }
}

/// Appends the phrase of the rule, and the rate and age unless the phrase covers them.
fn push_finding(record: &AlertRecord, phrase: &Phrase, line: &mut String) {
    line.push_str(&phrase.text);
    if phrase.is_complete {
        return;
    }
    // Writing to a String cannot fail.
    if let Some(rate) = record.rate {
        let _ok = write!(line, ", {rate:+.1} °C/min");
    }
    let age = record.at.since(record.started);
    if !age.is_zero() {
        let _ok = write!(line, ", for {}", format_duration(age));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use rackwatch_core::alert::{AlertId, Detail, Severity};
    use rackwatch_core::detect::kind::ChangePayload;
    use rackwatch_core::device::{DeviceId, Role};
    use rackwatch_core::time::Timestamp;
    use rackwatch_core::units::Celsius;

    use super::*;

    fn record() -> AlertRecord {
        let at = Timestamp::from_millis(1_795_438_931_000).unwrap();
        AlertRecord {
            subject: DeviceId::new("inrow-B07-1").unwrap().into(),
            temperature: Some(Celsius::new(33.1).unwrap()),
            at,
            threshold: 32.0,
            severity: Severity::Critical,
            id: AlertId::from_wire("a1b2c3d4e5f60718"),
            rule: "high_temp".into(),
            rack: "B07".into(),
            u: Some(42),
            role: Role::Inlet,
            started: at.minus(Duration::from_secs(130)),
            rate: Some(1.8),
            detail: Detail::HighTemp(None),
            resolution: None,
            historical: false,
        }
    }

    fn formatted(record: &AlertRecord) -> String {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        line(
            record,
            &Style {
                colour: false,
                zone,
            },
        )
    }

    #[test]
    fn a_rule_with_a_name_of_its_own_is_named() {
        let named = AlertRecord {
            rule: "cold-aisle".into(),
            ..record()
        };
        let text = formatted(&named);
        assert!(
            text.contains("CRITICAL high_temp (cold-aisle)  B07/U42"),
            "{text}"
        );
    }

    #[test]
    fn lines_have_the_documented_format() {
        assert_eq!(
            formatted(&record()),
            "2026-11-23 14:02:11+01:00 CRITICAL high_temp  B07/U42 inlet inrow-B07-1  \
             33.1 °C > 32.0, +1.8 °C/min, for 2m10s  [a1b2c3]"
        );
        let resolved = AlertRecord {
            temperature: Some(Celsius::new(27.2).unwrap()),
            resolution: Some(Resolution {
                peak: Some(Celsius::new(35.0).unwrap()),
                duration: Duration::from_secs(14 * 60),
                ended_by: EndedBy::Readings,
            }),
            ..record()
        };
        assert_eq!(
            formatted(&resolved),
            "2026-11-23 14:02:11+01:00 RESOLVED high_temp  B07/U42 inlet inrow-B07-1  \
             27.2 °C after 14m, peak 35.0  [a1b2c3]"
        );
        let spike = AlertRecord {
            severity: Severity::Info,
            rule: "spike".into(),
            detail: Detail::Spike(Some(ChangePayload {
                change: 2.34,
                window: Duration::from_secs(300),
            })),
            rate: None,
            started: record().at,
            rack: String::new(),
            ..record()
        };
        assert_eq!(
            formatted(&spike),
            "2026-11-23 14:02:11+01:00 INFO     spike      inlet inrow-B07-1  \
             33.1 °C, +2.3 °C within 5m  [a1b2c3]"
        );
    }
}
