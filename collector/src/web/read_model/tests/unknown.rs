//! Devices and indices that nothing is known of: without data, without a description, or with old readings alone.

use super::*;

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
