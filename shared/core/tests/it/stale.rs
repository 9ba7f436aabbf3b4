//! Episodes of devices that fell silent: unknown is not resolved.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, EndedBy, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::StreamId;

use crate::trace::{START, reading};

const DEVICE: &str = "inlet-R1-1";

fn id() -> DeviceId {
    DeviceId::new(DEVICE).unwrap()
}

fn describe(leaving: bool) -> Input {
    let description = Description {
        agent: "host7".to_owned(),
        role: Role::Inlet,
        interval: Duration::from_secs(1),
        leaving,
        ..Description::default()
    };
    Input::Describe(id(), Some(Box::new(description)))
}

fn read(seconds: std::ops::Range<u64>, degrees: f64) -> Vec<Input> {
    let one = |second: u64| Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: true,
        reading: reading(DEVICE, second, degrees),
    };
    seconds.map(one).collect()
}

/// Waits for so many minutes in steps of ten seconds, as a collector does.
fn wait(engine: &mut Engine, minutes: u64) -> Vec<AlertRecord> {
    let step = |_| engine.step([Input::Waited(Duration::from_secs(10))]).alerts;
    (0..minutes * 6).flat_map(step).collect()
}

/// Returns an engine with an inlet at 45 °C, and its records.
fn hot() -> (Engine, Vec<AlertRecord>) {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let mut engine = Engine::new(Arc::new(rules));
    engine.step([describe(false)]);
    engine.step(read(600..630, 22.0));
    let alerts = engine.step(read(630..700, 45.0)).alerts;
    let is_hot = |record: &AlertRecord| record.kind() == AlertKind::HighTemp;
    assert!(alerts.iter().any(is_hot), "{alerts:?}");
    (engine, alerts)
}

fn ends(records: &[AlertRecord]) -> Vec<(AlertKind, Severity, EndedBy)> {
    let ended = records.iter().filter_map(|record| {
        let resolution = record.resolution?;
        Some((record.kind(), record.severity, resolution.ended_by))
    });
    ended.collect()
}

#[test]
fn a_hot_sensor_whose_agent_leaves_stays_open_and_ends_with_good_data() {
    let (mut engine, _) = hot();
    assert_eq!(ends(&engine.step([describe(true)]).alerts), []);
    let waited = wait(&mut engine, 60);
    assert_eq!(ends(&waited), [], "an hour of silence resolves nothing");
    let kinds: Vec<_> = waited.iter().map(AlertRecord::kind).collect();
    assert!(kinds.contains(&AlertKind::NoData), "{kinds:?}");
    let mut back = engine.step([describe(false)]).alerts;
    back.extend(engine.step(read(5_000..6_000, 22.0)).alerts);
    let high = back
        .iter()
        .find(|record| record.kind() == AlertKind::HighTemp)
        .unwrap();
    assert_eq!(high.state(), AlertState::Resolved);
    assert_eq!(high.resolution.unwrap().ended_by, EndedBy::Readings);
}

#[test]
fn forgetting_a_device_ends_its_episodes_and_frees_its_memory() {
    let (mut engine, _) = hot();
    let ended = engine.step([Input::Describe(id(), None)]).alerts;
    assert!(!ended.is_empty());
    for record in &ended {
        assert_eq!(record.resolution.unwrap().ended_by, EndedBy::Forgotten);
    }
    assert_eq!((engine.devices(), engine.open()), (0, 0));
    // Once more, and for a device that was never there.
    engine.step([Input::Describe(id(), None)]);
    assert_eq!(engine.devices(), 0);
}

#[test]
fn an_episode_without_data_ends_after_a_day_and_the_absence_goes_on() {
    let (mut engine, _) = hot();
    let waited = wait(&mut engine, 23 * 60);
    assert_eq!(ends(&waited), []);
    let ended = ends(&wait(&mut engine, 2 * 60));
    assert!(!ended.is_empty());
    for (kind, _, by) in &ended {
        assert_ne!(*kind, AlertKind::NoData, "its agent is still missing");
        assert_eq!(*by, EndedBy::Stale);
    }
    assert_eq!(
        engine.devices(),
        1,
        "a described device is forgotten by people alone"
    );
}

/// Nothing else would ever end it, and its memory would never be freed.
#[test]
fn a_device_that_was_never_described_is_forgotten_after_a_day_of_silence() {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let mut engine = Engine::new(Arc::new(rules));
    let plain = |inputs: Vec<Input>| -> Vec<Input> {
        let plain = inputs.into_iter().map(|input| match input {
            Input::Reading { entry, reading, .. } => Input::Reading {
                entry,
                by_agent: false,
                reading,
            },
            other => other,
        });
        plain.collect()
    };
    engine.step(plain(read(600..700, 45.0)));
    assert_eq!(engine.devices(), 1);
    let ended = ends(&wait(&mut engine, 25 * 60));
    assert!(ended.iter().any(|(kind, ..)| *kind == AlertKind::HighTemp));
    assert!(ended.iter().any(|(kind, ..)| *kind == AlertKind::NoData));
    assert_eq!((engine.devices(), engine.open()), (0, 0));
}

#[test]
fn a_person_resolves_one_episode_by_its_id() {
    let (mut engine, alerts) = hot();
    let high = alerts
        .iter()
        .find(|record| record.kind() == AlertKind::HighTemp)
        .unwrap();
    wait(&mut engine, 10);
    let open = engine.open();
    let resolve = Input::Resolve(high.subject.clone(), high.id.clone());
    let ended = engine.step([resolve.clone()]).alerts;
    assert_eq!(
        ends(&ended),
        [(AlertKind::HighTemp, high.severity, EndedBy::Operator)]
    );
    assert_eq!(engine.open(), open - 1);
    assert_eq!(
        engine.step([resolve]).alerts,
        [],
        "it is no other episode's id"
    );
}

#[test]
fn a_person_resolves_the_absence_of_an_agent() {
    let (mut engine, _) = hot();
    let waited = wait(&mut engine, 10);
    let absent = waited
        .iter()
        .find(|record| record.kind() == AlertKind::NoData)
        .unwrap();
    let resolve = Input::Resolve(absent.subject.clone(), absent.id.clone());
    let ended = ends(&engine.step([resolve]).alerts);
    assert_eq!(
        ended,
        [(AlertKind::NoData, absent.severity, EndedBy::Operator)]
    );
}

/// A short `alerts.stale_after` ends nothing between two readings.
#[test]
fn no_alert_of_a_slow_sensor_ends_between_two_readings() {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let rules = rules.with_stale_after(Duration::from_mins(1));
    let mut engine = Engine::new(Arc::new(rules));
    let description = Description {
        agent: "host7".to_owned(),
        role: Role::Inlet,
        interval: Duration::from_mins(5),
        ..Description::default()
    };
    engine.step([Input::Describe(id(), Some(Box::new(description)))]);
    let mut records = Vec::new();
    for n in 2..10 {
        records.extend(engine.step(read(300 * n..300 * n + 1, 45.0)).alerts);
        records.extend(wait(&mut engine, 4));
    }
    let is_hot = |record: &AlertRecord| record.kind() == AlertKind::HighTemp;
    assert!(records.iter().any(is_hot), "{records:?}");
    assert_eq!(ends(&records), []);
    assert!(
        !ends(&wait(&mut engine, 20)).is_empty(),
        "three intervals later"
    );
}
