//! Kinds of devices, by writer and description, and the consequences of each.

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, EndedBy};
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Range, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::indices::{Aggregate, Envelope};
use rackwatch_core::time::StreamId;
use rackwatch_core::units::{Celsius, Kelvin};

use crate::trace::{START, engine, reading};

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

fn celsius(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

fn describe(device: &str, description: Description) -> Input {
    Input::Describe(id(device), Some(Box::new(description)))
}

fn read(by_agent: bool, device: &str, second: u64, degrees: f64) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent,
        reading: reading(device, second, degrees),
    }
}

#[test]
fn a_device_that_an_agent_begins_to_write_is_the_agents_from_then_on() {
    let mut engine = engine();
    let device = "inlet-R1-1";
    let tally = engine.step([read(false, device, 0, 22.0)]).tally;
    assert_eq!((tally.evaluated, tally.undescribed), (1, 0));
    for (second, by_agent) in [(1, true), (2, false)] {
        let tally = engine.step([read(by_agent, device, second, 22.0)]).tally;
        assert_eq!((tally.evaluated, tally.undescribed), (0, 1));
    }
}

#[test]
fn a_plain_clients_device_stays_when_its_description_goes() {
    let mut engine = engine();
    let device = "inlet-R1-1";
    let fired = engine.step([read(false, device, 0, 30.0)]).alerts;
    assert_eq!(fired[0].kind(), AlertKind::HighTemp);
    let inlet = Description {
        role: Role::Inlet,
        rack: Some("R1".into()),
        ..Description::default()
    };
    engine.step([describe(device, inlet)]);
    let effects = engine.step([Input::Describe(id(device), None)]);
    assert_eq!((effects.alerts, engine.devices()), (Vec::new(), 1));
    let ended = engine.step([read(false, device, 60, 22.0)]).alerts;
    assert_eq!(ended[0].id, fired[0].id);
}

#[test]
fn a_forgotten_device_ends_its_alert_with_the_temperature_last_read() {
    let mut engine = engine();
    let device = "inlet-R1-1";
    let inlet = Description {
        role: Role::Inlet,
        ..Description::default()
    };
    engine.step([describe(device, inlet), read(true, device, 0, 30.0)]);
    let ended = engine.step([Input::Describe(id(device), None)]).alerts;
    assert_eq!(ended[0].temperature, Some(celsius(30.0)));
    let resolution = ended[0].resolution.unwrap();
    assert_eq!(resolution.ended_by, EndedBy::Forgotten);
}

/// Air that a cooler takes in may be colder than any chip.
#[test]
fn the_role_and_the_hardware_decide_what_can_be_a_temperature() {
    let faults = |description: Description, degrees| {
        let mut engine = engine();
        let inputs = [
            describe("x-h-1", description),
            read(true, "x-h-1", 0, degrees),
        ];
        engine.step(inputs).tally.faults
    };
    let of = |role, range| Description {
        role,
        range,
        ..Description::default()
    };
    let range = Some(Range {
        least: celsius(5.0),
        most: celsius(60.0),
    });
    assert_eq!(faults(of(Role::Cpu, None), -5.0), 1);
    assert_eq!(faults(of(Role::Supply, None), -5.0), 0);
    assert_eq!(faults(of(Role::Inlet, range), 61.0), 1);
    assert_eq!(faults(of(Role::Inlet, None), 61.0), 0);
}

/// Returns the engine after the device was read 22 °C for ten minutes as `before`, and then described anew.
fn redescribed(before: Description, after: Description) -> Engine {
    let mut engine = engine();
    engine.step([describe("inlet-R1-1", before)]);
    engine.step((0..60).map(|n| read(true, "inlet-R1-1", n * 10, 22.0)));
    engine.step([describe("inlet-R1-1", after)]);
    engine
}

fn inlet(limit: f64) -> Description {
    Description {
        agent: "h".into(),
        role: Role::Inlet,
        limits: HardwareLimits {
            high_critical: Some(celsius(limit)),
            ..HardwareLimits::default()
        },
        ..Description::default()
    }
}

#[test]
fn rules_that_stay_the_same_keep_their_windows_when_a_device_is_described_anew() {
    let mut engine = redescribed(inlet(40.0), inlet(31.0));
    let alerts = engine.step([read(true, "inlet-R1-1", 600, 27.5)]).alerts;
    let kinds: Vec<_> = alerts.iter().map(AlertRecord::kind).collect();
    assert_eq!(kinds, [AlertKind::Spike], "it knows the ten minutes before");
}

#[test]
fn the_windows_of_a_rule_with_other_numbers_start_cold() {
    let step = |step| Description {
        resolution: Some(Kelvin(step)),
        ..inlet(40.0)
    };
    // A swing must be more than what the steps of the sensor may feign.
    let mut engine = redescribed(step(0.1), step(1.0));
    let alerts = engine.step([read(true, "inlet-R1-1", 600, 27.5)]).alerts;
    assert_eq!(alerts, [], "no spike against readings of other steps");
}

