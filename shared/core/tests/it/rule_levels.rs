//! Levels and times of rules: what configuration may say, and what follows for a device.

use std::time::Duration;

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input, Slice};
use rackwatch_core::rules::{RuleSet, parse};
use rackwatch_core::stored;
use rackwatch_core::time::StreamId;
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, reading};

fn is_valid(rule: &str) -> bool {
    let rules = parse(&format!("[[rules]]\n{rule}"));
    rules.is_ok_and(|rules| RuleSet::only(&rules).is_ok())
}

#[test]
fn levels_beyond_what_can_be_are_refused() {
    for (beyond, within) in [("0.09", "0.1"), ("100.1", "100.0")] {
        assert!(!is_valid(&format!("type = 'drift'\nwarning = {beyond}")));
        assert!(is_valid(&format!("type = 'drift'\nwarning = {within}")));
    }
    for (beyond, within) in [("-60.1", "-60.0"), ("200.1", "200.0")] {
        assert!(!is_valid(&format!(
            "type = 'high_temp'\nwarning = {beyond}"
        )));
        assert!(is_valid(&format!("type = 'high_temp'\nwarning = {within}")));
    }
}

#[test]
fn a_worse_level_that_is_not_beyond_a_milder_one_is_refused() {
    assert!(is_valid("type = 'drift'\ninfo = 1.0\nwarning = 3.0"));
    assert!(!is_valid("type = 'drift'\ninfo = 3.0\nwarning = 1.0"));
    for kind in ["high_temp", "low_temp"] {
        assert!(!is_valid(&format!(
            "type = '{kind}'\nwarning = 20.0\ncritical = 20.0"
        )));
    }
}

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

fn read(device: &str, second: u64, degrees: f64) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: true,
        reading: reading(device, second, degrees),
    }
}

fn describe(engine: &mut Engine, device: &str, interval: u64) {
    let description = Description {
        agent: "h".into(),
        role: Role::Inlet,
        interval: Duration::from_secs(interval),
        ..Description::default()
    };
    engine.step([Input::Describe(id(device), Some(Box::new(description)))]);
}

#[test]
fn a_lower_limit_must_be_crossed_for_as_long_as_its_rule_says() {
    let rules = parse("[[rules]]\ntype = 'low_temp'\nwarning = 15.0\nfor = '30s'").unwrap();
    let mut engine = Engine::new(RuleSet::only(&rules).unwrap().into());
    describe(&mut engine, "inlet-R1-1", 1);
    let cold = (0..100).map(|second| read("inlet-R1-1", second, 14.0));
    let alerts = engine.step(cold).alerts;
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        alerts[0].at.since(alerts[0].started),
        Duration::from_secs(30)
    );
}

#[test]
fn a_device_that_is_read_seldom_must_miss_three_readings() {
    let mut engine = engine();
    for (device, interval) in [("inlet-R1-1", 60), ("inlet-R1-2", 1)] {
        describe(&mut engine, device, interval);
    }
    engine.step([0, 60, 120].map(|second| read("inlet-R1-1", second, 22.0)));
    let others = (120..400).map(|second| read("inlet-R1-2", second, 22.0));
    let alerts = engine.step(others).alerts;
    assert_eq!((alerts.len(), alerts[0].kind()), (1, AlertKind::NoData));
    let after = alerts[0].at.since(alerts[0].started).as_secs();
    assert!((180..=185).contains(&after), "{after} s");
}

/// A drift points either way.
#[test]
fn the_peak_of_a_drift_is_the_furthest_along_its_change() {
    let [cool, warm] = [20.0, 24.0].map(|degrees| Celsius::new(degrees).unwrap());
    let peak = AlertKind::Drift.info().peak;
    for (change, expected) in [(Some(-2.0), cool), (Some(2.0), warm)] {
        assert_eq!(peak.further(change)(cool, warm), expected, "{change:?}");
        assert_eq!(peak.further(change)(warm, cool), expected, "{change:?}");
    }
    assert_eq!(
        peak.further(None)(warm, cool),
        warm,
        "the direction is unknown"
    );
}

fn through_json(engine: &Engine) -> Vec<Slice> {
    let decoded = |slice| stored::decode(stored::encode(&slice).as_bytes()).unwrap();
    engine.snapshot(StreamId::ZERO).map(decoded).collect()
}

/// After a crash while slices were written, some are older than others, and a device may be in two.
#[test]
fn a_warm_room_counts_each_device_of_older_and_younger_slices_once() {
    let mut before = engine();
    let devices: Vec<_> = (1..=150).map(|n| format!("inlet-R1-{n}")).collect();
    for device in &devices {
        describe(&mut before, device, 1);
    }
    before.step([0, 1].map(|second| read(&devices[0], second, 22.0)));
    let older = through_json(&before);
    before.step([10, 11].map(|second| read(&devices[0], second, 22.0)));
    let younger = through_json(&before);
    assert_eq!(older.len(), 2);
    let both: Vec<_> = older.iter().chain(&younger).collect();
    for slices in [vec![&older[0], &younger[1]], both] {
        let mut after = engine();
        for slice in slices {
            after.restore(slice.clone());
        }
        after.resume(Vec::new(), Vec::new());
        let warm = devices[1..].iter().map(|device| read(device, 20, 29.0));
        let notices = after.step(warm).notices;
        let counts: Vec<_> = notices.iter().map(|n| (n.beyond, n.known)).collect();
        assert_eq!(counts, [(46, 150)]);
    }
}

#[test]
fn a_room_that_is_warm_from_the_start_is_noticed_once_across_a_restart() {
    let mut before = engine();
    let devices: Vec<_> = (1..=20).map(|n| format!("inlet-R1-{n}")).collect();
    for device in &devices {
        describe(&mut before, device, 1);
    }
    let inputs = |devices: &[String]| {
        let warm = devices.iter().map(|device| read(device, 0, 29.0));
        warm.collect::<Vec<_>>()
    };
    let effects = before.step(inputs(&devices[..10]));
    assert_eq!(effects.notices.len(), 1);
    let mut after = engine();
    for slice in through_json(&before) {
        after.restore(slice);
    }
    let effects = after.step(inputs(&devices[10..]));
    assert_eq!(effects.notices, []);
    let severities = effects.alerts.iter().map(|record| record.severity);
    assert!(severities.clone().count() == 10);
    assert!(
        severities
            .into_iter()
            .all(|severity| severity == Severity::Info)
    );
}
