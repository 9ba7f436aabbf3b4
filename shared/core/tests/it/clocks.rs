//! Wrong clocks of devices, beyond what `evaluating` has: what is no wrong clock, and what the alerts say.

use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, reading};

const DEVICE: &str = "inlet-R1-1";

/// Returns an entry that arrives at `second` with a reading of `taken`.
fn arrives(second: u64, taken: u64) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: false,
        reading: reading(DEVICE, taken, 22.0),
    }
}

fn clock(engine: &mut Engine, inputs: impl IntoIterator<Item = Input>) -> Vec<AlertRecord> {
    let alerts = engine.step(inputs).alerts;
    assert!(alerts.iter().all(|r| r.kind() == AlertKind::ClockSkew));
    alerts
}

/// After a takeover a whole stretch of the stream may be delivered again. Its entries arrive as fast as they were
/// written, which is how readings of a clock that was set back arrive.
#[test]
fn entries_that_are_delivered_again_are_no_clock_set_back() {
    let mut engine = engine();
    let stretch = || (0..120).map(|s| arrives(s, s));
    assert_eq!(clock(&mut engine, stretch()), []);
    assert_eq!(clock(&mut engine, stretch()), []);
}

#[test]
fn a_clock_that_is_set_back_behind_a_backlog_is_noticed_as_soon() {
    let mut engine = engine();
    assert_eq!(
        clock(&mut engine, (7_200..7_260).map(|s| arrives(s, s))),
        []
    );
    // An hour that waited, in a minute; then the clock of an hour ago, in its own pace.
    let backlog = (0..60).map(|s| arrives(7_260 + s, 60 * s));
    assert_eq!(clock(&mut engine, backlog), []);
    let alerts = clock(&mut engine, (7_320..7_400).map(|s| arrives(s, s - 3_720)));
    let noticed = alerts[0].at.millis() - START;
    assert!(noticed <= (3_600 + 15) * 1000, "after {noticed} ms");
}

#[test]
fn an_alert_about_a_clock_set_back_ends_with_the_reading_that_catches_up() {
    let mut engine = engine();
    clock(&mut engine, (600..660).map(|s| arrives(s, s)));
    let fired = clock(&mut engine, (660..700).map(|s| arrives(s, s - 60)));
    assert_eq!(fired.len(), 1);
    assert!(fired[0].detail.extras().skew_ms.unwrap() < 0, "behind");
    let ended = clock(&mut engine, (700..730).map(|s| arrives(s, s)));
    let [ended] = ended.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(
        (ended.state(), &ended.id),
        (AlertState::Resolved, &fired[0].id)
    );
    assert_eq!(ended.temperature, Some(Celsius::new(22.0).unwrap()));
}

#[test]
fn readings_that_stay_late_are_an_alert_that_says_by_how_much() {
    let mut engine = engine();
    let late = |range: std::ops::Range<u64>| range.map(|s| arrives(s, s - 300));
    let alerts = clock(&mut engine, late(300..400));
    let [record] = alerts.as_slice() else {
        panic!("{alerts:?}")
    };
    assert_eq!(record.severity, Severity::Critical);
    assert_eq!(record.at.millis() - START, 360_000, "after a minute");
    let extras = record.detail.extras();
    assert_eq!(extras.skew_ms, Some(-300_000), "behind");
    assert!(extras.reason.unwrap().contains("5m"));
    let ended = clock(&mut engine, (400..410).map(|s| arrives(s, s)));
    assert_eq!((ended.len(), &ended[0].id), (1, &record.id));
}

/// Twenty times as fast as they were taken, and a little unevenly.
#[test]
fn readings_that_catch_up_are_not_late_for_good() {
    let mut engine = engine();
    let backlog = (0..150).map(|s| arrives(3_600 + s, s * 20 + s % 7));
    assert_eq!(clock(&mut engine, backlog), []);
}

#[test]
fn a_person_can_resolve_an_alert_about_a_clock() {
    let mut engine = engine();
    engine.step((0..10).map(|s| arrives(s, s)));
    let id = DeviceId::new(DEVICE).unwrap();
    let at = Timestamp::from_millis(START + 10_000).unwrap();
    let fired = engine.step([Input::ClientClock(id, at, 7)]).alerts;
    let other = AlertId::of(
        &fired[0].subject,
        "clock_skew",
        fired[0].started.plus(Duration::from_secs(1)),
    );
    let other = Input::Resolve(fired[0].subject.clone(), other);
    assert_eq!(engine.step([other]).alerts, [], "another alert");
    let by_hand = Input::Resolve(fired[0].subject.clone(), fired[0].id.clone());
    let ended = engine.step([by_hand]).alerts;
    assert_eq!((ended.len(), &ended[0].id), (1, &fired[0].id));
    let ended_by = ended[0].resolution.unwrap().ended_by;
    assert_eq!(ended_by.name(), Some("operator"));
}

