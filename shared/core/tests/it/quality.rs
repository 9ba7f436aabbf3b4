//! Implausible readings are faults, and a lasting fault of a sensor is one alert.

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine};

fn described(engine: &mut Engine, device: &str, role: Role, interval: u64) {
    let description = Description {
        agent: "node7".into(),
        role,
        rack: Some("R1".into()),
        interval: Duration::from_secs(interval),
        ..Description::default()
    };
    let id = DeviceId::new(device).unwrap();
    engine.step([Input::Describe(id, Some(Box::new(description)))]);
}

fn input(device: &str, second: u64, value: Result<f64, Fault>) -> Input {
    let at = Timestamp::from_millis(START + second * 1000).unwrap();
    let reading = Reading {
        device: DeviceId::new(device).unwrap(),
        at,
        value: value.map(|degrees| Celsius::new(degrees).unwrap()),
    };
    let entry = StreamId {
        ms: at.millis(),
        seq: 0,
    };
    Input::Reading {
        entry,
        by_agent: true,
        reading,
    }
}

fn read(
    engine: &mut Engine,
    device: &str,
    second: u64,
    value: Result<f64, Fault>,
) -> Vec<AlertRecord> {
    engine.step([input(device, second, value)]).alerts
}

fn states(records: &[AlertRecord]) -> Vec<(AlertKind, AlertState)> {
    records.iter().map(|r| (r.kind(), r.state())).collect()
}

#[test]
fn implausible_values_are_faults_and_not_temperatures() {
    for role in [Role::Inlet, Role::Cpu, Role::Disk, Role::Exhaust] {
        for bogus in [0.0, -1.0, -128.0, 127.0, 255.0] {
            let engine = &mut engine();
            described(engine, "a-R1-1", role, 1);
            let mut records = Vec::new();
            for second in 0..300 {
                let value = if second < 100 { 25.0 } else { bogus };
                records.extend(read(engine, "a-R1-1", second, Ok(value)));
            }
            let [one] = records.as_slice() else {
                panic!("{role} {bogus}: {records:?}")
            };
            assert_eq!(one.kind(), AlertKind::SensorFault, "{role} {bogus}");
            assert_eq!(one.temperature, None);
            let reason = one.detail.extras().reason;
            assert!(
                matches!(reason.as_deref(), Some("no_reading" | "out_of_range")),
                "{reason:?}"
            );
        }
    }
}

#[test]
fn a_lasting_fault_fires_once_and_resolves_with_the_next_reading() {
    let engine = &mut engine();
    described(engine, "inlet-R1-1", Role::Inlet, 10);
    let mut records = Vec::new();
    for tick in 0..100 {
        let broken = (20..50).contains(&tick) || tick == 80;
        let value = if broken {
            Err(Fault::TIMEOUT)
        } else {
            Ok(22.0)
        };
        records.extend(read(engine, "inlet-R1-1", tick * 10, value));
    }
    use AlertState::{Firing, Resolved};
    assert_eq!(
        states(&records),
        [
            (AlertKind::SensorFault, Firing),
            (AlertKind::SensorFault, Resolved)
        ]
    );
    let after = records[0].at.since(records[0].started);
    assert_eq!(after, Duration::from_secs(60), "from the first fault on");
    assert_eq!(
        records[0].detail.extras().reason.as_deref(),
        Some("timeout")
    );
    assert_eq!(records[1].resolution.unwrap().peak, None);
}

#[test]
fn a_sensor_that_is_read_seldom_fails_three_times_first() {
    let engine = &mut engine();
    described(engine, "inlet-R1-1", Role::Inlet, 60);
    assert_eq!(read(engine, "inlet-R1-1", 0, Ok(22.0)), []);
    for minute in 1..4 {
        assert_eq!(
            read(engine, "inlet-R1-1", minute * 60, Err(Fault::TIMEOUT)),
            []
        );
    }
    assert_eq!(
        read(engine, "inlet-R1-1", 240, Err(Fault::TIMEOUT)).len(),
        1
    );
}

#[test]
fn a_device_that_was_never_read_is_absent() {
    let engine = &mut engine();
    described(engine, "memory-R1-1", Role::Memory, 1);
    for second in 0..300 {
        assert_eq!(
            read(engine, "memory-R1-1", second, Err(Fault::NO_READING)),
            []
        );
    }
}

