//! A reading far away from the one before waits for the next one, unless it was read twice.

use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine};

const DEVICE: &str = "ambient-G1-1";
/// Seconds between two readings.
const INTERVAL: u64 = 60;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

fn input(device: &str, second: u64, value: Result<f64, Fault>) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: at(second).millis(),
            seq: 0,
        },
        by_agent: false,
        reading: Reading {
            device: DeviceId::new(device).unwrap(),
            at: at(second),
            value: value.map(|degrees| Celsius::new(degrees).unwrap()),
        },
    }
}

fn describe(engine: &mut Engine, (role, rereads, limits): (Role, bool, HardwareLimits)) {
    let description = Description {
        agent: "node7".into(),
        role,
        rereads,
        limits,
        interval: Duration::from_secs(INTERVAL),
        ..Description::default()
    };
    let id = DeviceId::new(DEVICE).unwrap();
    engine.step([Input::Describe(id, Some(Box::new(description)))]);
}

/// Takes in readings, a minute apart after ten minutes at 22 °C. Returns kind, severity, state and second of the records.
fn run(
    engine: &mut Engine,
    readings: impl IntoIterator<Item = Result<f64, Fault>>,
) -> Vec<(AlertKind, Severity, AlertState, u64)> {
    let before = (0..10).map(|n| Ok(22.0 + f64::from(n % 3) / 10.0));
    let mut records = Vec::new();
    for (n, value) in (0..).zip(before.chain(readings)) {
        if n > 0 {
            let waited = Input::Waited(Duration::from_secs(INTERVAL));
            records.extend(engine.step([waited]).alerts);
        }
        records.extend(engine.step([input(DEVICE, n * INTERVAL, value)]).alerts);
    }
    facts(records)
}

fn facts(records: Vec<AlertRecord>) -> Vec<(AlertKind, Severity, AlertState, u64)> {
    let second = |r: &AlertRecord| (r.at.millis() - START) / 1000;
    let facts = |r: &AlertRecord| (r.kind(), r.severity, r.state(), second(r));
    records.iter().map(facts).collect()
}

fn critical(records: &[(AlertKind, Severity, AlertState, u64)], kind: AlertKind) -> Vec<u64> {
    let of_kind = records.iter().filter(|(of, severity, state, _)| {
        (*of, *severity, *state) == (kind, Severity::Critical, AlertState::Firing)
    });
    of_kind.map(|(.., second)| *second).collect()
}

#[test]
fn one_bad_sample_raises_no_alert() {
    for bad in [69.3, -30.0] {
        let after = (0..50).map(|n| Ok(22.0 + f64::from(n % 3) / 10.0));
        let records = run(&mut engine(), [Ok(bad)].into_iter().chain(after));
        assert_eq!(records, [], "{bad}");
    }
}

#[test]
fn two_in_a_row_count_from_the_first_one_on() {
    for second in [69.0, 50.0] {
        let records = run(&mut engine(), [Ok(69.3), Ok(second)]);
        assert_eq!(critical(&records, AlertKind::HighTemp), [600], "{second}");
    }
    // A sensor that fails to both sides is held back each time, and is a fault.
    let erratic = (0..10).map(|n| Ok(if n % 2 == 0 { 69.3 } else { -20.0 }));
    let records = run(&mut engine(), erratic);
    assert_eq!(critical(&records, AlertKind::HighTemp), [] as [u64; 0]);
    assert_eq!(records[0].0, AlertKind::SensorFault, "{records:?}");
}

#[test]
fn a_jump_counts_if_no_other_reading_comes() {
    let engine = &mut engine();
    assert_eq!(run(engine, [Ok(69.3)]), []);
    let mut waited = Vec::new();
    for second in 1..=200 {
        let effects = engine.step([Input::Waited(Duration::from_secs(1))]);
        let high = critical(&facts(effects.alerts), AlertKind::HighTemp);
        waited.extend(high.into_iter().map(|at| (second, at)));
    }
    // Three intervals, and up to five seconds until the next check.
    let [(second, at)] = waited[..] else {
        panic!("{waited:?}")
    };
    assert!((180..=186).contains(&second), "{second}");
    assert_eq!(at, 600);
    // A failed reading says nothing about it.
    let engine = &mut crate::trace::engine();
    let records = run(engine, [Ok(69.3), Err(Fault::TIMEOUT), Ok(69.0)]);
    assert_eq!(critical(&records, AlertKind::HighTemp), [600]);
}

#[test]
fn first_readings_and_ordinary_crossings_fire_at_once() {
    let first = engine().step([input(DEVICE, 0, Ok(45.0))]).alerts;
    assert_eq!(critical(&facts(first), AlertKind::HighTemp), [0]);
    let records = run(&mut engine(), [Ok(27.0), Ok(32.1)]);
    assert_eq!(critical(&records, AlertKind::HighTemp), [660]);
}

#[test]
fn what_an_agent_reads_twice_and_components_fire_at_once() {
    let fires = |role, rereads, limit: Option<f64>| {
        let limits = HardwareLimits {
            high_critical: limit.and_then(|limit| Celsius::new(limit).ok()),
            ..HardwareLimits::default()
        };
        let engine = &mut engine();
        describe(engine, (role, rereads, limits));
        let records = run(engine, [Ok(69.3), Ok(69.3), Ok(22.0)]);
        critical(&records, AlertKind::HighTemp).first().copied()
    };
    assert_eq!(fires(Role::Ambient, true, None), Some(600));
    assert_eq!(fires(Role::Ambient, false, None), Some(600), "confirmed");
    // A minute at the limit of the hardware.
    assert_eq!(fires(Role::Cpu, false, Some(60.0)), Some(660));
    // Held back, it would only be known now.
    let engine = &mut engine();
    describe(engine, (Role::Ambient, false, HardwareLimits::default()));
    assert_eq!(run(engine, [Ok(69.3)]), []);
}

#[test]
fn a_jump_that_waits_survives_a_restart() {
    let engine = &mut engine();
    assert_eq!(run(engine, [Ok(69.3)]), []);
    let through = StreamId {
        ms: at(600).millis(),
        seq: 0,
    };
    let mut again = crate::trace::engine();
    for slice in engine.snapshot(through) {
        again.restore(stored::decode(stored::encode(&slice).as_bytes()).unwrap());
    }
    again.resume(Vec::new(), Vec::new());
    let records = again.step([input(DEVICE, 660, Ok(69.0))]).alerts;
    assert_eq!(critical(&facts(records), AlertKind::HighTemp), [600]);
}
