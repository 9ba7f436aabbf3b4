//! Golden tests of everything that core decides about names, fields and ids.
//!
//! `contract_*` are what other programs rely on. `format_*` are formats of Rackwatch's own programs.
//! `words_*` are texts for people.

mod kinds;
mod names;
mod phrases;
mod reading_back;
mod records;
mod simulated;
mod titles;

use std::fmt::Write as _;
use std::time::Duration;

use rackwatch_core::alert::{
    AlertId, AlertKind, AlertRecord, AlertState, Detail, EndedBy, Extras, Resolution, Severity,
};
use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

/// 2026-11-23 13:02:11 UTC.
const START: u64 = 1_795_438_931_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000).unwrap()
}

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

fn celsius(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

/// Appends a case: its title, then a field a line, in their order.
fn fields<'f>(
    text: &mut String,
    case: &str,
    fields: impl IntoIterator<Item = &'f (&'static str, String)>,
) {
    writeln!(text, "{case}").unwrap();
    for (name, value) in fields {
        writeln!(text, "  {name}={value}").unwrap();
    }
}

/// Returns an alert record with only the fields that all kinds have.
fn alert(kind: AlertKind, state: AlertState, severity: Severity) -> AlertRecord {
    let subject = Subject::from(device("inlet-B07-1"));
    AlertRecord {
        temperature: Some(celsius(33.1)),
        at: at(130),
        threshold: 32.0,
        severity,
        id: AlertId::of(&subject, kind.name(), at(0)),
        rule: kind.name().to_owned(),
        rack: "B07".to_owned(),
        u: None,
        role: Role::Inlet,
        started: at(0),
        rate: None,
        detail: Detail::new(kind, Extras::default()),
        resolution: (state == AlertState::Resolved).then_some(Resolution {
            duration: Duration::from_secs(840),
            peak: None,
            ended_by: EndedBy::Readings,
        }),
        historical: false,
        subject,
    }
}

/// Returns an alert record of each kind and state, with the fields of its kind.
fn alerts() -> Vec<AlertRecord> {
    let of = |kind| {
        [AlertState::Firing, AlertState::Resolved].map(|state| {
            let record = with_extras(alert(kind, state, Severity::Critical));
            let resolution = record.resolution.map(|resolution| Resolution {
                peak: record.temperature.map(|_| celsius(35.0)),
                ..resolution
            });
            AlertRecord {
                resolution,
                ..record
            }
        })
    };
    let [_, mut ended] = of(AlertKind::HighTemp);
    if let Some(resolution) = &mut ended.resolution {
        resolution.ended_by = EndedBy::RuleChange;
    }
    let all = AlertKind::ALL.into_iter().flat_map(of);
    all.chain([ended]).collect()
}

/// Adds what records of its kind have.
fn with_extras(mut record: AlertRecord) -> AlertRecord {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let kind = record.kind();
    let mut extras = Extras::default();
    match kind.name() {
        "high_temp" => (record.u, record.rate) = (Some(42), Some(1.8)),
        "low_temp" => (record.rack, record.rate) = (String::new(), Some(-0.25)),
        "spike" | "drop" => {
            (extras.change, extras.window) = (Some(6.25), Some(minutes(15)));
        }
        "drift" => {
            (extras.change, extras.window) = (Some(-3.25), Some(minutes(14 * 24 * 60)));
        }
        "runaway" => {
            record.rate = Some(2.125);
            (extras.change, extras.window) = (Some(2.5), Some(Duration::from_secs(75)));
            extras.left = Some((minutes(3), minutes(4)));
        }
        "outlier" => extras.change = Some(3.5),
        "stuck_sensor" => extras.change = Some(1.4),
        "sensor_fault" => {
            record.temperature = None;
            extras.reason = Some("timeout".to_owned());
        }
        "no_data" => {
            record.temperature = None;
            record.subject = Subject::agent("host7");
            record.role = Role::Other;
        }
        "clock_skew" => {
            record.temperature = None;
            extras.skew_ms = Some(-300_000);
            record.historical = true;
        }
        "duplicate_agent" => {
            record.temperature = None;
            record.subject = Subject::agent("host7");
            record.role = Role::Other;
            extras.reason = Some("a1b2 and c3d4".to_owned());
        }
        // The common fields are all that other kinds have.
        _ => {}
    }
    record.detail = Detail::new(kind, extras);
    record
}
