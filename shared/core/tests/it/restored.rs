//! State of a restored device: after each kind of past, the rest is reported as without a restart.

use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, EndedBy};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Effects, Engine, EpisodeChange, Input, Slice};
use rackwatch_core::episode::Episode;
use rackwatch_core::partition::Partitions;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::rules::{RuleSet, parse};
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, reading};

const CPU: &str = "cpu-h1-1";
const PLAIN: &str = "inlet-R1-1";

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

fn description() -> Description {
    Description {
        agent: "host1".into(),
        target: "bmc".into(),
        role: Role::Cpu,
        interval: Duration::from_secs(10),
        limits: rackwatch_core::device::HardwareLimits {
            high_critical: Some(Celsius::new(90.0).unwrap()),
            ..Default::default()
        },
        ..Description::default()
    }
}

/// Returns the input of an entry that arrives at `second` with this reading.
fn arrives(second: u64, reading: Reading) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: reading.device.as_str() == CPU,
        reading,
    }
}

fn temperature(device: &str, second: u64, degrees: f64) -> Input {
    arrives(second, reading(device, second, degrees))
}

fn fault(second: u64) -> Input {
    let mut reading = reading(CPU, second, 22.0);
    reading.value = Err(Fault::TIMEOUT);
    arrives(second, reading)
}

fn open(effects: &Effects) -> Vec<Episode> {
    let mut open: Vec<Episode> = Vec::new();
    for change in &effects.episodes {
        match change {
            EpisodeChange::Open(episode) => open.push((**episode).clone()),
            EpisodeChange::Close { subject, rule } => {
                open.retain(|known| (&known.subject, &known.rule) != (subject, rule));
            }
        }
    }
    open
}

fn through_json(engine: &Engine, second: u64) -> Vec<Slice> {
    let through = StreamId {
        ms: START + second * 1000,
        seq: 0,
    };
    let decoded = |slice| stored::decode(stored::encode(&slice).as_bytes()).unwrap();
    engine.snapshot(through).map(decoded).collect()
}

/// Checks that an engine that is saved and restored between the inputs goes on as one that is not. Returns what it
/// does then.
fn goes_on(before: Vec<Input>, after: Vec<Input>) -> Effects {
    let mut whole = engine();
    whole.step([Input::Describe(id(CPU), Some(Box::new(description())))]);
    let past = whole.step(before);
    let mut again = engine();
    for slice in through_json(&whole, 1_000_000) {
        assert_eq!(again.restore(slice).iter().count(), 0);
    }
    again.resume(open(&past), Vec::new());
    let effects = whole.step(after.clone());
    assert_eq!(again.step(after), effects);
    effects
}

#[test]
fn a_reading_from_before_the_restart_is_known() {
    let before = (0..60).map(|s| temperature(PLAIN, s, 22.0)).collect();
    let effects = goes_on(before, vec![arrives(60, reading(PLAIN, 59, 22.0))]);
    assert_eq!((effects.tally.duplicate, effects.tally.evaluated), (1, 0));
}

#[test]
fn the_rate_of_an_alert_reaches_back_before_the_restart() {
    let before = (0..30).map(|n| temperature(CPU, n * 10, 80.0)).collect();
    let after = (30..37).map(|n| temperature(CPU, n * 10, 95.0)).collect();
    let alerts = goes_on(before, after).alerts;
    assert_eq!(alerts[0].kind(), AlertKind::HighTemp);
    let rate = alerts[0].rate.unwrap();
    assert!(
        (5.0..15.0).contains(&rate),
        "15 K within two minutes, not {rate} K/min"
    );
}

#[test]
fn a_clock_that_was_set_back_is_noticed_across_the_restart() {
    let behind = |s: u64| arrives(s, reading(PLAIN, s - 3_600, 22.0));
    let mut before: Vec<_> = (3_600..3_660)
        .map(|s| temperature(PLAIN, s, 22.0))
        .collect();
    before.extend([behind(3_660), behind(3_666)]);
    let alerts = goes_on(before, vec![behind(3_672)]).alerts;
    assert_eq!(alerts[0].kind(), AlertKind::ClockSkew);
}

#[test]
fn absence_is_counted_across_the_restart() {
    // The agent's device is read all the time, so that time is known to pass.
    let tick = |second: u64| {
        let is_written = second.is_multiple_of(400) && second <= 1_200;
        let plain = is_written.then(|| temperature(PLAIN, second, 22.0));
        [temperature(CPU, second, 50.0)].into_iter().chain(plain)
    };
    let before = (0..1_700).step_by(10).flat_map(tick).collect();
    let after = (1_700..2_700).step_by(10).flat_map(tick).collect();
    let alerts = goes_on(before, after).alerts;
    let [absent] = alerts.as_slice() else {
        panic!("{alerts:?}")
    };
    assert_eq!(absent.kind(), AlertKind::NoData);
    // Three pauses of 400 s after the last reading.
    let after = absent.at.since(absent.started).as_secs();
    assert!((1_200..=1_210).contains(&after), "{after} s");
}

#[test]
fn a_target_that_fails_is_counted_across_the_restart() {
    let mut before: Vec<_> = (0..5).map(|n| temperature(CPU, n * 10, 50.0)).collect();
    before.extend((5..9).map(|n| fault(n * 10)));
    let alerts = goes_on(before, (9..13).map(|n| fault(n * 10)).collect()).alerts;
    assert_eq!(alerts[0].kind(), AlertKind::SensorFault);
    let started = Timestamp::from_millis(START + 50_000).unwrap();
    assert_eq!(alerts[0].started, started, "the first failure");
}

