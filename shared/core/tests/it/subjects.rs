//! Alerts about agents and targets, and of devices that only a stored episode names: ends by hand, by forgetting, and
//! across a restart.

use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertKind, AlertRecord, AlertState, EndedBy, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Effects, Engine, EpisodeChange, Input};
use rackwatch_core::episode::Episode;
use rackwatch_core::loss_ledger::ReportedSequence;
use rackwatch_core::reading::Fault;
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};

use crate::trace::{START, engine, reading};

const DEVICES: [&str; 2] = ["cpu-h1-1", "cpu-h1-2"];

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

fn description() -> Description {
    Description {
        agent: "host1".into(),
        target: "bmc".into(),
        role: Role::Cpu,
        interval: Duration::from_secs(1),
        ..Description::default()
    }
}

fn described() -> Engine {
    let mut engine = engine();
    let describe = |device| Input::Describe(id(device), Some(Box::new(description())));
    engine.step(DEVICES.map(describe));
    engine
}

fn entry(second: u64) -> StreamId {
    StreamId {
        ms: START + second * 1000,
        seq: 0,
    }
}

/// Returns the entry of a run with the readings of both devices.
fn entries(run: &str, second: u64, fails: bool) -> Vec<Input> {
    let sequence = ReportedSequence {
        agent: "host1".to_owned(),
        seq: format!("{run}-{}", second + 1).parse().unwrap(),
        readings: 2,
        at: at(second),
        prev: None,
        gap: None,
        skew: None,
        arrived: at(second),
    };
    let readings = DEVICES.map(|device| {
        let mut reading = reading(device, second, 50.0);
        if fails {
            reading.value = Err(Fault::TIMEOUT);
        }
        Input::Reading {
            entry: entry(second),
            by_agent: true,
            reading,
        }
    });
    let sequence = Input::Sequence(Box::new(sequence));
    [sequence].into_iter().chain(readings).collect()
}

fn steps(engine: &mut Engine, runs: &[&str], seconds: std::ops::Range<u64>) -> Effects {
    let all = |second| runs.iter().flat_map(move |run| entries(run, second, false));
    engine.step(seconds.flat_map(all))
}

/// Returns an engine with an open alert of its agent or target, and the alert: a wrong clock, two agents of one name,
/// a target that does not answer, an agent that sends no data.
fn troubled(kind: AlertKind) -> (Engine, AlertRecord, Effects) {
    let mut engine = described();
    steps(&mut engine, &["aaaa"], 0..30);
    let effects = match kind {
        AlertKind::ClockSkew => {
            let mut inputs = entries("aaaa", 30, false);
            if let Some(Input::Sequence(sequence)) = inputs.first_mut() {
                sequence.skew = Some(9_000);
            }
            engine.step(inputs)
        }
        AlertKind::DuplicateAgent => steps(&mut engine, &["aaaa", "bbbb"], 30..70),
        AlertKind::SensorFault => {
            engine.step((30..100).flat_map(|second| entries("aaaa", second, true)))
        }
        _ => engine.step((0..90).map(|_| Input::Waited(Duration::from_secs(1)))),
    };
    assert_eq!(effects.alerts.len(), 1, "{:?}", effects.alerts);
    let alert = effects.alerts[0].clone();
    assert_eq!((alert.kind(), alert.state()), (kind, AlertState::Firing));
    (engine, alert, effects)
}

const KINDS: [AlertKind; 4] = [
    AlertKind::ClockSkew,
    AlertKind::DuplicateAgent,
    AlertKind::SensorFault,
    AlertKind::NoData,
];

fn open(effects: &Effects) -> Vec<Episode> {
    let open = effects.episodes.iter().filter_map(|change| match change {
        EpisodeChange::Open(episode) => Some((**episode).clone()),
        EpisodeChange::Close { .. } => None,
    });
    open.collect()
}

#[test]
fn a_person_can_resolve_every_alert_about_an_agent_or_a_target() {
    for kind in KINDS {
        let (mut engine, alert, _) = troubled(kind);
        let other = AlertId::of(&alert.subject, &alert.rule, at(7));
        let wrong = Input::Resolve(alert.subject.clone(), other);
        assert_eq!(engine.step([wrong]).alerts, [], "{kind}: another alert");
        let by_hand = Input::Resolve(alert.subject.clone(), alert.id.clone());
        let ended = engine.step([by_hand]).alerts;
        assert_eq!((ended.len(), &ended[0].id), (1, &alert.id), "{kind}");
        let ended_by = ended[0].resolution.unwrap().ended_by;
        assert_eq!((ended_by, engine.open()), (EndedBy::Operator, 0));
    }
}

#[test]
fn every_alert_about_an_agent_or_a_target_ends_with_its_last_device() {
    for kind in KINDS {
        let (mut engine, alert, _) = troubled(kind);
        let first = engine.step([Input::Describe(id(DEVICES[0]), None)]).alerts;
        assert_eq!(first, [], "{kind}");
        let ended = engine.step([Input::Describe(id(DEVICES[1]), None)]).alerts;
        assert_eq!((ended.len(), &ended[0].id), (1, &alert.id), "{kind}");
        assert_eq!((engine.open(), engine.devices()), (0, 0));
    }
}

