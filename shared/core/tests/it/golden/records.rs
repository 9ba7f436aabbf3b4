//! Entries of every stream, and JSON of every record.

use std::fmt::Write as _;
use std::time::Duration;

use rackwatch_core::device::{Description, HardwareLimits, Range, Role, Verdict};
use rackwatch_core::incident::{Cause, Event, IncidentId, IncidentRecord};
use rackwatch_core::loss_ledger::{Loss, LossLedger, ReportedSequence};
use rackwatch_core::reading::{Fault, Reading, Sample};
use rackwatch_core::stored;
use rackwatch_core::units::Kelvin;
use rackwatch_core::wire::{self, Gap, Provenance};
use rackwatch_core::{alert::Severity, time::Timestamp};
use rackwatch_testing::assert_golden;

use super::{alerts, at, celsius, device, fields};

/// Returns provenance with every field that an agent can add.
fn complete() -> Provenance {
    Provenance {
        prev: Some("r0-9".parse().unwrap()),
        gap: Some(Gap::SpoolFull),
        skew: Some(-1_500),
        ..Provenance::new("host7", "r1-7".parse().unwrap())
    }
}

#[test]
fn raw_entries() {
    let mut text = String::new();
    let reading = |value| Reading {
        device: device("inrow-ABC-1"),
        at: at(0),
        value,
    };
    let (warm, failed) = (reading(Ok(celsius(23.4))), reading(Err(Fault::TIMEOUT)));
    let plain = Provenance::new("host7", "r1-7".parse().unwrap());
    for (case, reading, from) in [
        ("reading, plain client", &warm, None),
        ("fault, plain client", &failed, None),
        ("reading, agent", &warm, Some(&plain)),
        ("fault, agent", &failed, Some(&plain)),
        (
            "reading, agent with prev, gap and skew",
            &warm,
            Some(&complete()),
        ),
    ] {
        fields(&mut text, case, &wire::entry::encode(reading, from));
    }
    let sample = Sample {
        at: at(0),
        readings: vec![
            warm,
            Reading {
                device: device("inrow-ABC-2"),
                ..failed
            },
            Reading {
                device: device("cpu-host7-0"),
                at: at(0),
                value: Ok(celsius(-5.0)),
            },
        ],
    };
    for (case, from) in [
        ("frame", &plain),
        ("frame with prev, gap and skew", &complete()),
    ] {
        fields(&mut text, case, &wire::frame::encode(&sample, from));
    }
    assert_golden!("contract_raw.txt", text);
}

#[test]
fn alert_records() {
    let (mut contract, mut format) = (String::new(), String::new());
    for record in alerts() {
        let case = format!("{} {}", record.kind(), record.state());
        let encoded = wire::alert::encode(&record);
        // The first ten fields are the contract.
        fields(&mut contract, &case, &encoded[..10]);
        fields(&mut format, &case, &encoded);
        let json = serde_json::to_string_pretty(&record).unwrap();
        writeln!(format, "{json}").unwrap();
    }
    assert_golden!("contract_alerts.txt", contract);
    assert_golden!("format_alerts.txt", format);
}

/// Returns an incident record with every field set.
fn incident(event: Event) -> IncidentRecord {
    let is_resolved = event == Event::Resolved;
    IncidentRecord {
        id: IncidentId::from_wire("2647846df3c1ceb9"),
        event,
        notification_id: Some("2647846df3c1ceb9-1".to_owned()),
        severity: Severity::Critical,
        title: "cooling is failing: row B, 2 sensors in B07, B08".to_owned(),
        cause: Cause::Row("B".to_owned()),
        first: device("inlet-B07-1").into(),
        since: at(0),
        until: is_resolved.then(|| at(600)),
        at: at(10),
        racks: vec!["B07".to_owned(), "B08".to_owned()],
        rooms: vec!["hall-1".to_owned()],
        roles: vec![Role::Inlet, Role::Supply],
        devices: vec![device("inlet-B07-1").into(), device("inlet-B08-1").into()],
        device_count: 2,
        alerts: 3,
        open: if is_resolved { 0 } else { 2 },
        stale: 0,
        peak: Some(celsius(33.1)),
        left_ms: Some((180_000, 240_000)),
        acked_by: Some("ann".to_owned()),
    }
}

