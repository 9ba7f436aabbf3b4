//! Tests of when descriptions are written, and of their content.

use rackwatch_core::device::Role;

use super::*;

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn discovered(name: &str, role: Role) -> Vec<DiscoveredDevice> {
    let description = Description {
        role,
        ..Description::default()
    };
    vec![DiscoveredDevice {
        device: id(name),
        description,
    }]
}

#[derive(serde::Deserialize)]
struct Overrides {
    #[serde(default)]
    devices: Vec<DeviceConfig>,
}

fn inventory(overrides: &str) -> Inventory {
    let identity = IdentityConfig {
        name: Name::new("node7").unwrap(),
        host: Name::new("node7.example").unwrap(),
        rack: Some("B07".to_owned()),
        ..IdentityConfig::default()
    };
    let overrides: Overrides = toml::from_str(overrides).unwrap();
    let ids = HostIds {
        machine: Some("m1".to_owned()),
        boot: Some("b1".to_owned()),
    };
    Inventory::new(&identity, ids, overrides.devices)
}

fn write_all(inventory: &mut Inventory, now: Instant) -> usize {
    let pending = inventory.pending(now);
    for (device, json) in &pending {
        inventory.mark_written(device, json, now);
    }
    pending.len()
}

#[test]
fn descriptions_are_written_when_new_changed_old_or_lost() {
    let mut inventory = inventory("");
    let start = Instant::now();
    inventory.update(discovered("cpu-1", Role::Cpu));
    assert_eq!(write_all(&mut inventory, start), 1);
    inventory.update(discovered("cpu-1", Role::Cpu));
    assert_eq!(write_all(&mut inventory, start), 0, "unchanged");

    inventory.update(discovered("cpu-1", Role::Gpu));
    assert_eq!(write_all(&mut inventory, start), 1, "changed");
    assert_eq!(write_all(&mut inventory, start + REWRITE_EVERY), 1, "old");

    inventory.mark_all_unwritten();
    assert_eq!(write_all(&mut inventory, start + REWRITE_EVERY), 1, "lost");
}

#[test]
fn a_change_during_a_write_stays_pending() {
    let mut inventory = inventory("");
    let now = Instant::now();
    inventory.update(discovered("cpu-1", Role::Cpu));
    let writing = inventory.pending(now);
    inventory.update(discovered("cpu-1", Role::Gpu));
    inventory.mark_written(&writing[0].0, &writing[0].1, now);
    assert_eq!(inventory.pending(now).len(), 1);
}

#[test]
fn operator_settings_override_the_source() {
    let mut inventory = inventory(
        "[[devices]]\nmatch = 'cpu-*'\nrole = 'inlet'\nu = 3\n\
         [[devices]]\nmatch = 'cpu-1'\nname = 'front'\nrack = 'A1'\n\
         [[devices]]\nmatch = 'disk-*'\noff = true\n\
         [[devices]]\nmatch = 'disk-2'\noff = false",
    );
    for device in ["cpu-1", "cpu-2", "disk-1", "disk-2"] {
        inventory.update(discovered(device, Role::Cpu));
    }
    let pending = inventory.pending(Instant::now());
    let described: Vec<_> = pending
        .iter()
        .map(|(device, json)| {
            (
                device.as_str(),
                Description::from_json(json.as_bytes()).unwrap(),
            )
        })
        .collect();
    let names: Vec<_> = described.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["cpu-1", "cpu-2", "disk-2"]);
    let first = &described[0].1;
    assert_eq!((first.role, first.u), (Role::Inlet, Some(3)));
    assert_eq!(
        (first.name.as_str(), first.rack.as_deref()),
        ("front", Some("A1"))
    );
    assert_eq!(
        (first.agent.as_str(), first.host.as_str()),
        ("node7", "node7.example")
    );
    assert_eq!(
        (first.machine.as_deref(), first.boot.as_deref()),
        (Some("m1"), Some("b1"))
    );
    assert_eq!(
        described[1].1.rack.as_deref(),
        Some("B07"),
        "the agent's own"
    );
}

#[test]
fn the_probe_cycles_through_written_devices() {
    let mut inventory = inventory("");
    assert_eq!(inventory.probe(), None);
    for device in ["a", "b", "c"] {
        inventory.update(discovered(device, Role::Cpu));
    }
    assert_eq!(inventory.probe(), None, "nothing is written yet");
    write_all(&mut inventory, Instant::now());
    let probed: Vec<_> = (0..4)
        .map(|_| inventory.probe().unwrap().to_string())
        .collect();
    assert_eq!(probed, ["a", "b", "c", "a"]);
}

#[test]
fn leaving_marks_every_description() {
    let mut inventory = inventory("");
    inventory.update(discovered("cpu-1", Role::Cpu));
    let (device, json) = inventory.leaving().remove(0);
    assert_eq!(device, id("cpu-1"));
    assert!(Description::from_json(json.as_bytes()).unwrap().leaving);
}

#[test]
fn names_of_hardware_are_cleaned_so_that_collectors_accept_them() {
    let mut inventory = inventory("");
    let description = Description {
        name: format!("Inlet\n\u{1b}[31m{}", "x".repeat(200)),
        hardware: Some("S/N\0 4711".to_owned()),
        ..Description::default()
    };
    inventory.update(vec![DiscoveredDevice {
        device: id("inlet-1"),
        description,
    }]);
    let (_, json) = inventory.pending(Instant::now()).remove(0);
    let description = Description::from_json(json.as_bytes()).unwrap();
    assert!(
        description.name.starts_with("Inlet  [31mxxx"),
        "{}",
        description.name
    );
    assert_eq!(description.hardware.as_deref(), Some("S/N  4711"));
}
