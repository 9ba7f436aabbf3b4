//! Alerts of single sensors under the default rules.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Role};
use rackwatch_core::engine::{Engine, EpisodeChange, Input};
use rackwatch_core::loss_ledger::ReportedSequence;
use rackwatch_core::rules::{RuleSet, parse};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, entry, input, inputs, reading};

fn evaluate(readings: &[(u64, f64)]) -> Vec<AlertRecord> {
    let readings: Vec<_> = readings
        .iter()
        .map(|(second, t)| reading("inrow-ABC-1", *second, *t))
        .collect();
    engine().step(inputs(&readings)).alerts
}

fn of(kind: AlertKind, records: &[AlertRecord]) -> Vec<(AlertState, Severity, f64)> {
    let of_kind = records.iter().filter(|record| record.kind() == kind);
    of_kind
        .map(|record| (record.state(), record.severity, record.threshold))
        .collect()
}

#[test]
fn a_limit_alerts_once_again_when_worse_and_once_when_resolved() {
    use AlertState::{Firing, Resolved};
    use Severity::{Critical, Warning};
    let records = evaluate(&[(0, 30.2), (10, 33.0), (20, 24.0)]);
    let reported = of(AlertKind::HighTemp, &records);
    assert_eq!(
        reported,
        [
            (Firing, Warning, 28.0),
            (Firing, Critical, 32.0),
            (Resolved, Critical, 28.0)
        ]
    );
    let resolved = records
        .iter()
        .rfind(|r| r.kind() == AlertKind::HighTemp)
        .unwrap();
    let resolution = resolved.resolution.unwrap();
    assert_eq!(resolution.peak, Some(Celsius::new(33.0).unwrap()));
    assert_eq!(resolution.duration, Duration::from_secs(20));
    assert_eq!(resolved.rack, "ABC");
    let ids: Vec<_> = records
        .iter()
        .filter(|r| r.kind() == AlertKind::HighTemp)
        .map(|r| &r.id)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn forty_readings_above_a_limit_are_one_record() {
    let readings: Vec<_> = (0..40u32)
        .map(|n| (u64::from(n), 30.0 + f64::from(n) * 0.01))
        .collect();
    assert_eq!(evaluate(&readings).len(), 1);
}

#[test]
fn a_jump_is_a_spike_its_mirror_image_a_drop_and_a_slow_climb_neither() {
    let up = evaluate(&[(0, 21.0), (60, 21.0), (120, 27.0), (180, 27.0)]);
    assert_eq!(
        of(AlertKind::Spike, &up),
        [(AlertState::Firing, Severity::Warning, 5.0)]
    );
    assert_eq!(of(AlertKind::Drop, &up), []);
    let down = evaluate(&[(0, 27.0), (60, 27.0), (120, 21.0), (180, 21.0)]);
    assert_eq!(
        of(AlertKind::Drop, &down),
        [(AlertState::Firing, Severity::Warning, 5.0)]
    );
    assert_eq!(of(AlertKind::Spike, &down), []);
    let climb: Vec<_> = (0..=360u32)
        .map(|m| (u64::from(m) * 60, 21.0 + f64::from(m) / 60.0))
        .collect();
    assert_eq!(evaluate(&climb), []);
}

#[test]
fn a_spike_is_held_open_for_a_quarter_of_an_hour() {
    let mut readings = vec![(0, 21.0), (60, 26.5)];
    readings.extend((2..60).map(|m| (m * 60, 26.5)));
    let records = evaluate(&readings);
    assert_eq!(records.len(), 2, "{records:#?}");
    let resolved = &records[1];
    assert_eq!(resolved.state(), AlertState::Resolved);
    // The window forgets the lower level after 13.5 to 15 minutes, then it is held for 15 more.
    let took = resolved.at.since(records[0].at).as_secs() / 60;
    assert!((28..=29).contains(&took), "{took} minutes");
}

fn describe(device: &str, description: Description) -> Input {
    Input::Describe(DeviceId::new(device).unwrap(), Some(Box::new(description)))
}

fn by_agent(n: usize, device: &str, degrees: f64) -> Input {
    Input::Reading {
        entry: entry(n),
        by_agent: true,
        reading: reading(device, n as u64, degrees),
    }
}

#[test]
fn the_role_decides_and_without_one_an_agents_device_is_not_evaluated() {
    let mut engine = engine();
    let cpu = Description {
        role: Role::Cpu,
        ..Description::default()
    };
    let effects = engine.step([
        describe("cpu-host1-1", cpu),
        by_agent(0, "cpu-host1-1", 65.0),
        by_agent(0, "inlet-R1-1", 65.0),
    ]);
    assert_eq!(effects.alerts, []);
    assert_eq!((effects.tally.evaluated, effects.tally.undescribed), (1, 1));
    // Once described, it is evaluated from the next reading on.
    let inlet = Description {
        role: Role::Inlet,
        ..Description::default()
    };
    let effects = engine.step([
        describe("inlet-R1-1", inlet),
        by_agent(1, "inlet-R1-1", 65.0),
    ]);
    assert_eq!(of(AlertKind::HighTemp, &effects.alerts).len(), 1);
}

#[test]
fn hardware_limits_tighten_ours_and_never_loosen_them() {
    let inlet = |critical| Description {
        role: Role::Inlet,
        limits: HardwareLimits {
            high_critical: Some(Celsius::new(critical).unwrap()),
            ..HardwareLimits::default()
        },
        ..Description::default()
    };
    let worst = |critical, degrees| {
        let inputs = [
            describe("inlet-R1-1", inlet(critical)),
            by_agent(0, "inlet-R1-1", degrees),
        ];
        engine()
            .step(inputs)
            .alerts
            .first()
            .map(|record| (record.severity, record.threshold))
    };
    assert_eq!(worst(42.0, 33.0), Some((Severity::Critical, 32.0)));
    assert_eq!(worst(30.0, 31.0), Some((Severity::Critical, 30.0)));
}

#[test]
fn a_components_own_limit_lasts_as_long_as_its_hardware_reports() {
    let after = |role, lasting| {
        let mut engine = engine();
        let described = Description {
            role,
            limits: HardwareLimits {
                high_critical: Some(Celsius::new(30.0).unwrap()),
                lasting,
                ..HardwareLimits::default()
            },
            ..Description::default()
        };
        engine.step([describe("x-h-1", described)]);
        let alerts = |n: &usize| !engine.step([by_agent(*n, "x-h-1", 31.0)]).alerts.is_empty();
        (0..1_000).find(alerts)
    };
    let of = Duration::from_secs;
    assert_eq!(after(Role::Disk, of(300)), Some(300));
    assert_eq!(
        after(Role::Disk, of(10)),
        Some(60),
        "never sooner than the default"
    );
    assert_eq!(
        after(Role::Disk, of(601)),
        Some(60),
        "an implausible time is ignored"
    );
    assert_eq!(
        after(Role::Inlet, of(300)),
        Some(0),
        "air has limits of its own"
    );
}

#[test]
fn a_components_own_limit_alerts_after_a_minute() {
    let mut engine = engine();
    let disk = Description {
        role: Role::Disk,
        limits: HardwareLimits {
            high_critical: Some(Celsius::new(70.0).unwrap()),
            ..HardwareLimits::default()
        },
        ..Description::default()
    };
    let mut inputs = vec![describe("disk-h-1", disk)];
    inputs.extend((0..60).map(|n| by_agent(n, "disk-h-1", 75.0)));
    assert_eq!(engine.step(inputs).alerts, []);
    let records = engine.step([by_agent(60, "disk-h-1", 75.0)]).alerts;
    assert_eq!(
        of(AlertKind::HighTemp, &records),
        [(AlertState::Firing, Severity::Critical, 70.0)]
    );
    assert_eq!(
        records[0].at.since(records[0].started),
        Duration::from_secs(60)
    );
}

#[test]
fn own_rules_override_the_defaults_key_by_key() {
    let own = parse("[[rules]]\ntype = 'high_temp'\nrack = ['AB*']\nwarning = 25.0").unwrap();
    let rules = Arc::new(RuleSet::with_defaults(&own).unwrap());
    let mut engine = Engine::new(rules);
    let first = engine.step([input(0, &reading("inrow-ABC-1", 0, 26.0))]);
    assert_eq!(
        of(AlertKind::HighTemp, &first.alerts),
        [(AlertState::Firing, Severity::Warning, 25.0)]
    );
    let second = engine.step([input(1, &reading("inrow-ABC-1", 1, 33.0))]);
    assert_eq!(
        of(AlertKind::HighTemp, &second.alerts),
        [(AlertState::Firing, Severity::Critical, 32.0)]
    );
    let other = engine.step([input(2, &reading("inrow-XYZ-1", 2, 26.0))]);
    assert_eq!(other.alerts, []);
}

#[test]
fn a_start_without_a_rule_ends_its_episodes() {
    let mut before = engine();
    let opened = before.step([input(0, &reading("inrow-ABC-1", 0, 30.0))]);
    let open = opened.episodes.into_iter().map(|change| match change {
        EpisodeChange::Open(episode) => *episode,
        EpisodeChange::Close { subject, rule } => panic!("{rule} ended on {subject}"),
    });
    let mut after = Engine::new(Arc::new(RuleSet::only(&[]).unwrap()));
    for slice in before.snapshot(entry(1)) {
        after.restore(slice);
    }
    after.resume(open.collect(), Vec::new());
    let effects = after.step([]);
    assert_eq!(
        of(AlertKind::HighTemp, &effects.alerts),
        [(AlertState::Resolved, Severity::Warning, 28.0)]
    );
    assert_eq!(effects.episodes.len(), 1);
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

/// Returns one reading a second by Redis' clock, `back` seconds behind it.
fn by_clock(entries: std::ops::Range<u64>, back: u64, degrees: f64) -> Vec<Input> {
    let one = |second: u64| Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: false,
        reading: reading("inrow-ABC-1", second - back, degrees),
    };
    entries.map(one).collect()
}

#[test]
fn a_clock_that_was_set_back_leaves_no_sensor_unwatched() {
    let mut engine = engine();
    assert_eq!(engine.step(by_clock(10_000..10_060, 0, 22.0)).alerts, []);
    // An hour back, and 33 degrees from then on.
    let reported = engine.step(by_clock(10_060..10_075, 3600, 33.0)).alerts;
    let skew = reported
        .iter()
        .find(|r| r.kind() == AlertKind::ClockSkew)
        .unwrap();
    assert_eq!(skew.severity, Severity::Warning);
    assert_eq!(
        skew.detail.extras().skew_ms,
        Some(-3_600_000),
        "by Redis' clock"
    );
    assert_eq!(
        of(AlertKind::HighTemp, &reported).len(),
        1,
        "evaluated again within seconds"
    );
    assert_eq!(of(AlertKind::Spike, &reported), [], "windows start cold");
    let later = engine.step(by_clock(10_075..12_000, 3600, 33.0)).alerts;
    let states = of(AlertKind::ClockSkew, &later);
    assert_eq!(
        states,
        [(AlertState::Firing, Severity::Critical, 0.0)],
        "alerts of the past send no notification, and that does not pass"
    );
    assert_eq!(later.len(), 1);
    let right = engine.step(by_clock(12_000..12_010, 0, 33.0)).alerts;
    assert_eq!(
        of(AlertKind::ClockSkew, &right),
        [(AlertState::Resolved, Severity::Critical, 0.0)]
    );
}

#[test]
fn a_clock_that_was_set_back_a_little_is_forgiven_after_a_while() {
    let mut engine = engine();
    engine.step(by_clock(10_000..10_060, 0, 22.0));
    let reported = engine.step(by_clock(10_060..10_090, 100, 22.0)).alerts;
    let fired = (AlertState::Firing, Severity::Warning, 0.0);
    assert_eq!(of(AlertKind::ClockSkew, &reported), [fired]);
    let later = engine.step(by_clock(10_090..11_100, 100, 22.0)).alerts;
    let resolved = (AlertState::Resolved, Severity::Warning, 0.0);
    assert_eq!(
        of(AlertKind::ClockSkew, &later),
        [resolved],
        "after 15 minutes"
    );
}

/// A sensor that was only ever read late: a plain client whose clock is behind.
#[test]
fn readings_that_keep_arriving_late_are_a_critical_alert_and_a_backlog_is_not() {
    let mut engine = engine();
    let reported = engine.step(by_clock(10_000..10_061, 3600, 33.0)).alerts;
    let [record] = &reported
        .iter()
        .filter(|record| record.kind() == AlertKind::ClockSkew)
        .collect::<Vec<_>>()[..]
    else {
        panic!("one alert: {reported:?}");
    };
    assert_eq!(record.severity, Severity::Critical);
    assert_eq!(
        record.at,
        at(10_060),
        "of the time of arrival, so that it is news"
    );
    let reason = record.detail.extras().reason.unwrap();
    assert!(reason.contains("arrive 1h late"), "{reason}");
    // The same sensor after an outage: two seconds' readings a second, until they are caught up.
    let mut engine = self::engine();
    let backlog = (0..3600u64).map(|n| Input::Reading {
        entry: StreamId {
            ms: START + 20_000_000 + n * 500,
            seq: 0,
        },
        by_agent: false,
        reading: reading("inrow-ABC-1", 18_200 + n, 22.0),
    });
    assert_eq!(engine.step(backlog).alerts, []);
}

/// Its readings come corrected, and the alert says so.
#[test]
fn a_plain_clients_clock_that_is_ahead_is_one_alert_until_it_is_right() {
    let mut engine = engine();
    let device = DeviceId::new("inrow-ABC-1").unwrap();
    let clock = |second, ahead| Input::ClientClock(device.clone(), at(second), ahead);
    engine.step(by_clock(10_000..10_002, 0, 22.0));
    let mut reported = Vec::new();
    for second in 10_002..10_010 {
        reported.extend(engine.step([clock(second, 3600)]).alerts);
        reported.extend(engine.step(by_clock(second..second + 1, 0, 22.0)).alerts);
    }
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].detail.extras().skew_ms, Some(3_600_000));
    let right = engine.step([clock(10_010, 0)]).alerts;
    assert_eq!(right[0].state(), AlertState::Resolved);
    assert_eq!(right[0].id, reported[0].id);
}