#[test]
fn incident_records() {
    let mut text = String::new();
    let mut add = |case: &str, record: &IncidentRecord| {
        fields(&mut text, case, &wire::incident::encode(record));
        let json = serde_json::to_string_pretty(record).unwrap();
        writeln!(text, "{json}").unwrap();
    };
    for event in Event::ALL {
        add(event.name(), &incident(event));
    }
    let least = IncidentRecord {
        notification_id: None,
        cause: Cause::Site(String::new()),
        racks: Vec::new(),
        rooms: Vec::new(),
        roles: Vec::new(),
        peak: None,
        left_ms: None,
        acked_by: None,
        ..incident(Event::Pending)
    };
    add("with nothing that may be missing", &least);
    assert_golden!("format_incidents.txt", text);
}

#[test]
fn losses() {
    let mut text = String::new();
    let gaps = [
        None,
        Some(Gap::QueueFull),
        Some(Gap::SpoolFull),
        Some(Gap::SpoolAge),
        Some(Gap::SpoolCorrupt),
    ];
    for (n, gap) in gaps.into_iter().enumerate() {
        let loss = Loss {
            agent: "node7".to_owned(),
            run: "r1".to_owned(),
            from: 6,
            to: 10,
            since: (n > 0).then(|| at(0)),
            until: at(12),
            gap,
        };
        fields(&mut text, loss.reason(), &wire::loss::encode(&loss));
    }
    assert_golden!("format_losses.txt", text);
}

#[test]
fn progress_of_an_agent() {
    let mut loss_ledger = LossLedger::default();
    for (run, n, second) in [("r1", 5, 0), ("r1", 12, 1), ("r2", 3, 2)] {
        let reported = ReportedSequence {
            agent: "node7".to_owned(),
            seq: format!("{run}-{n}").parse().unwrap(),
            readings: 1,
            at: at(second),
            prev: None,
            gap: None,
            skew: None,
            arrived: Timestamp::default(),
        };
        loss_ledger.observe(&reported);
    }
    let mut text = String::new();
    for (agent, runs) in loss_ledger.take_progress() {
        let json = stored::encode(&runs);
        writeln!(text, "{agent} {json}").unwrap();
    }
    assert_golden!("format_loss_ledger.txt", text);
}

#[test]
fn descriptions() {
    let complete = Description {
        agent: "host7".to_owned(),
        zone: "hall-1".to_owned(),
        host: "host7".to_owned(),
        machine: Some("6b7f0e3c5a1d4f928e40c2d19b7a3355".to_owned()),
        boot: Some("c41d2a9be07f4c63b1f58d0e6a92774b".to_owned()),
        target: "bmc-7".to_owned(),
        source: "redfish".to_owned(),
        name: "Inlet Temp".to_owned(),
        role: Role::Inlet,
        rack: Some("B07".to_owned()),
        u: Some(42),
        interval: Duration::from_secs(1),
        rereads: true,
        resolution: Some(Kelvin(0.5)),
        limits: HardwareLimits {
            low_critical: Some(celsius(3.0)),
            high_warning: Some(celsius(38.0)),
            high_critical: Some(celsius(42.0)),
            lasting: Duration::from_secs(30),
        },
        verdict: Some(Verdict::Warning),
        range: Some(Range {
            least: celsius(-40.0),
            most: celsius(125.0),
        }),
        hardware: Some("S/N 4711".to_owned()),
        leaving: true,
    };
    let mut text = String::new();
    for (case, description) in [
        ("with nothing", Description::default()),
        ("with everything", complete),
    ] {
        writeln!(text, "{case}\n{}", description.to_json()).unwrap();
    }
    assert_golden!("contract_descriptions.txt", text);
}