/// The state is gone, as after a version that reads no older state, but the open episodes are known.
#[test]
fn every_alert_about_an_agent_or_a_target_goes_on_after_a_cold_start() {
    for kind in KINDS
        .into_iter()
        .filter(|kind| *kind != AlertKind::DuplicateAgent)
    {
        let (_, alert, effects) = troubled(kind);
        let mut engine = engine();
        engine.resume(open(&effects), effects.agents);
        let describe = |device| Input::Describe(id(device), Some(Box::new(description())));
        assert_eq!(engine.step(DEVICES.map(describe)).alerts, [], "{kind}");
        assert_eq!(engine.open(), 1);
        let mut inputs: Vec<_> = (100..400)
            .flat_map(|second| entries("aaaa", second, false))
            .collect();
        if let Some(Input::Sequence(sequence)) = inputs.first_mut() {
            sequence.skew = Some(0);
        }
        let ended = engine.step(inputs).alerts;
        assert_eq!(ended.len(), 1, "{kind}");
        assert_eq!(ended[0].id, alert.id, "{kind}");
        assert_eq!(ended[0].state(), AlertState::Resolved);
        let soon = at(100)..at(101);
        assert!(soon.contains(&ended[0].at), "{kind} {:?}", ended[0].at);
    }
}

#[test]
fn stored_episodes_of_sensors_alone_make_devices_known() {
    let devices = |effects: Effects| {
        let mut engine = engine();
        engine.resume(open(&effects), effects.agents);
        (engine.open(), engine.devices())
    };
    for kind in KINDS {
        assert_eq!(devices(troubled(kind).2), (1, 0), "{kind}");
    }
    // The other sensor of its target works.
    let mut engine = described();
    steps(&mut engine, &["aaaa"], 0..30);
    let one_fails = (30..130).flat_map(|second| {
        let mut inputs = entries("aaaa", second, true);
        inputs[1] = entries("aaaa", second, false).swap_remove(1);
        inputs
    });
    let effects = engine.step(one_fails);
    assert_eq!(effects.alerts[0].kind(), AlertKind::SensorFault);
    assert_eq!(effects.alerts[0].subject.as_str(), DEVICES[1]);
    assert_eq!(devices(effects), (1, 1));
}

#[test]
fn two_agents_of_one_name_are_found_as_soon_across_a_restart() {
    let mut before = described();
    steps(&mut before, &["aaaa"], 0..30);
    let effects = steps(&mut before, &["aaaa", "bbbb"], 30..50);
    assert_eq!(effects.alerts, []);
    let mut after = engine();
    for slice in before.snapshot(entry(49)) {
        let json = stored::encode(&slice);
        after.restore(stored::decode(json.as_bytes()).unwrap());
    }
    after.resume(Vec::new(), effects.agents);
    let alerts = steps(&mut after, &["aaaa", "bbbb"], 50..70).alerts;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].kind(), AlertKind::DuplicateAgent);
    assert_eq!((alerts[0].started, alerts[0].at), (at(31), at(61)));
}

/// One agent is usual: there is nothing to save about it.
#[test]
fn one_run_of_an_agent_is_not_saved() {
    let mut engine = described();
    steps(&mut engine, &["aaaa"], 0..30);
    let json = stored::encode(&engine.snapshot(entry(29)).next().unwrap());
    assert!(!json.contains("\"agents\":"), "{json}");
}

#[test]
fn agents_that_alternated_long_ago_are_counted_anew() {
    let mut engine = described();
    // Twenty seconds, and then one of them for ten minutes.
    let both = steps(&mut engine, &["aaaa", "bbbb"], 0..20).alerts;
    assert_eq!(both, []);
    assert_eq!(steps(&mut engine, &["aaaa"], 20..620).alerts, []);
    let alerts = steps(&mut engine, &["aaaa", "bbbb"], 620..700).alerts;
    assert_eq!(alerts.len(), 1);
    let started = alerts[0].started;
    assert!((at(620)..at(625)).contains(&started), "{started:?}");
}

/// Returns the stored episode of a plain client's inlet that was too hot.
fn hot() -> (AlertRecord, Vec<Episode>) {
    let mut engine = engine();
    let read = Input::Reading {
        entry: entry(0),
        by_agent: false,
        reading: reading("inlet-R1-1", 0, 30.0),
    };
    let effects = engine.step([read]);
    (effects.alerts[0].clone(), open(&effects))
}

#[test]
fn a_person_can_resolve_an_alert_of_a_device_that_only_its_episode_names() {
    let (alert, episodes) = hot();
    let mut engine = engine();
    engine.resume(episodes, Vec::new());
    assert_eq!(engine.step([]).alerts, []);
    let other = Input::Resolve(
        alert.subject.clone(),
        AlertId::of(&alert.subject, "high_temp", at(7)),
    );
    assert_eq!(engine.step([other]).alerts, []);
    let by_hand = Input::Resolve(alert.subject.clone(), alert.id.clone());
    let ended = engine.step([by_hand]).alerts;
    assert_eq!((ended.len(), &ended[0].id), (1, &alert.id));
    let ended_by = ended[0].resolution.unwrap().ended_by;
    assert_eq!((ended_by, engine.open()), (EndedBy::Operator, 0));
    assert_eq!(ended[0].severity, Severity::Warning);
}

#[test]
fn a_clock_is_wrong_beyond_five_seconds() {
    for (skew, alerts) in [(5_000, 0), (-5_000, 0), (5_001, 1), (-5_001, 1)] {
        let mut engine = described();
        let mut inputs = entries("aaaa", 0, false);
        if let Some(Input::Sequence(sequence)) = inputs.first_mut() {
            sequence.skew = Some(skew);
        }
        assert_eq!(engine.step(inputs).alerts.len(), alerts, "{skew} ms");
    }
}
