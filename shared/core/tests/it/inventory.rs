//! A device or a piece of hardware with a new place is reported once.

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Engine, Input, InventoryChange};
use rackwatch_core::time::StreamId;

use crate::trace::{engine, inputs, reading};

fn describe(engine: &mut Engine, device: &str, host: &str, rack: &str) -> Vec<InventoryChange> {
    let description = Description {
        agent: host.into(),
        host: host.into(),
        rack: Some(rack.into()),
        hardware: device.starts_with("disk").then(|| "S4X9 temp1".to_owned()),
        ..Description::default()
    };
    let id = DeviceId::new(device).unwrap();
    engine
        .step([Input::Describe(id, Some(Box::new(description)))])
        .inventory
}

#[test]
fn a_device_with_another_rack_is_a_change_and_a_new_one_is_not() {
    let engine = &mut engine();
    assert_eq!(describe(engine, "inlet-a-1", "a", "R1"), []);
    assert_eq!(describe(engine, "inlet-a-1", "a", "R1"), []);
    let moved = describe(engine, "inlet-a-1", "a", "R2");
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].was, moved[0].device);
    assert_eq!(
        (moved[0].from.rack.as_deref(), moved[0].to.rack.as_deref()),
        (Some("R1"), Some("R2"))
    );
    assert_eq!(describe(engine, "inlet-a-1", "a", "R2"), []);
}

#[test]
fn devices_are_known_from_their_description_or_first_reading_on() {
    let mut engine = engine();
    let described = DeviceId::new("inlet-a-1").unwrap();
    let read = DeviceId::new("inlet-R1-1").unwrap();
    for device in [&described, &read] {
        assert!(!engine.knows(device));
    }
    describe(&mut engine, described.as_str(), "a", "R1");
    engine.step(inputs(&[reading(read.as_str(), 1, 22.0)]));
    for device in [&described, &read] {
        assert!(engine.knows(device));
    }
    let with_descriptions: Vec<_> = engine.described_devices().collect();
    assert_eq!(with_descriptions, [(&described, false)]);
}

#[test]
fn a_drive_is_recognised_under_another_id_across_a_restart() {
    let first = &mut engine();
    assert_eq!(describe(first, "disk-a-S4X9", "a", "R1"), []);
    let mut second = engine();
    for slice in first.snapshot(StreamId::ZERO) {
        second.restore(slice);
    }
    for engine in [first, &mut second] {
        let moved = describe(engine, "disk-b-S4X9", "b", "R1");
        assert_eq!(moved.len(), 1);
        assert_eq!(moved[0].was.as_str(), "disk-a-S4X9");
        assert_eq!((&*moved[0].from.host, &*moved[0].to.host), ("a", "b"));
        assert_eq!(describe(engine, "disk-b-S4X9", "b", "R1"), []);
    }
}
