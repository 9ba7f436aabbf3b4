//! Absence is reported once, and only of devices that were heard before.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input, Slice};
use rackwatch_core::loss_ledger::ReportedSequence;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::START;

/// The devices of two agents, and an undescribed one.
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

    /// Reads these devices each second for `seconds`.
    fn hear(&mut self, devices: &[&str], seconds: u64) -> Vec<AlertRecord> {
        let mut reported = Vec::new();
        for _ in 0..seconds {
            self.ms += 1000;
            reported.extend(self.engine.step(self.readings(devices)).alerts);
        }
        reported
    }

    fn wait(&mut self, seconds: u64) -> Vec<AlertRecord> {
        let mut reported = Vec::new();
        for _ in 0..seconds {
            self.ms += 1000;
            let waited = Input::Waited(Duration::from_secs(1));
            reported.extend(self.engine.step([waited]).alerts);
        }
        reported
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
        .map(|r| (r.subject.as_str(), r.state(), r.severity))
        .collect()
}

use AlertState::{Firing, Resolved};
use Severity::{Info, Warning};

#[test]
fn an_absent_agent_is_one_alert_and_one_resolution() {
    let mut site = Site::new();
    assert_eq!(site.hear(&["a-1", "a-2", "b-1"], 30), []);
    let reported = site.hear(&["b-1"], 90);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Warning)]);
    let after = reported[0].at.since(reported[0].started);
    assert!((60..=65).contains(&after.as_secs()), "{after:?}");
    let resolved = site.hear(&["a-1", "a-2", "b-1"], 90);
    assert_eq!(names(&resolved), [("agent:alpha", Resolved, Warning)]);
    assert_eq!(resolved[0].id, reported[0].id);
    assert!(resolved[0].resolution.unwrap().duration >= Duration::from_secs(90));
}

#[test]
fn absence_ends_with_the_last_device_of_its_agent() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    let reported = site.hear(&["b-1"], 90);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Warning)]);
    let first = site.engine.step([Input::Describe(id("a-1"), None)]);
    assert_eq!(first.alerts, []);
    let last = site.engine.step([Input::Describe(id("a-2"), None)]);
    assert_eq!(names(&last.alerts), [("agent:alpha", Resolved, Warning)]);
    assert_eq!(last.alerts[0].id, reported[0].id);
    assert!(last.alerts[0].resolution.unwrap().duration >= Duration::from_secs(90));
    assert_eq!(site.engine.open(), 0);
    assert_eq!(site.hear(&["b-1"], 90), []);
}

#[test]
fn a_wrong_clock_ends_with_the_last_device_of_the_agent() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    let arrived = Timestamp::from_millis(site.ms).unwrap();
    let wrong = Input::Sequence(Box::new(ReportedSequence {
        agent: "beta".to_owned(),
        seq: "r-1".parse().unwrap(),
        readings: 1,
        at: arrived,
        prev: None,
        gap: None,
        skew: Some(9_000),
        arrived,
    }));
    let reported = site.engine.step([wrong]).alerts;
    assert_eq!(reported[0].kind(), AlertKind::ClockSkew);
    let resolved = site.engine.step([Input::Describe(id("b-1"), None)]).alerts;
    assert_eq!((resolved.len(), resolved[0].state()), (1, Resolved));
    assert_eq!(resolved[0].id, reported[0].id);
}

#[test]
fn absence_ends_when_all_devices_belong_to_another_agent() {
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
fn waiting_on_an_empty_stream_counts() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    let reported = site.wait(90);
    assert_eq!(
        names(&reported),
        [
            ("agent:alpha", Firing, Warning),
            ("agent:beta", Firing, Warning)
        ]
    );
}

#[test]
fn a_single_absent_device_has_its_own_alert() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2"], 30);
    let reported = site.hear(&["a-1"], 90);
    assert_eq!(names(&reported), [("a-2", Firing, Warning)]);
    let resolved = site.hear(&["a-1", "a-2"], 5);
    assert_eq!(names(&resolved), [("a-2", Resolved, Warning)]);
}

#[test]
fn a_device_that_does_not_return_with_its_agent_is_reported_then() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    site.hear(&["b-1"], 90);
    let reported = site.hear(&["a-1", "b-1"], 120);
    assert_eq!(
        names(&reported),
        [("agent:alpha", Resolved, Warning), ("a-2", Firing, Warning)]
    );
}

#[test]
fn a_gap_without_a_listener_is_no_absence() {
    let mut site = Site::new();
    site.hear(&["a-1", "b-1"], 30);
    // Redis or the collector was away for an hour; one agent returns a little later.
    site.ms += 3_600_000;
    assert_eq!(site.hear(&["b-1"], 20), []);
    assert_eq!(site.hear(&["a-1", "b-1"], 120), []);
}