#[test]
fn an_open_alert_about_a_clock_ends_after_the_restart() {
    let at = |s: u64| Timestamp::from_millis(START + s * 1000).unwrap();
    let mut before: Vec<_> = (0..20).map(|s| temperature(PLAIN, s, 22.0)).collect();
    before.push(Input::ClientClock(id(PLAIN), at(20), 7));
    let after = vec![Input::ClientClock(id(PLAIN), at(30), 0)];
    let alerts = goes_on(before, after).alerts;
    assert_eq!(alerts.len(), 1);
    let (kind, state) = (alerts[0].kind(), alerts[0].state());
    assert_eq!((kind, state), (AlertKind::ClockSkew, AlertState::Resolved));
}

/// After a crash while slices were written, a device may be in an old slice and in a new one.
#[test]
fn of_two_slices_with_the_same_device_the_younger_counts() {
    let mut before = engine();
    before.step((0..10).map(|s| temperature(PLAIN, s, 22.0)));
    let older = through_json(&before, 9);
    before.step((10..20).map(|s| temperature(PLAIN, s, 22.0)));
    let younger = through_json(&before, 19);
    for slices in [[&older, &younger], [&younger, &older]] {
        let mut after = engine();
        for slice in slices.into_iter().flatten() {
            after.restore(slice.clone());
        }
        after.resume(Vec::new(), Vec::new());
        let tally = after.step([arrives(20, reading(PLAIN, 19, 22.0))]).tally;
        assert_eq!(
            (tally.duplicate, tally.evaluated),
            (1, 0),
            "knows second 19"
        );
    }
}

/// There is a device for each sensor of a site, saved every 30 seconds.
#[test]
fn a_healthy_device_saves_nothing_about_trouble() {
    let mut engine = engine();
    engine.step([Input::Describe(id(CPU), Some(Box::new(description())))]);
    engine.step((0..60).map(|n| temperature(CPU, n * 10, 50.0)));
    let json = stored::encode(&engine.snapshot(StreamId::ZERO).next().unwrap());
    for member in ["clock", "pause", "fail", "open", "agents", "behind"] {
        assert!(
            !json.contains(&format!("\"{member}\":")),
            "{member}: {json}"
        );
    }
}

#[test]
fn saved_devices_follow_their_zone_to_another_partition() {
    let mut engine = engine();
    let zones = ["hall-a", "hall-b", "hall-c", "hall-d"];
    for (n, zone) in zones.into_iter().enumerate() {
        let described = Description {
            zone: zone.into(),
            ..description()
        };
        let device = id(&format!("cpu-h{n}-1"));
        engine.step([Input::Describe(device, Some(Box::new(described)))]);
    }
    let partitions = Partitions::new(8).unwrap();
    let slice = engine.snapshot(StreamId::ZERO).next().unwrap();
    let parts = slice.split(partitions);
    let mut expected: Vec<_> = zones.map(|zone| partitions.of_zone(zone)).into();
    expected.sort_unstable();
    expected.dedup();
    let found: Vec<_> = parts.keys().copied().collect();
    assert_eq!(found, expected);
    assert!(expected.len() > 1, "the zones are in several partitions");
}

/// Restores an engine under other rules, with its open episodes. Returns what the inputs then do.
fn under(rules: &str, before: Vec<Input>, after: Vec<Input>) -> Vec<AlertRecord> {
    let mut first = engine();
    first.step([Input::Describe(id(CPU), Some(Box::new(description())))]);
    let past = first.step(before);
    let rules = RuleSet::only(&parse(rules).unwrap()).unwrap();
    let mut again = Engine::new(rules.into());
    for slice in through_json(&first, 1_000_000) {
        again.restore(slice);
    }
    again.resume(open(&past), Vec::new());
    again.step(after).alerts
}

#[test]
fn an_end_by_another_rule_differs_from_one_by_readings() {
    let ended_by = |rules: &str, before: Vec<Input>, after| {
        let ended = under(rules, before, vec![after]);
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended[0].resolution.unwrap().ended_by
    };
    // A sensor that can be read again can be, whatever the rule.
    let mut failing: Vec<_> = (0..5).map(|n| temperature(CPU, n * 10, 50.0)).collect();
    failing.extend((5..15).map(|n| {
        let mut reading = reading(CPU, n * 10, 22.0);
        reading.value = Err(Fault::NO_READING);
        arrives(n * 10, reading)
    }));
    let faults = "[[rules]]\ntype = 'sensor_fault'\nwarning = 'on'\nfor = '30s'";
    let good = temperature(CPU, 200, 50.0);
    assert_eq!(ended_by(faults, failing, good), EndedBy::Readings);
    // The windows of a swing start cold: that none is found says nothing.
    let spike = "[[rules]]\ntype = 'spike'\nwarning = { by = 4.0, within = '15m' }";
    let mut jump: Vec<_> = (0..10).map(|n| temperature(PLAIN, n * 10, 20.0)).collect();
    jump.push(temperature(PLAIN, 100, 25.5));
    let next = temperature(PLAIN, 110, 25.5);
    assert_eq!(ended_by(spike, jump, next), EndedBy::RuleChange);
}

#[test]
fn an_episode_whose_rule_is_gone_ends_with_the_temperature_last_read() {
    let hot = vec![temperature(PLAIN, 0, 30.0)];
    let rules = "[[rules]]\ntype = 'low_temp'\nwarning = 5.0";
    let ended = under(rules, hot, Vec::new());
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].temperature, Celsius::new(30.0).ok());
    let resolution = ended[0].resolution.unwrap();
    assert_eq!(resolution.ended_by, EndedBy::RuleChange);
}
