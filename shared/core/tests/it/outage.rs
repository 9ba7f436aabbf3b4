//! A target that does not answer has one alert, and so has a device that fails alone.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input, Slice};
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::START;
use AlertState::{Firing, Resolved};

/// Three sensors of one board and one of another, read every ten seconds.
const DEVICES: [(&str, &str); 4] = [
    ("cpu-a-1", "a"),
    ("cpu-a-2", "a"),
    ("cpu-a-3", "a"),
    ("cpu-b-1", "b"),
];

struct Room {
    engine: Engine,
    ms: u64,
}

fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::with_defaults(&[]).unwrap())
}

impl Room {
    fn new() -> Self {
        let mut engine = Engine::new(rules());
        for (device, target) in DEVICES {
            let description = Description {
                agent: "agent".into(),
                target: target.into(),
                role: Role::Cpu,
                rack: Some("B07".into()),
                interval: Duration::from_secs(10),
                ..Description::default()
            };
            let device = DeviceId::new(device).unwrap();
            engine.step([Input::Describe(device, Some(Box::new(description)))]);
        }
        Self { engine, ms: START }
    }

    /// Reads all devices `count` times. Those in `failing` report `fault`.
    fn ticks(&mut self, count: u32, failing: &[&str], fault: &Fault) -> Vec<AlertRecord> {
        let mut reported = Vec::new();
        for _ in 0..count {
            self.ms += 10_000;
            let entry = StreamId {
                ms: self.ms,
                seq: 0,
            };
            let each = DEVICES.iter().map(|(device, _)| Input::Reading {
                entry,
                by_agent: true,
                reading: Reading {
                    device: DeviceId::new(device).unwrap(),
                    at: Timestamp::from_millis(self.ms).unwrap(),
                    value: if failing.contains(device) {
                        Err(fault.clone())
                    } else {
                        Ok(Celsius::new(50.0).unwrap())
                    },
                },
            });
            let inputs: Vec<Input> = each.collect();
            reported.extend(self.engine.step(inputs).alerts);
        }
        reported
    }

    /// Goes on with an engine that has its state and `episodes` from the store.
    fn restart(&mut self, episodes: &[rackwatch_core::episode::Episode]) {
        let slices: Vec<Slice> = self.engine.snapshot(StreamId::ZERO).collect();
        self.engine = Engine::new(rules());
        for slice in slices {
            let json = stored::encode(&slice);
            let slice: Slice = stored::decode(json.as_bytes()).unwrap();
            self.engine.restore(slice);
        }
        self.engine.resume(episodes.to_vec(), Vec::new());
    }
}

fn names(records: &[AlertRecord]) -> Vec<(&str, AlertState)> {
    for record in records {
        assert_eq!(record.kind(), AlertKind::SensorFault);
        assert!(record.state() == Resolved || record.temperature.is_none());
    }
    records
        .iter()
        .map(|record| (record.subject.as_str(), record.state()))
        .collect()
}

const ALL: [&str; 3] = ["cpu-a-1", "cpu-a-2", "cpu-a-3"];

#[test]
fn a_board_that_does_not_answer_is_one_alert_and_one_resolution() {
    let mut room = Room::new();
    assert_eq!(room.ticks(5, &[], &Fault::TIMEOUT), []);
    let reported = room.ticks(12, &ALL, &Fault::UNREACHABLE);
    assert_eq!(names(&reported), [("target:a", Firing)]);
    assert_eq!(
        reported[0].detail.extras().reason.as_deref(),
        Some("unreachable")
    );
    assert_eq!(reported[0].rack, "B07");
    let after = reported[0].at.since(reported[0].started);
    assert_eq!(after, Duration::from_mins(1));
    let resolved = room.ticks(12, &[], &Fault::TIMEOUT);
    assert_eq!(names(&resolved), [("target:a", Resolved)]);
    assert_eq!(resolved[0].id, reported[0].id);
    let resolution = resolved[0].resolution.unwrap();
    assert_eq!(resolution.duration, Duration::from_mins(2));
}

#[test]
fn a_device_that_fails_alone_has_its_own_alert() {
    let mut room = Room::new();
    room.ticks(5, &[], &Fault::TIMEOUT);
    let reported = room.ticks(12, &["cpu-a-2", "cpu-b-1"], &Fault::TIMEOUT);
    let alone = [("cpu-a-2", Firing), ("cpu-b-1", Firing)];
    assert_eq!(names(&reported), alone, "b has one sensor only");
    let resolved = room.ticks(40, &[], &Fault::TIMEOUT);
    let alone = [("cpu-a-2", Resolved), ("cpu-b-1", Resolved)];
    assert_eq!(names(&resolved), alone);
}

#[test]
fn a_board_that_answers_without_readings_is_no_outage() {
    let mut room = Room::new();
    room.ticks(5, &[], &Fault::TIMEOUT);
    let reported = room.ticks(12, &ALL, &Fault::NO_READING);
    assert_eq!(names(&reported), ALL.map(|device| (device, Firing)));
}

#[test]
fn after_an_outage_failures_are_counted_anew() {
    let mut room = Room::new();
    room.ticks(5, &[], &Fault::TIMEOUT);
    room.ticks(12, &ALL, &Fault::TIMEOUT);
    let reported = room.ticks(5, &ALL[1..], &Fault::TIMEOUT);
    assert_eq!(names(&reported), [("target:a", Resolved)]);
    let reported = room.ticks(5, &ALL[1..], &Fault::TIMEOUT);
    let alone = [("cpu-a-2", Firing), ("cpu-a-3", Firing)];
    assert_eq!(names(&reported), alone);
}

#[test]
fn an_outage_goes_on_across_a_restart() {
    let mut room = Room::new();
    room.ticks(5, &[], &Fault::TIMEOUT);
    let begun = Timestamp::from_millis(room.ms + 10_000).unwrap();
    assert_eq!(room.ticks(4, &ALL, &Fault::TIMEOUT), []);
    room.restart(&[]);
    let reported = room.ticks(8, &ALL, &Fault::TIMEOUT);
    assert_eq!(names(&reported), [("target:a", Firing)]);
    assert_eq!(reported[0].started, begun, "counted across the restart");
    assert_eq!(
        reported[0].at.since(reported[0].started),
        Duration::from_mins(1)
    );
    let reported = reported[0].clone();
    let episode = rackwatch_core::episode::Episode {
        id: reported.id.clone(),
        subject: reported.subject.clone(),
        rule: reported.rule.clone(),
        kind: reported.kind(),
        started: reported.started,
        severity: reported.severity,
        threshold: reported.threshold,
        temperature: Celsius::ZERO,
        at: reported.at,
        rack: reported.rack,
        u: None,
        role: reported.role,
    };
    room.restart(&[episode]);
    assert_eq!(room.ticks(8, &ALL, &Fault::TIMEOUT), []);
    let resolved = room.ticks(2, &[], &Fault::TIMEOUT);
    assert_eq!(names(&resolved), [("target:a", Resolved)]);
}

#[test]
fn an_outage_ends_with_the_last_device_of_its_target() {
    let mut room = Room::new();
    room.ticks(5, &[], &Fault::TIMEOUT);
    room.ticks(12, &ALL, &Fault::TIMEOUT);
    let mut reported = Vec::new();
    for device in ALL {
        assert_eq!(reported, []);
        let forget = Input::Describe(DeviceId::new(device).unwrap(), None);
        reported = room.engine.step([forget]).alerts;
        reported.retain(|record| record.subject.as_str() == "target:a");
    }
    assert_eq!(names(&reported), [("target:a", Resolved)]);
}