#[test]
fn a_clean_shutdown_is_an_info_during_the_grace_period() {
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
    let reported = site.hear(&["b-1"], 600);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Info)]);
    let reported = site.hear(&["b-1"], 900);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Warning)]);
    // Forgotten for good: its devices are reported no more.
    for device in ["a-1", "a-2"] {
        site.engine.step([Input::Describe(id(device), None)]);
    }
    assert_eq!(site.hear(&["b-1"], 600), []);
}

#[test]
fn a_plain_client_that_writes_rarely_is_not_absent() {
    let mut site = Site::new();
    for _ in 0..20 {
        // Every five minutes, beside others.
        site.hear(&["plain-1"], 1);
        assert_eq!(site.hear(&["b-1"], 299), []);
    }
    let reported = site.hear(&["b-1"], 1200);
    assert_eq!(names(&reported), [("plain-1", Firing, Warning)]);
}

#[test]
fn a_restart_neither_repeats_nor_forgets_an_absence() {
    let mut site = Site::new();
    let mut reported = site.hear(&["a-1", "a-2", "b-1"], 30);
    reported.extend(site.hear(&["b-1"], 90));
    let through = StreamId {
        ms: site.ms,
        seq: 0,
    };
    let slices: Vec<Slice> = site.engine.snapshot(through).collect();
    let mut episodes = Vec::new();
    let mut again = Site::new();
    again.ms = site.ms;
    again.engine = Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()));
    for slice in slices {
        let json = stored::encode(&slice);
        again
            .engine
            .restore(stored::decode::<Slice>(json.as_bytes()).unwrap());
    }
    for record in &reported {
        episodes.push(rackwatch_core::episode::Episode {
            id: record.id.clone(),
            subject: record.subject.clone(),
            rule: record.rule.clone(),
            kind: record.kind(),
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
    again.engine.resume(episodes, Vec::new());
    assert_eq!(again.hear(&["b-1"], 60), [], "already reported");
    let resolved = again.hear(&["a-1", "a-2", "b-1"], 10);
    assert_eq!(names(&resolved), [("agent:alpha", Resolved, Warning)]);
}

#[test]
fn an_absent_target_of_a_present_agent_is_one_alert() {
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
    let reported = site.hear(&["own-1"], 90);
    assert_eq!(names(&reported), [("target:bmc", Firing, Warning)]);
    // Then the agent is absent too; the alert of the target stays open.
    let reported = site.wait(90);
    assert_eq!(names(&reported), [("agent:gamma", Firing, Warning)]);
    let resolved = site.hear(&all, 90);
    assert_eq!(
        names(&resolved),
        [
            ("agent:gamma", Resolved, Warning),
            ("target:bmc", Resolved, Warning)
        ]
    );
}

/// Describes a device of agent gamma behind this target; an empty one for the agent's own.
fn describe_behind(site: &mut Site, device: &str, target: &str) {
    let described = Description {
        target: target.into(),
        ..description("gamma")
    };
    let described = Some(Box::new(described));
    site.engine.step([Input::Describe(id(device), described)]);
}

#[test]
fn the_only_device_of_a_target_and_one_of_several_have_alerts_of_their_own() {
    let mut site = Site::new();
    let all = ["bmc-1", "bmc-2", "lone-1", "own-1"];
    for (device, target) in all.into_iter().zip(["bmc", "bmc", "lone", ""]) {
        describe_behind(&mut site, device, target);
    }
    assert_eq!(site.hear(&all, 30), []);
    let reported = site.hear(&["bmc-2", "own-1"], 90);
    assert_eq!(
        names(&reported),
        [("bmc-1", Firing, Warning), ("lone-1", Firing, Warning)]
    );
}

#[test]
fn an_absent_agent_covers_its_targets() {
    let mut site = Site::new();
    let all = ["bmc-1", "bmc-2", "lone-1", "own-1"];
    for (device, target) in all.into_iter().zip(["bmc", "bmc", "lone", ""]) {
        describe_behind(&mut site, device, target);
    }
    assert_eq!(site.hear(&all, 30), []);
    assert_eq!(
        names(&site.wait(90)),
        [("agent:gamma", Firing, Warning)],
        "one problem, one alert"
    );
}

#[test]
fn a_device_that_leaves_alone_is_an_info_until_the_grace_period_is_over() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2"], 30);
    let leaving = Description {
        leaving: true,
        ..description("alpha")
    };
    let leaving = Input::Describe(id("a-2"), Some(Box::new(leaving)));
    site.engine.step([leaving]);
    let reported = site.hear(&["a-1"], 1_100);
    assert_eq!(names(&reported), [("a-2", Firing, Info)]);
    let reported = site.hear(&["a-1"], 200);
    assert_eq!(names(&reported), [("a-2", Firing, Warning)]);
}

/// An agent that returns reads its devices one after the other: those that are still missing get the time of the
/// rule again, and no other device does.
#[test]
fn devices_of_an_agent_that_returns_are_counted_anew_and_those_of_others_are_not() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    site.hear(&["b-1"], 90);
    // b-1 falls silent half a minute before alpha returns.
    site.wait(30);
    let reported = site.hear(&["a-1"], 50);
    assert_eq!(
        names(&reported),
        [
            ("agent:alpha", Resolved, Warning),
            ("agent:beta", Firing, Warning)
        ]
    );
    assert_eq!(
        names(&site.hear(&["a-1", "a-2"], 90)),
        [],
        "a-2 returned in time"
    );
}

