//! The line of every type of alert and of every event of an incident, as console, file and messages have it.

use std::fmt::Write as _;

use jiff::tz::{TimeZone, offset};
use rackwatch_collector::notify::line::{Style, incident_line, line};
use rackwatch_core::alert::{AlertKind, AlertRecord, Severity};
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::wire;
use rackwatch_testing::assert_golden;

use super::notifiers::incident;

/// Returns the fields that records of a type have beside the ten fields of the contract.
fn its_own(kind: AlertKind) -> &'static [&'static str] {
    match kind.name() {
        "high_temp" => &["u=42 rate=1.80", "u=42 rate=1.80 historical=1"],
        "low_temp" => &["rate=-0.25"],
        "spike" | "drop" => &["change=6.250 window_ms=900000"],
        "drift" => &[
            "change=3.250 window_ms=1209600000",
            "change=-3.250 window_ms=1209600000",
        ],
        "runaway" => {
            &["rate=2.12 change=2.500 window_ms=75000 left_min_ms=180000 left_max_ms=240000"]
        }
        "outlier" => &["change=-3.500"],
        "stuck_sensor" => &["change=1.400"],
        "sensor_fault" => &["temperature= reason=timeout"],
        "no_data" => &["temperature=", "temperature= device_id=agent:host7 rack="],
        "clock_skew" => &[
            "temperature= skew_ms=-300000",
            "skew_ms=90000",
            "temperature= skew_ms=-3600000 reason=behind",
        ],
        // The common fields are all that other kinds have.
        _ => &[""],
    }
}

/// Decodes a record from fields as in the stream. Later ones replace earlier ones.
fn record(fields: &str) -> AlertRecord {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for field in fields.split_whitespace() {
        let (name, value) = field.split_once('=').unwrap();
        pairs.retain(|(known, _)| known != name.as_bytes());
        pairs.push((name.into(), value.into()));
    }
    wire::alert::decode(&pairs).unwrap()
}

fn style(colour: bool) -> Style {
    let zone = TimeZone::fixed(offset(1));
    Style { colour, zone }
}

#[test]
fn lines_of_alerts() {
    let mut text = String::new();
    for kind in AlertKind::ALL {
        for own in its_own(kind) {
            for severity in Severity::ALL {
                for (state, more) in [("firing", ""), ("resolved", " peak=35 duration_ms=840000")] {
                    let record = record(&format!(
                        "type={kind} device_id=inlet-B07-1 temperature=33.1 timestamp=1795438931000 \
                         threshold=32 severity={severity} state={state} alert_id=a1b2c3d4e5f60718 \
                         rule={kind} rack=B07 role=inlet since=1795438801000 {own}{more}"
                    ));
                    writeln!(text, "{}", line(&record, &style(false))).unwrap();
                }
            }
        }
    }
    assert_golden!("words_alert_lines.txt", text);
}

#[test]
fn lines_of_incidents() {
    let mut text = String::new();
    for event in Event::ALL {
        let record = incident(event);
        writeln!(text, "{event}: {}", incident_line(&record, &style(false))).unwrap();
        let least = IncidentRecord {
            peak: None,
            left_ms: None,
            device_count: 1,
            ..record
        };
        writeln!(text, "{event}: {}", incident_line(&least, &style(false))).unwrap();
    }
    for severity in Severity::ALL {
        for event in [Event::Opened, Event::Resolved] {
            let record = IncidentRecord {
                severity,
                ..incident(event)
            };
            let coloured = incident_line(&record, &style(true));
            writeln!(text, "{event}, in colour: {coloured:?}").unwrap();
        }
    }
    assert_golden!("words_incident_lines.txt", text);
}
