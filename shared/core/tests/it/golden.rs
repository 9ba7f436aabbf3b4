//! Golden tests of everything that core decides about names, fields and ids.
//!
//! `contract_*` are what other programs rely on. `format_*` are formats of Rackwatch's own programs.
//! `words_*` are texts for people.

mod names;
mod records;
mod simulated;
mod titles;

use std::fmt::Write as _;
use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{DeviceId, Role};
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

/// An alert record with nothing that only some kinds have.
fn alert(kind: AlertKind, state: AlertState, severity: Severity) -> AlertRecord {
    let device = device("inlet-B07-1");
    AlertRecord {
        kind,
        temperature: Some(celsius(33.1)),
        at: at(130),
        threshold: 32.0,
        severity,
        state,
        id: AlertId::of(&device, kind.name(), at(0)),
        rule: kind.name().to_owned(),
        rack: "B07".to_owned(),
        u: None,
        role: Role::Inlet,
        started: at(0),
        rate: None,
        change: None,
        window: None,
        reason: None,
        left_least: None,
        left_most: None,
        peak: None,
        duration: None,
        skew_ms: None,
        historical: false,
        device,
    }
}

/// An alert record of each kind and state, with what its kind has.
fn alerts() -> Vec<AlertRecord> {
    let of = |kind| {
        [AlertState::Firing, AlertState::Resolved].map(|state| {
            let record = with_its_own(alert(kind, state, Severity::Critical));
            match state {
                AlertState::Firing => record,
                AlertState::Resolved => AlertRecord {
                    peak: record.temperature.map(|_| celsius(35.0)),
                    duration: Some(Duration::from_secs(840)),
                    ..record
                },
            }
        })
    };
    AlertKind::ALL.into_iter().flat_map(of).collect()
}

/// Adds what records of its kind have.
fn with_its_own(record: AlertRecord) -> AlertRecord {
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    match record.kind {
        AlertKind::HighTemp => AlertRecord {
            u: Some(42),
            rate: Some(1.8),
            ..record
        },
        AlertKind::LowTemp => AlertRecord {
            rate: Some(-0.25),
            rack: String::new(),
            ..record
        },
        AlertKind::Spike | AlertKind::Drop => AlertRecord {
            change: Some(6.25),
            window: minutes(15),
            ..record
        },
        AlertKind::Drift => AlertRecord {
            change: Some(-3.25),
            window: minutes(14 * 24 * 60),
            ..record
        },
        AlertKind::Runaway => AlertRecord {
            rate: Some(2.125),
            window: Some(Duration::from_secs(75)),
            left_least: minutes(3),
            left_most: minutes(4),
            ..record
        },
        AlertKind::Outlier => AlertRecord {
            change: Some(3.5),
            ..record
        },
        AlertKind::StuckSensor => AlertRecord {
            change: Some(1.4),
            window: minutes(60),
            ..record
        },
        AlertKind::SensorFault => AlertRecord {
            temperature: None,
            reason: Some("timeout".to_owned()),
            ..record
        },
        AlertKind::NoData => AlertRecord {
            temperature: None,
            device: device("agent:host7"),
            role: Role::Other,
            ..record
        },
        AlertKind::ClockSkew => AlertRecord {
            temperature: None,
            skew_ms: Some(-300_000),
            historical: true,
            ..record
        },
    }
}
