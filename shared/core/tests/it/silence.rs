//! Who is silent is missed once, and nobody is who could not be heard.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input, Slice};
use rackwatch_core::ledger::Passed;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::START;

/// Devices of two agents, and one that nobody describes.
struct Site {
    engine: Engine,
    ms: u64,
}

fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

fn description(agent: &str) -> Description {
    Description {
        agent: agent.into(),
        role: Role::Cpu,
        interval: Duration::from_secs(1),
        ..Description::default()
    }
}

impl Site {
    fn new() -> Self {
        let mut engine = Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()));
        for (device, agent) in [("a-1", "alpha"), ("a-2", "alpha"), ("b-1", "beta")] {
            let described = Some(Box::new(description(agent)));
            engine.step([Input::Describe(id(device), described)]);
        }
        Self { engine, ms: START }
    }

    fn readings(&self, devices: &[&str]) -> Vec<Input> {
        let at = Timestamp::from_millis(self.ms).unwrap();
        let input = |device: &&str| Input::Reading {
            entry: StreamId {
                ms: self.ms,
                seq: 0,
            },
            by_agent: !device.starts_with("plain"),
            reading: Reading {
                device: id(device),
                at,
                value: Ok(Celsius::new(22.0).unwrap()),
            },
        };
        devices.iter().map(input).collect()
    }

    /// These say something each second for so long.
    fn hear(&mut self, devices: &[&str], seconds: u64) -> Vec<AlertRecord> {
        let mut said = Vec::new();
        for _ in 0..seconds {
            self.ms += 1000;
            said.extend(self.engine.step(self.readings(devices)).alerts);
        }
        said
    }

    fn wait(&mut self, seconds: u64) -> Vec<AlertRecord> {
        let mut said = Vec::new();
        for _ in 0..seconds {
            self.ms += 1000;
            let waited = Input::Waited(Duration::from_secs(1));
            said.extend(self.engine.step([waited]).alerts);
        }
        said
    }
}

fn names(records: &[AlertRecord]) -> Vec<(&str, AlertState, Severity)> {
    let name = |r: &AlertRecord| {
        assert_eq!(r.rule, "no_data");
        assert_eq!(r.temperature, None);
    };
    records.iter().for_each(name);
    let named = records.iter();
    named
        .map(|r| (r.device.as_str(), r.state, r.severity))
        .collect()
}

use AlertState::{Firing, Resolved};
use Severity::{Info, Warning};

#[test]
fn a_silent_agent_is_one_record_and_one_resolution() {
    let mut site = Site::new();
    assert_eq!(site.hear(&["a-1", "a-2", "b-1"], 30), []);
    let said = site.hear(&["b-1"], 90);
    assert_eq!(names(&said), [("agent:alpha", Firing, Warning)]);
    let after = said[0].at.since(said[0].started);
    assert!((60..=65).contains(&after.as_secs()), "{after:?}");
    let over = site.hear(&["a-1", "a-2", "b-1"], 90);
    assert_eq!(names(&over), [("agent:alpha", Resolved, Warning)]);
    assert_eq!(over[0].id, said[0].id);
    assert!(over[0].duration.unwrap() >= Duration::from_secs(90));
}

#[test]
fn a_silence_ends_with_the_last_device_of_its_agent() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    let said = site.hear(&["b-1"], 90);
    assert_eq!(names(&said), [("agent:alpha", Firing, Warning)]);
    let first = site.engine.step([Input::Describe(id("a-1"), None)]);
    assert_eq!(first.alerts, []);
    let last = site.engine.step([Input::Describe(id("a-2"), None)]);
    assert_eq!(names(&last.alerts), [("agent:alpha", Resolved, Warning)]);
    assert_eq!(last.alerts[0].id, said[0].id);
    assert!(last.alerts[0].duration.unwrap() >= Duration::from_secs(90));
    assert_eq!(site.engine.open(), 0);
    assert_eq!(site.hear(&["b-1"], 90), []);
}

#[test]
fn a_wrong_clock_ends_with_the_last_device_of_its_agent() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    let arrived = Timestamp::from_millis(site.ms).unwrap();
    let wrong = Input::Passed(Box::new(Passed {
        agent: "beta".to_owned(),
        seq: "r-1".parse().unwrap(),
        readings: 1,
        at: arrived,
        prev: None,
        gap: None,
        skew: Some(9_000),
        arrived,
    }));
    let said = site.engine.step([wrong]).alerts;
    assert_eq!(said[0].kind, AlertKind::ClockSkew);
    let over = site.engine.step([Input::Describe(id("b-1"), None)]).alerts;
    assert_eq!((over.len(), over[0].state), (1, Resolved));
    assert_eq!(over[0].id, said[0].id);
}

#[test]
fn a_silence_ends_when_all_its_devices_are_somebody_elses() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    site.hear(&["b-1"], 90);
    let renamed = |site: &mut Site, device| {
        let described = Some(Box::new(description("gamma")));
        site.engine
            .step([Input::Describe(id(device), described)])
            .alerts
    };
    assert_eq!(renamed(&mut site, "a-1"), []);
    let last = renamed(&mut site, "a-2");
    assert_eq!(names(&last), [("agent:alpha", Resolved, Warning)]);
    assert_eq!(site.engine.open(), 0);
}

