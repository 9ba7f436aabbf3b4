//! Tests of the read model with a small site.

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

fn no_data_of(subject: rackwatch_core::subject::Subject) -> Episode {
    Episode {
        id: AlertId::of(&subject, "no_data", at(0)),
        subject,
        rule: "no_data".to_owned(),
        kind: AlertKind::NoData,
        started: at(0),
        severity: Severity::Warning,
        threshold: 60.0,
        temperature: Celsius::ZERO,
        at: at(60),
        rack: String::new(),
        u: None,
        role: Role::Other,
    }
}

#[test]
fn data_that_stopped_is_shown_as_stale_everywhere() {
    let mut model = model();
    for device in ["inlet-B07-1", "inlet-B07-2"] {
        model.apply(reading(device, 0, 20.0));
    }
    model.apply(Change::Time(at(1)));
    let row = |model: &ReadModel| model.device(&id("inlet-B07-1")).unwrap();
    assert_eq!(row(&model).state, DataState::Live);
    assert_eq!(model.racks()[0].inlet_max, Some(20.0));
    assert!(model.scopes()[0].indices.outside.is_some());
    model.take_changes();
    model.apply(Change::Time(at(100)));
    assert_eq!(row(&model).state, DataState::Stale);
    assert_eq!(row(&model).now.fault.as_deref(), Some("no_data"));
    let rack = &model.racks()[0];
    assert_eq!((rack.inlet_max, rack.stale, rack.faults), (None, 2, 0));
    assert_eq!(model.states()["stale"], 2);
    let site = &model.scopes()[0];
    assert_eq!((site.indices.n, site.indices.missing), (0, 2));
    assert!(
        site.indices.outside.is_none() && site.indices.rci_hi.is_none(),
        "no index without data"
    );
    let changed = model.take_changes().devices;
    assert!(changed.contains(&id("inlet-B07-1")), "viewers see it");
    model.apply(reading("inlet-B07-1", 101, 20.0));
    model.apply(Change::Time(at(101)));
    assert_eq!(row(&model).state, DataState::Live);
}

fn of_agent(device: &str, second: u64) -> Change {
    Change::Reading {
        reading: Reading {
            device: id(device),
            at: at(second),
            value: Ok(Celsius::new(20.0).unwrap()),
        },
        by_agent: true,
    }
}

/// Its role is unknown, so no rule looks at it.
#[test]
fn a_device_of_an_agent_that_nothing_describes_is_not_evaluated() {
    let mut model = model();
    model.apply(of_agent("inlet-B08-1", 0));
    model.apply(Change::Time(at(1)));
    let row = model.device(&id("inlet-B08-1")).unwrap();
    assert_eq!(
        (row.state, row.role),
        (DataState::NotEvaluated, Role::Other)
    );
    assert_eq!(row.now.fault.as_deref(), Some("not_evaluated"));
    assert!(model.limits(&id("inlet-B08-1")).is_empty());
    let racks = model.racks();
    let rack = racks.iter().find(|rack| rack.rack == "B08").unwrap();
    assert_eq!((rack.not_evaluated, rack.inlet_max), (1, None));
    assert_eq!(model.states()["not_evaluated"], 1);
    let faults = model.faults();
    let fault = faults.iter().find(|one| one.device.id == id("inlet-B08-1"));
    assert!(fault.unwrap().problem.starts_with("not evaluated: "));
    model.apply(Change::Time(at(100)));
    let row = model.device(&id("inlet-B08-1")).unwrap();
    assert_eq!(row.state, DataState::Stale, "nothing arrives either");
}