#[test]
fn a_sensor_that_stays_while_its_rack_moves_is_stuck() {
    let engine = &mut engine();
    for n in 1..=3 {
        described(engine, &format!("inlet-R1-{n}"), Role::Inlet, 10);
    }
    let mut records = Vec::new();
    for tick in 0..2000u64 {
        let air = ((22.0 + (tick as f64 / 20.0).sin()) * 10.0).round() / 10.0;
        for n in 1..=3 {
            let stuck = n == 2 && (500..1500).contains(&tick);
            let value = if stuck { 22.3 } else { air };
            records.extend(read(engine, &format!("inlet-R1-{n}"), tick * 10, Ok(value)));
        }
    }
    use AlertState::{Firing, Resolved};
    let stuck = |record: &&AlertRecord| record.kind() == AlertKind::StuckSensor;
    let of_stuck: Vec<_> = records.iter().filter(stuck).collect();
    let states: Vec<_> = of_stuck.iter().map(|r| r.state()).collect();
    assert_eq!(states, [Firing, Resolved], "{records:?}");
    assert!(of_stuck.iter().all(|r| r.subject.as_str() == "inlet-R1-2"));
    let minutes = of_stuck[0]
        .at
        .since(Timestamp::from_millis(START + 5_000_000).unwrap());
    assert!(minutes <= Duration::from_mins(35), "{minutes:?}");
}

#[test]
fn one_sensor_that_leaves_its_neighbours_is_an_outlier() {
    let engine = &mut engine();
    for n in 1..=5 {
        described(engine, &format!("inlet-R1-{n}"), Role::Inlet, 60);
    }
    let hour = 3600;
    let mut records = Vec::new();
    for minute in 0..60 * 12 {
        for n in 1..=5_u32 {
            // All warm by four kelvin in eight hours, so none of them leaves the others.
            let shared = minute as f64 / 120.0;
            let left = n == 3 && (60 * 4..60 * 8).contains(&minute);
            let own = f64::from(n) * 0.4 + if left { 2.5 } else { 0.0 };
            let value = Ok(18.5 + shared + own);
            records.extend(read(engine, &format!("inlet-R1-{n}"), minute * 60, value));
        }
    }
    let outliers = records.iter().filter(|r| r.kind() == AlertKind::Outlier);
    let changes: Vec<_> = outliers
        .map(|r| {
            (
                r.subject.as_str(),
                r.state(),
                r.at.millis() / 1000 - START / 1000,
            )
        })
        .collect();
    let [
        (device, AlertState::Firing, began),
        (same, AlertState::Resolved, over),
    ] = changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!((device, same), ("inlet-R1-3", "inlet-R1-3"));
    assert!((4 * hour..4 * hour + 1800).contains(&began), "{began}");
    assert!((8 * hour..10 * hour).contains(&over), "{over}");
}

/// Of three sensors, the one that leaves two which agree is the outlier; where those differ too, none is.
#[test]
fn of_three_sensors_one_is_an_outlier_if_the_others_agree() {
    let found = |second: f64| {
        let engine = &mut engine();
        for n in 1..=3 {
            described(engine, &format!("inlet-R1-{n}"), Role::Inlet, 60);
        }
        let mut records = Vec::new();
        for minute in 0..60 * 6 {
            for n in 1..=3 {
                let value = match n {
                    3 if minute > 120 => 26.0,
                    2 => second,
                    _ => 21.0,
                };
                records.extend(read(
                    engine,
                    &format!("inlet-R1-{n}"),
                    minute * 60,
                    Ok(value),
                ));
            }
        }
        let outliers = records.iter().filter(|r| r.kind() == AlertKind::Outlier);
        let devices: BTreeSet<_> = outliers.map(|r| r.subject.as_str().to_owned()).collect();
        devices
    };
    assert_eq!(found(21.5), ["inlet-R1-3".to_owned()].into());
    assert_eq!(found(24.0), BTreeSet::new());
}

#[test]
fn a_room_that_is_warm_from_the_start_is_noticed_once() {
    let engine = &mut engine();
    for n in 1..=20 {
        described(engine, &format!("inlet-R1-{n}"), Role::Inlet, 60);
    }
    let (mut records, mut notices) = (Vec::new(), Vec::new());
    for (second, last) in [(0, 22.0), (60, 22.0), (120, 29.0), (180, 33.0)] {
        for n in 1..=20 {
            let value = Ok(if n == 20 { last } else { 29.0 });
            let reading = input(&format!("inlet-R1-{n}"), second, value);
            let effects = engine.step([reading]);
            records.extend(effects.alerts);
            notices.extend(effects.notices);
        }
    }
    let [notice] = &notices[..] else {
        panic!("{notices:?}")
    };
    assert_eq!(
        (notice.role, notice.kind),
        (Role::Inlet, AlertKind::HighTemp)
    );
    assert_eq!((notice.beyond, notice.known), (7, 20));
    let high = records.iter().filter(|r| r.kind() == AlertKind::HighTemp);
    let (last, others): (Vec<_>, Vec<_>) = high.partition(|r| r.subject.as_str() == "inlet-R1-20");
    let severities =
        |records: &[&AlertRecord]| records.iter().map(|r| r.severity).collect::<Vec<_>>();
    let mut expected = vec![Severity::Warning; 6];
    expected.extend([Severity::Info; 13]);
    assert_eq!(severities(&others), expected);
    // A sensor that becomes warm later alerts as ever.
    assert_eq!(severities(&last), [Severity::Warning, Severity::Critical]);
}