#[test]
fn on_an_empty_stream_silence_is_waited_out() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    let said = site.wait(90);
    assert_eq!(
        names(&said),
        [
            ("agent:alpha", Firing, Warning),
            ("agent:beta", Firing, Warning)
        ]
    );
}

#[test]
fn a_device_of_an_agent_that_speaks_is_missed_itself() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2"], 30);
    let said = site.hear(&["a-1"], 90);
    assert_eq!(names(&said), [("a-2", Firing, Warning)]);
    let over = site.hear(&["a-1", "a-2"], 5);
    assert_eq!(names(&over), [("a-2", Resolved, Warning)]);
}

#[test]
fn a_device_that_does_not_come_back_with_its_agent_is_missed_then() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    site.hear(&["b-1"], 90);
    let said = site.hear(&["a-1", "b-1"], 120);
    assert_eq!(
        names(&said),
        [("agent:alpha", Resolved, Warning), ("a-2", Firing, Warning)]
    );
}

#[test]
fn a_gap_that_nobody_listened_through_is_nobodys_silence() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    // Redis or the collector was away for an hour; one agent comes back a little later.
    site.ms += 3_600_000;
    assert_eq!(site.hear(&["b-1"], 20), []);
    assert_eq!(site.hear(&["a-1", "b-1"], 120), []);
}

#[test]
fn who_says_that_he_leaves_is_only_noted_for_a_while() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    for device in ["a-1", "a-2"] {
        let leaving = Description {
            leaving: true,
            ..description("alpha")
        };
        let leaves = Input::Describe(id(device), Some(Box::new(leaving)));
        site.engine.step([leaves]);
    }
    let said = site.hear(&["b-1"], 600);
    assert_eq!(names(&said), [("agent:alpha", Firing, Info)]);
    let said = site.hear(&["b-1"], 900);
    assert_eq!(names(&said), [("agent:alpha", Firing, Warning)]);
    // Forgotten for good: nothing more is said of its devices.
    for device in ["a-1", "a-2"] {
        site.engine.step([Input::Describe(id(device), None)]);
    }
    assert_eq!(site.hear(&["b-1"], 600), []);
}

#[test]
fn a_plain_client_that_writes_now_and_then_is_not_missed() {
    let mut site = Site::new();
    for _ in 0..20 {
        // Every five minutes, beside others.
        site.hear(&["plain-1"], 1);
        assert_eq!(site.hear(&["b-1"], 299), []);
    }
    let said = site.hear(&["b-1"], 1200);
    assert_eq!(names(&said), [("plain-1", Firing, Warning)]);
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let mut site = Site::new();
    let mut said = site.hear(&["a-1", "a-2", "b-1"], 30);
    said.extend(site.hear(&["b-1"], 90));
    let through = StreamId {
        ms: site.ms,
        seq: 0,
    };
    let slices: Vec<Slice> = site.engine.snapshot(through).collect();
    let mut stored = Vec::new();
    let mut again = Site::new();
    again.ms = site.ms;
    again.engine = Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()));
    for slice in slices {
        let json = slice.to_json();
        assert!(
            again
                .engine
                .restore(Slice::from_json(json.as_bytes()).unwrap())
        );
    }
    for record in &said {
        stored.push(rackwatch_core::episode::Episode {
            id: record.id.clone(),
            device: record.device.clone(),
            rule: record.rule.clone(),
            kind: record.kind,
            started: record.started,
            severity: record.severity,
            threshold: record.threshold,
            temperature: Celsius::ZERO,
            at: record.at,
            rack: String::new(),
            u: None,
            role: record.role,
        });
    }
    again.engine.resume(stored, Vec::new());
    assert_eq!(again.hear(&["b-1"], 60), [], "it was said");
    let over = again.hear(&["a-1", "a-2", "b-1"], 10);
    assert_eq!(names(&over), [("agent:alpha", Resolved, Warning)]);
}

#[test]
fn a_silent_target_of_an_agent_that_speaks_is_one_record() {
    let mut site = Site::new();
    let all = ["bmc-1", "bmc-2", "bmc-3", "own-1"];
    for device in all {
        let target = device.split('-').next().unwrap();
        let described = Description {
            target: target.into(),
            ..description("gamma")
        };
        site.engine
            .step([Input::Describe(id(device), Some(Box::new(described)))]);
    }
    assert_eq!(site.hear(&all, 30), []);
    let said = site.hear(&["own-1"], 90);
    assert_eq!(names(&said), [("target:bmc", Firing, Warning)]);
    // The agent too, then: what was said of the target stays said.
    let said = site.wait(90);
    assert_eq!(names(&said), [("agent:gamma", Firing, Warning)]);
    let over = site.hear(&all, 90);
    assert_eq!(
        names(&over),
        [
            ("agent:gamma", Resolved, Warning),
            ("target:bmc", Resolved, Warning)
        ]
    );
}