#[test]
fn a_device_whose_new_description_is_refused_is_not_evaluated_until_it_is_valid() {
    let mut model = model();
    model.apply(of_agent("inlet-B07-1", 0));
    let state = |model: &ReadModel| model.device(&id("inlet-B07-1")).unwrap().state;
    assert_eq!(state(&model), DataState::Live);
    let reason = "version 2 found, version 1 understood".to_owned();
    model.apply(Change::Refused(id("inlet-B07-1"), reason.clone()));
    assert_eq!(state(&model), DataState::NotEvaluated);
    let faults = model.faults();
    let fault = faults.iter().find(|one| one.device.id == id("inlet-B07-1"));
    assert!(fault.unwrap().problem.contains(&reason));
    let description = Description {
        role: Role::Inlet,
        ..Description::default()
    };
    let described = Change::Described(id("inlet-B07-1"), Some(Box::new(description)));
    model.apply(described);
    assert_eq!(state(&model), DataState::Live);
}

/// 100 % of one inlet is not 100 % of a room.
#[test]
fn an_index_that_rests_on_few_inlets_is_unknown() {
    let mut model = model();
    for number in 1..=8 {
        let device = format!("inlet-C01-{number}");
        model.apply(reading(&device, 0, 20.0));
    }
    model.apply(Change::Time(at(1)));
    let site = |model: &ReadModel| model.scopes()[0].indices.clone();
    // The two inlets of the other rack are described, and were never read.
    assert_eq!(
        (site(&model).rci_hi, site(&model).coverage),
        (Some(100.0), Some(0.8))
    );
    model.apply(reading("inlet-C01-1", 100, 20.0));
    model.apply(Change::Time(at(100)));
    let few = site(&model);
    assert_eq!((few.n, few.missing, few.coverage), (1, 9, Some(0.1)));
    assert_eq!((few.rci_hi, few.rci_lo, few.outside), (None, None, None));
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

#[test]
fn the_absence_of_an_agent_makes_all_its_devices_stale() {
    let mut model = model();
    let description = Description {
        agent: "host7".to_owned(),
        rack: Some("B07".to_owned()),
        // Read every five minutes: by age alone it would be live.
        interval: Duration::from_mins(5),
        ..Description::default()
    };
    let device = id("inlet-B07-1");
    model.apply(Change::Described(
        device.clone(),
        Some(Box::new(description)),
    ));
    model.apply(reading("inlet-B07-1", 0, 20.0));
    model.apply(Change::Time(at(70)));
    assert_eq!(model.device(&device).unwrap().state, DataState::Live);
    let agent = rackwatch_core::subject::Subject::agent("host7");
    model.apply(Change::Open(vec![no_data_of(agent)]));
    model.apply(Change::Time(at(71)));
    assert_eq!(model.device(&device).unwrap().state, DataState::Stale);
}

/// A clock that was set back: the last value is old, though readings arrive.
#[test]
fn a_value_is_not_live_while_only_older_readings_arrive() {
    let mut model = model();
    let row = |model: &ReadModel| model.device(&id("inlet-B07-1")).unwrap();
    model.apply(reading("inlet-B07-1", 600, 24.0));
    model.apply(Change::Time(at(600)));
    // A single late one says nothing.
    model.apply(reading("inlet-B07-1", 590, 33.0));
    model.apply(Change::Time(at(604)));
    assert_eq!(row(&model).state, DataState::Live);
    model.apply(reading("inlet-B07-1", 605, 24.0));
    for second in 1..=4 {
        model.apply(reading("inlet-B07-1", second, 33.5));
        model.apply(Change::Time(at(605 + second)));
    }
    assert_eq!(row(&model).state, DataState::Stale, "the engine waits");
    for second in 5..=12 {
        model.apply(reading("inlet-B07-1", second, 33.5));
        model.apply(Change::Time(at(605 + second)));
    }
    let now = row(&model);
    assert_eq!(now.state, DataState::Stale, "its time is long past");
    assert_eq!(now.now.value, Celsius::new(33.5).ok(), "a new time began");
    model.apply(reading("inlet-B07-1", 618, 24.5));
    model.apply(Change::Time(at(618)));
    assert_eq!(row(&model).state, DataState::Live);
}