#[test]
fn an_episode_stays_with_its_rule_when_a_device_is_described_anew() {
    let mut engine = redescribed(inlet(40.0), inlet(40.0));
    let warm = (60..62).map(|n| read(true, "inlet-R1-1", n * 10, 29.0));
    let fired = engine.step(warm).alerts;
    let high = fired.iter().find(|r| r.kind() == AlertKind::HighTemp);
    let high = high.unwrap().id.clone();
    assert_eq!(
        engine.step([describe("inlet-R1-1", inlet(39.0))]).alerts,
        []
    );
    let ended = engine.step([read(true, "inlet-R1-1", 700, 24.0)]).alerts;
    let ended: Vec<_> = ended.iter().filter(|r| r.id == high).collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].state(), AlertState::Resolved);
}

#[test]
fn indices_count_the_inlets_and_exhausts_of_a_rack_by_their_height() {
    let mut engine = engine();
    let of = |role, u| Description {
        agent: "h".into(),
        role,
        rack: Some("R1".into()),
        u: Some(u),
        ..Description::default()
    };
    engine.step([
        describe("in-1", of(Role::Inlet, 1)),
        describe("in-2", of(Role::Inlet, 40)),
        describe("out-1", of(Role::Exhaust, 20)),
        describe("cpu-1", of(Role::Cpu, 20)),
        read(true, "in-1", 0, 20.0),
        read(true, "in-2", 0, 23.0),
        read(true, "out-1", 0, 35.0),
        read(true, "cpu-1", 0, 80.0),
        // A plain client's device is an inlet, as long as its reading is current.
        read(false, "inlet-R2-1", 0, 24.0),
        read(true, "unknown-R2-2", 0, 50.0),
    ]);
    let envelope = Envelope {
        class: "A1",
        recommended: (18.0, 27.0),
        allowable: (15.0, 32.0),
    };
    let racks = engine.rack_aggregates(&envelope);
    let names: Vec<_> = racks.keys().map(|(_, rack)| rack.as_str()).collect();
    assert_eq!(names, ["R1", "R2"]);
    let counts = |rack: &Aggregate| (rack.inlets, rack.exhausts, rack.gradients);
    let counts: Vec<_> = racks.values().map(counts).collect();
    assert_eq!(counts, [(2, 1, 1), (1, 0, 0)]);
    let missing: Vec<_> = racks.values().map(|rack| rack.missing).collect();
    assert_eq!(missing, [0, 1], "the role of the last one is unknown");
    let first = racks.values().next().unwrap();
    assert_eq!((first.gradient_sum, first.exhaust_sum), (3.0, 35.0));
    let later = engine.step([read(true, "in-1", 120, 20.0)]);
    assert_eq!(later.alerts, []);
    let racks = engine.rack_aggregates(&envelope);
    let counts = |rack: &Aggregate| (rack.inlets, rack.missing, rack.missing_exhausts);
    let counts: Vec<_> = racks.values().map(counts).collect();
    assert_eq!(
        counts,
        [(1, 1, 1), (0, 2, 0)],
        "what was read two minutes ago is missing"
    );
    let failed = Input::Reading {
        entry: StreamId::ZERO,
        by_agent: true,
        reading: rackwatch_core::reading::Reading {
            value: Err(rackwatch_core::reading::Fault::TIMEOUT),
            ..reading("in-1", 121, 20.0)
        },
    };
    engine.step([failed]);
    let racks = engine.rack_aggregates(&envelope);
    let first = racks.values().next().unwrap();
    assert_eq!(
        (first.inlets, first.missing),
        (0, 2),
        "the last value is no present one"
    );
}

/// The newest reading of all is the present one only while some arrives.
#[test]
fn no_value_is_present_once_nothing_arrives() {
    let mut engine = engine();
    let inlet = Description {
        role: Role::Inlet,
        rack: Some("R1".into()),
        ..Description::default()
    };
    engine.step([describe("in-1", inlet)]);
    let arrives = |second: u64| Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: true,
        reading: reading("in-1", second, 20.0),
    };
    engine.step((0..10).map(arrives));
    let envelope = Envelope {
        class: "A1",
        recommended: (18.0, 27.0),
        allowable: (15.0, 32.0),
    };
    let of = |engine: &Engine| {
        let racks = engine.rack_aggregates(&envelope);
        let rack = racks.values().next().unwrap().clone();
        (rack.inlets, rack.missing)
    };
    assert_eq!(of(&engine), (1, 0));
    engine.step([Input::Waited(std::time::Duration::from_mins(3))]);
    assert_eq!(of(&engine), (0, 1));
}
