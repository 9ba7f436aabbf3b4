//! What is seen of a small site.

use rackwatch_core::alert::AlertKind;
use std::time::Duration;

use rackwatch_core::alert::AlertId;
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

fn picture() -> Picture {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let mut picture = Picture::new(Arc::new(rules), Profile::default().envelope());
    let raw = RawSite {
        racks: vec![RawRacks {
            rack: vec!["B*".to_owned()],
            row: Some("B".to_owned()),
            room: Some("hall 1".to_owned()),
            cooler: None,
        }],
        ..RawSite::default()
    };
    picture.take(Change::Site(Site::new(&raw).unwrap()));
    for (device, role, u) in [
        ("inlet-B07-1", Role::Inlet, 10),
        ("inlet-B07-2", Role::Inlet, 40),
        ("exhaust-B07-3", Role::Exhaust, 20),
    ] {
        let known = Description {
            role,
            u: Some(u),
            rack: Some("B07".to_owned()),
            interval: Duration::from_secs(1),
            ..Description::default()
        };
        picture.take(Change::Described(id(device), Some(Box::new(known))));
    }
    picture
}

fn reading(device: &str, second: u64, degrees: f64) -> Change {
    Change::Reading(Reading {
        device: id(device),
        at: at(second),
        value: Ok(Celsius::new(degrees).unwrap()),
    })
}

fn fault(device: &str, second: u64) -> Change {
    Change::Reading(Reading {
        device: id(device),
        at: at(second),
        value: Err(Fault::TIMEOUT),
    })
}

#[test]
fn a_rack_is_summed_up() {
    let mut picture = picture();
    for (device, degrees) in [
        ("inlet-B07-1", 20.0),
        ("inlet-B07-2", 24.0),
        ("exhaust-B07-3", 34.0),
    ] {
        picture.take(reading(device, 0, degrees));
    }
    let racks = picture.racks();
    assert_eq!(racks.len(), 1);
    let rack = &racks[0];
    assert_eq!((rack.room.as_str(), rack.row.as_str()), ("hall 1", "B"));
    assert_eq!((rack.inlet_min, rack.inlet_max), (Some(20.0), Some(24.0)));
    assert_eq!((rack.delta_t, rack.faults), (Some(12.0), 0));
    picture.take(fault("inlet-B07-2", 1));
    let rack = &picture.racks()[0];
    assert_eq!((rack.inlet_max, rack.faults), (Some(20.0), 1));
    let scopes = picture.scopes();
    let names: Vec<_> = scopes.iter().map(|s| (s.scope, s.name.as_str())).collect();
    assert_eq!(names, [("site", ""), ("room", "hall 1"), ("row", "B")]);
    assert_eq!(scopes[0].indices.n, 1);
}

#[test]
fn news_are_what_has_changed() {
    let mut picture = picture();
    picture.news();
    picture.take(reading("inlet-B07-1", 1, 20.0));
    assert_eq!(picture.news().devices, BTreeSet::from([id("inlet-B07-1")]));
    picture.take(reading("inlet-B07-1", 0, 21.0));
    assert!(picture.news().is_empty(), "older than what is known");
    picture.take(reading("inlet-C01-1", 1, 20.0));
    assert!(picture.news().layout, "a device that nobody knew");
    assert_eq!(picture.rack_of(&id("inlet-C01-1")), "C01");
}

#[test]
fn sensors_in_trouble_are_listed() {
    let mut picture = picture();
    picture.take(reading("inlet-B07-1", 0, 20.0));
    picture.take(fault("inlet-B07-1", 1));
    picture.take(fault("inlet-B07-2", 1));
    picture.take(reading("exhaust-B07-3", 1, 30.0));
    let what = |picture: &Picture, second| -> Vec<(String, String)> {
        let troubles = picture.troubles(at(second)).into_iter();
        troubles
            .map(|t| (t.device.id.to_string(), t.what))
            .collect()
    };
    let two = [
        ("inlet-B07-1", "cannot be read: timeout"),
        ("inlet-B07-2", "absent: timeout"),
    ]
    .map(|(id, what)| (id.to_owned(), what.to_owned()));
    assert_eq!(what(&picture, 2), two);
    assert_eq!(what(&picture, 100).len(), 3, "one is old");
    for device in ["inlet-B07-1", "inlet-B07-2"] {
        picture.take(reading(device, 100, 20.0));
    }
    picture.take(reading("exhaust-B07-3", 100, 30.0));
    assert_eq!(what(&picture, 101), []);
}

#[test]
fn limits_are_those_of_the_rules() {
    let picture = picture();
    let limits = picture.limits(&id("inlet-B07-1"));
    let above: Vec<_> = limits.iter().filter(|l| l.above).map(|l| l.at).collect();
    assert_eq!(above, [28.0, 32.0]);
}

#[test]
fn an_incident_says_the_worst_of_now() {
    let mut picture = picture();
    let devices = ["inlet-B07-1", "inlet-B07-2"];
    let open = |device: &str, kind| Episode {
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
        extreme: Some(Celsius::new(29.0).unwrap()),
        ..crate::notify::example::incident()
    };
    let now = |picture: &Picture| picture.extreme(&record).map(Celsius::degrees);
    assert_eq!(now(&picture), None);
    for (device, degrees) in devices.iter().zip([31.5, 33.5]) {
        picture.take(reading(device, 1, degrees));
    }
    assert_eq!(now(&picture), None, "nothing fires");
    picture.take(reading("exhaust-B07-3", 1, 55.0));
    picture.take(Change::Open(vec![
        open(devices[0], AlertKind::HighTemp),
        open("exhaust-B07-3", AlertKind::HighTemp),
    ]));
    assert_eq!(
        now(&picture),
        Some(31.5),
        "one does not fire, and one is no inlet"
    );
    let all = devices.map(|device| open(device, AlertKind::LowTemp));
    picture.take(Change::Open(all.to_vec()));
    assert_eq!(now(&picture), Some(31.5), "the coldest");
    picture.take(Change::Open(vec![open(devices[0], AlertKind::StuckSensor)]));
    assert_eq!(now(&picture), None);
}
