//! Tests of the read model with a small site.

mod unknown;

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertKind};
use rackwatch_core::episode::Episode;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::Profile;
use rackwatch_core::site::{RawRacks, RawSite};

use super::*;

const START: u64 = 1_795_000_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

/// Returns a model of rack B07 with two inlets and an exhaust, without readings.
fn model() -> ReadModel {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let mut model = ReadModel::new(Arc::new(rules), Profile::default().envelope());
    let raw = RawSite {
        racks: vec![RawRacks {
            rack: vec!["B*".to_owned()],
            row: Some("B".to_owned()),
            room: Some("hall 1".to_owned()),
            cooler: None,
        }],
        ..RawSite::default()
    };
    model.apply(Change::Site(Site::new(&raw).unwrap()));
    for (device, role, u) in [
        ("inlet-B07-1", Role::Inlet, 10),
        ("inlet-B07-2", Role::Inlet, 40),
        ("exhaust-B07-3", Role::Exhaust, 20),
    ] {
        let description = Description {
            role,
            u: Some(u),
            rack: Some("B07".to_owned()),
            interval: Duration::from_secs(1),
            ..Description::default()
        };
        model.apply(Change::Described(id(device), Some(Box::new(description))));
    }
    model
}

fn reading(device: &str, second: u64, degrees: f64) -> Change {
    Change::Reading {
        reading: Reading {
            device: id(device),
            at: at(second),
            value: Ok(Celsius::new(degrees).unwrap()),
        },
        by_agent: false,
    }
}

fn fault(device: &str, second: u64) -> Change {
    Change::Reading {
        reading: Reading {
            device: id(device),
            at: at(second),
            value: Err(Fault::TIMEOUT),
        },
        by_agent: false,
    }
}

#[test]
fn racks_and_scopes_are_aggregated() {
    let mut model = model();
    for (device, degrees) in [
        ("inlet-B07-1", 20.0),
        ("inlet-B07-2", 24.0),
        ("exhaust-B07-3", 34.0),
    ] {
        model.apply(reading(device, 0, degrees));
    }
    let racks = model.racks();
    assert_eq!(racks.len(), 1);
    let rack = &racks[0];
    assert_eq!((rack.room.as_str(), rack.row.as_str()), ("hall 1", "B"));
    assert_eq!((rack.inlet_min, rack.inlet_max), (Some(20.0), Some(24.0)));
    assert_eq!((rack.delta_t, rack.faults), (Some(12.0), 0));
    model.apply(fault("inlet-B07-2", 1));
    let rack = &model.racks()[0];
    assert_eq!((rack.inlet_max, rack.faults), (Some(20.0), 1));
    let scopes = model.scopes();
    let names: Vec<_> = scopes.iter().map(|s| (s.scope, s.name.as_str())).collect();
    assert_eq!(names, [("site", ""), ("room", "hall 1"), ("row", "B")]);
    assert_eq!(scopes[0].indices.n, 1);
}

#[test]
fn changes_are_reported_once() {
    let mut model = model();
    model.take_changes();
    model.apply(reading("inlet-B07-1", 1, 20.0));
    assert_eq!(
        model.take_changes().devices,
        BTreeSet::from([id("inlet-B07-1")])
    );
    model.apply(reading("inlet-B07-1", 0, 21.0));
    assert!(model.take_changes().is_empty(), "an older reading");
    model.apply(reading("inlet-C01-1", 1, 20.0));
    assert!(model.take_changes().reload, "a new device");
    assert_eq!(model.rack_of(&id("inlet-C01-1")), "C01");
}

#[test]
fn sensor_faults_are_listed() {
    let mut model = model();
    model.apply(reading("inlet-B07-1", 0, 20.0));
    model.apply(fault("inlet-B07-1", 1));
    model.apply(fault("inlet-B07-2", 1));
    model.apply(reading("exhaust-B07-3", 1, 30.0));
    let problems = |model: &mut ReadModel, second| -> Vec<(String, String)> {
        let faults = {
            model.apply(Change::Time(at(second)));
            model.faults().into_iter()
        };
        faults
            .map(|fault| (fault.device.id.to_string(), fault.problem))
            .collect()
    };
    let expected = [
        ("inlet-B07-1", "read failure: timeout"),
        ("inlet-B07-2", "absent: timeout"),
    ]
    .map(|(id, problem)| (id.to_owned(), problem.to_owned()));
    assert_eq!(problems(&mut model, 2), expected);
    assert_eq!(problems(&mut model, 100).len(), 3, "the exhaust is stale");
    for device in ["inlet-B07-1", "inlet-B07-2"] {
        model.apply(reading(device, 100, 20.0));
    }
    model.apply(reading("exhaust-B07-3", 100, 30.0));
    assert_eq!(problems(&mut model, 101), []);
}

#[test]
fn limits_come_from_the_rules() {
    let model = model();
    let limits = model.limits(&id("inlet-B07-1"));
    let above: Vec<_> = limits.iter().filter(|l| l.above).map(|l| l.at).collect();
    assert_eq!(above, [28.0, 32.0]);
}

#[test]
fn incidents_have_a_current_peak() {
    let mut model = model();
    let devices = ["inlet-B07-1", "inlet-B07-2"];
    let episode = |device: &str, kind| Episode {
        id: AlertId::of(&id(device).into(), "rule", at(0)),
        subject: id(device).into(),
        rule: "rule".to_owned(),
        kind,
        started: at(0),
        severity: Severity::Warning,
        threshold: 28.0,
        temperature: Celsius::new(29.0).unwrap(),
        at: at(0),
        rack: "B07".to_owned(),
        u: None,
        role: Role::Inlet,
    };
    let record = IncidentRecord {
        racks: vec!["B07".to_owned()],
        peak: Some(Celsius::new(29.0).unwrap()),
        ..crate::notify::example::incident()
    };
    let peak_now = |model: &ReadModel| model.peak_now(&record).map(Celsius::degrees);
    assert_eq!(peak_now(&model), None);
    for (device, degrees) in devices.iter().zip([31.5, 33.5]) {
        model.apply(reading(device, 1, degrees));
    }
    assert_eq!(peak_now(&model), None, "nothing fires");
    model.apply(reading("exhaust-B07-3", 1, 55.0));
    model.apply(Change::Open(vec![
        episode(devices[0], AlertKind::HighTemp),
        episode("exhaust-B07-3", AlertKind::HighTemp),
    ]));
    assert_eq!(peak_now(&model), Some(31.5), "only firing inlets count");
    let all = devices.map(|device| episode(device, AlertKind::LowTemp));
    model.apply(Change::Open(all.to_vec()));
    assert_eq!(peak_now(&model), Some(31.5), "the coldest counts");
    model.apply(Change::Open(vec![episode(
        devices[0],
        AlertKind::StuckSensor,
    )]));
    assert_eq!(peak_now(&model), None);
}

#[test]
fn readings_add_no_devices_beyond_the_bound() {
    let mut model = model();
    let known = model.len();
    model.limit_devices(known + 1, 1);
    for number in 1..=3 {
        model.apply(reading(&format!("inlet-X{number}-1"), 0, 20.0));
    }
    assert_eq!(model.len(), known + 1);
    model.apply(reading("inlet-X1-1", 1, 21.0));
    let value = model.device(&id("inlet-X1-1")).unwrap().now.value;
    assert_eq!(value, Celsius::new(21.0).ok(), "known devices go on");
}