/// A time that has to last is counted from the reading with which the new time begins.
#[test]
fn what_has_to_last_is_counted_in_the_new_time() {
    let cpu = "cpu-h1-1";
    let mut engine = engine();
    let description = Description {
        role: Role::Cpu,
        limits: HardwareLimits {
            high_critical: Celsius::new(90.0).ok(),
            ..HardwareLimits::default()
        },
        ..Description::default()
    };
    let id = DeviceId::new(cpu).unwrap();
    engine.step([Input::Describe(id, Some(Box::new(description)))]);
    let read = |second: u64, back: u64, degrees: f64| Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: true,
        reading: reading(cpu, second - back, degrees),
    };
    let high = |inputs: Vec<Input>, engine: &mut Engine| {
        let alerts = engine.step(inputs).alerts;
        let high = alerts
            .into_iter()
            .filter(|r| r.kind() == AlertKind::HighTemp);
        high.collect::<Vec<_>>()
    };
    // Hot for the first 30 of the 60 s that its rule allows.
    let hot = (3_600..3_630).map(|s| read(s, 0, 95.0)).collect();
    assert_eq!(high(hot, &mut engine), []);
    let hot = (3_630..3_730).map(|s| read(s, 3_600, 95.0)).collect();
    let fired = high(hot, &mut engine);
    assert_eq!(fired.len(), 1, "{fired:?}");
    let waited = fired[0].at.since(fired[0].started);
    assert_eq!(waited.as_secs(), 60);
}

#[test]
fn readings_are_late_from_two_minutes_on() {
    for (delay, alerts) in [(119, 0), (120, 1)] {
        let mut engine = engine();
        let late = (300..400).map(|s| arrives(s, s - delay));
        assert_eq!(clock(&mut engine, late).len(), alerts, "{delay} s");
    }
}

#[test]
fn a_clock_has_caught_up_once_it_is_beyond_where_it_was() {
    let mut engine = engine();
    clock(&mut engine, (600..660).map(|s| arrives(s, s)));
    assert_eq!(
        clock(&mut engine, (660..700).map(|s| arrives(s, s - 60))).len(),
        1
    );
    assert_eq!(clock(&mut engine, [arrives(719, 659)]), []);
    assert_eq!(clock(&mut engine, [arrives(720, 660)]).len(), 1);
}

/// However many readings it takes to notice, and whatever time the reading before had.
#[test]
fn an_alert_about_a_clock_set_back_says_by_how_much_it_is_wrong() {
    for step in [60u64, 3_600] {
        let mut engine = engine();
        clock(&mut engine, (7_200..7_260).map(|s| arrives(s, s)));
        let fired = clock(&mut engine, (7_260..7_300).map(|s| arrives(s, s - step)));
        let skew = fired[0].detail.extras().skew_ms.unwrap();
        assert_eq!(skew, -1000 * step.cast_signed(), "{step} s");
    }
    // The readings before were ahead by as much.
    let mut engine = engine();
    clock(&mut engine, (7_200..7_260).map(|s| arrives(s, s + 50)));
    let fired = clock(&mut engine, (7_260..7_300).map(|s| arrives(s, s - 50)));
    assert_eq!(fired[0].detail.extras().skew_ms, Some(-50_000));
}

/// An agent's clock was wrong, and its readings are corrected until it reports that it was put right.
#[test]
fn a_clock_that_is_right_by_being_set_back_is_no_alert() {
    let mut engine = engine();
    clock(&mut engine, (600..660).map(|s| arrives(s, s)));
    clock(&mut engine, (660..690).map(|s| arrives(s, s + 30)));
    assert_eq!(clock(&mut engine, (690..760).map(|s| arrives(s, s))), []);
    let heat = |second: u64| Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: 0,
        },
        by_agent: false,
        reading: reading(DEVICE, second, 40.0),
    };
    let alerts = engine.step((760..770).map(heat)).alerts;
    let is_hot = alerts.iter().any(|r| r.kind() == AlertKind::HighTemp);
    assert!(is_hot, "it is evaluated: {alerts:?}");
}

/// The neighbours move by more than a kelvin within the half hour in which the sensor has its value: too short a time,
/// whatever its clock says.
#[test]
fn a_clock_that_is_put_right_leaves_no_sensor_stuck() {
    let mut engine = engine();
    let neighbours = ["inlet-R1-2", "inlet-R1-3", "inlet-R1-4"];
    let tick = |second: u64, back: u64, own: f64, others: f64| {
        let read = move |device: &str, back: u64, degrees: f64| Input::Reading {
            entry: StreamId {
                ms: START + second * 1000,
                seq: 0,
            },
            by_agent: false,
            reading: reading(device, second - back, degrees),
        };
        let mut all: Vec<_> = neighbours.map(|device| read(device, 0, others)).into();
        all.push(read(DEVICE, back, own));
        all
    };
    let mut stuck = Vec::new();
    let mut step = |second: u64, back: u64, own: f64, others: f64| {
        let alerts = engine.step(tick(second, back, own, others)).alerts;
        let all = alerts.into_iter();
        stuck.extend(all.filter(|r| r.kind() == AlertKind::StuckSensor));
    };
    let start = 10_000;
    for n in 0..60 {
        step(start + 10 * n, 0, 21.0 + 0.1 * (n % 7) as f64, 22.0);
    }
    // Set back by an hour for twenty minutes, and put right.
    for n in 60..240 {
        let back = if n < 180 { 3_600 } else { 0 };
        let own = if n < 100 {
            21.0 + 0.1 * (n % 7) as f64
        } else {
            21.5
        };
        step(start + 10 * n, back, own, 22.0 + 0.01 * n as f64);
    }
    assert_eq!(stuck, []);
}