#[test]
fn an_episode_goes_on_over_a_clock_that_was_set_back_and_forward() {
    let mut engine = engine();
    let mut reported = engine.step(by_clock(10_000..10_010, 0, 30.0)).alerts;
    reported.extend(engine.step(by_clock(10_010..10_040, 60, 30.0)).alerts);
    reported.extend(engine.step(by_clock(10_040..10_050, 0, 22.0)).alerts);
    let kinds: Vec<_> = reported
        .iter()
        .filter(|record| record.kind() != AlertKind::Drop)
        .map(|record| (record.kind(), record.state()))
        .collect();
    assert_eq!(
        kinds,
        [
            (AlertKind::HighTemp, AlertState::Firing),
            (AlertKind::ClockSkew, AlertState::Firing),
            (AlertKind::ClockSkew, AlertState::Resolved),
            (AlertKind::HighTemp, AlertState::Resolved),
        ]
    );
}

#[test]
fn a_backlog_and_repeated_readings_are_not_a_clock_skew() {
    let mut engine = engine();
    let live = by_clock(10_000..10_060, 0, 22.0);
    engine.step(live.clone());
    // The last minute once more, and a backlog of ten minutes within twenty seconds.
    let mut again = live;
    for (n, input) in (0..).zip(
        again
            .iter_mut()
            .chain(&mut by_clock(10_000..10_600, 600, 22.0)),
    ) {
        if let Input::Reading { entry, .. } = input {
            entry.ms = START + 10_060_000 + n * 33;
        }
    }
    assert_eq!(engine.step(again).alerts, []);
}