#[test]
fn devices_of_a_target_that_returns_are_counted_anew_and_those_of_others_are_not() {
    let mut site = Site::new();
    let all = ["bmc-1", "bmc-2", "other-1", "other-2", "own-1"];
    for (device, target) in all.into_iter().zip(["bmc", "bmc", "other", "other", ""]) {
        describe_behind(&mut site, device, target);
    }
    site.hear(&all, 30);
    let reported = site.hear(&["other-1", "other-2", "own-1"], 90);
    assert_eq!(names(&reported), [("target:bmc", Firing, Warning)]);
    site.hear(&["own-1"], 30);
    let reported = site.hear(&["bmc-1", "own-1"], 50);
    assert_eq!(
        names(&reported),
        [
            ("target:bmc", Resolved, Warning),
            ("target:other", Firing, Warning)
        ]
    );
    assert_eq!(
        names(&site.hear(&["bmc-1", "bmc-2", "own-1"], 90)),
        [],
        "bmc-2 returned in time"
    );
}

#[test]
fn a_plain_client_that_wrote_once_has_no_rhythm_and_is_never_absent() {
    let mut site = Site::new();
    site.hear(&["plain-1", "b-1"], 1);
    assert_eq!(site.hear(&["b-1"], 7_200), []);
}

#[test]
fn a_plain_client_is_absent_after_three_of_its_longest_pauses() {
    let mut site = Site::new();
    for _ in 0..3 {
        site.hear(&["plain-1", "b-1"], 1);
        site.hear(&["b-1"], 599);
    }
    site.hear(&["plain-1", "b-1"], 1);
    assert_eq!(site.hear(&["b-1"], 1_750), []);
    let reported = site.hear(&["b-1"], 100);
    assert_eq!(names(&reported), [("plain-1", Firing, Warning)]);
}

#[test]
fn one_long_pause_of_a_plain_client_is_forgotten() {
    let mut site = Site::new();
    site.hear(&["plain-1", "b-1"], 2);
    site.hear(&["b-1"], 3_600);
    site.hear(&["plain-1", "b-1"], 60);
    let reported = site.hear(&["b-1"], 90);
    assert_eq!(
        names(&reported),
        [("plain-1", Firing, Warning)],
        "not after three hours"
    );
}

/// Its agent wrote descriptions when it started; readings follow.
#[test]
fn an_agent_that_is_back_has_the_time_of_the_rule_for_its_first_reading() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2", "b-1"], 30);
    let describe = |site: &mut Site, leaving| {
        for device in ["a-1", "a-2"] {
            let described = Description {
                leaving,
                ..description("alpha")
            };
            let described = Some(Box::new(described));
            site.engine.step([Input::Describe(id(device), described)]);
        }
    };
    describe(&mut site, true);
    let reported = site.hear(&["b-1"], 600);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Info)]);
    describe(&mut site, false);
    assert_eq!(site.hear(&["b-1"], 55), []);
    let reported = site.hear(&["b-1"], 15);
    assert_eq!(names(&reported), [("agent:alpha", Firing, Warning)]);
}

#[test]
fn another_description_does_not_put_off_an_absence() {
    let mut site = Site::new();
    site.hear(&["a-1", "a-2"], 30);
    site.hear(&["a-1"], 50);
    let moved = Description {
        rack: Some("R2".into()),
        ..description("alpha")
    };
    let moved = Input::Describe(id("a-2"), Some(Box::new(moved)));
    assert_eq!(site.engine.step([moved]).alerts, []);
    let reported = site.hear(&["a-1"], 15);
    assert_eq!(names(&reported), [("a-2", Firing, Warning)]);
}