#[test]
fn a_wrong_clock_of_an_agent_is_reported_once_across_a_restart() {
    let reports = |n: u64, skew| {
        Input::Sequence(Box::new(ReportedSequence {
            agent: "node7".to_owned(),
            seq: format!("r-{n}").parse().unwrap(),
            readings: 1,
            at: at(n),
            prev: None,
            gap: None,
            skew,
            arrived: at(n),
        }))
    };
    let mut first = engine();
    let reported = first.step([
        reports(1, Some(-4_900)),
        reports(2, Some(-5_100)),
        reports(3, None),
        reports(4, Some(9_000)),
    ]);
    assert_eq!(reported.alerts.len(), 1);
    let alert = &reported.alerts[0];
    assert_eq!(
        (alert.kind(), alert.state()),
        (AlertKind::ClockSkew, AlertState::Firing)
    );
    assert_eq!(
        (alert.subject.as_str(), alert.detail.extras().skew_ms),
        ("agent:node7", Some(-5_100))
    );
    let episodes = reported.episodes.into_iter().map(|change| match change {
        EpisodeChange::Open(episode) => *episode,
        EpisodeChange::Close { .. } => panic!("nothing has ended"),
    });
    let mut second = engine();
    second.resume(episodes.collect(), reported.agents);
    let reported = second.step([
        reports(5, Some(7_000)),
        reports(6, Some(-2_000)),
        reports(7, Some(0)),
    ]);
    let states = of(AlertKind::ClockSkew, &reported.alerts);
    assert_eq!(states, [(AlertState::Resolved, Severity::Warning, 5.0)]);
    assert_eq!(reported.alerts[0].id, alert.id);
    assert_eq!(second.devices(), 0, "an agent is no device");
}
