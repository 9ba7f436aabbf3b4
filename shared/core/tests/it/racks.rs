//! Which devices are compared with each other.

use rackwatch_core::alert::AlertKind;
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::time::StreamId;

use crate::trace::{START, engine, reading};

/// Reads plain clients' devices each second at these temperatures. Returns the kinds of their alerts.
fn read(
    engine: &mut Engine,
    seconds: std::ops::Range<u64>,
    degrees: &[(&str, &dyn Fn(u64) -> f64)],
) -> Vec<(AlertKind, String)> {
    let mut kinds = Vec::new();
    for second in seconds {
        let inputs = degrees.iter().map(|(device, degrees)| Input::Reading {
            entry: StreamId {
                ms: START + second * 1000,
                seq: 0,
            },
            by_agent: false,
            reading: reading(device, second, degrees(second)),
        });
        let alerts = engine.step(inputs).alerts;
        kinds.extend(
            alerts
                .into_iter()
                .map(|r| (r.kind(), r.subject.to_string())),
        );
    }
    kinds
}

/// 4 K/min from second 300 on.
fn warming(second: u64) -> f64 {
    22.0 + second.saturating_sub(300) as f64 / 15.0
}

fn steady(_: u64) -> f64 {
    22.0
}

fn runaways(found: &[(AlertKind, String)]) -> usize {
    let all = found.iter().filter(|(kind, _)| *kind == AlertKind::Runaway);
    all.count()
}

#[test]
fn a_rack_of_plain_clients_runs_away_once() {
    let devices: [(&str, &dyn Fn(u64) -> f64); 3] = [
        ("inlet-R1-1", &warming),
        ("inlet-R1-2", &warming),
        ("inlet-R1-3", &warming),
    ];
    assert_eq!(runaways(&read(&mut engine(), 0..400, &devices)), 1);
}

#[test]
fn devices_that_are_alone_in_their_racks_are_compared_with_each_other() {
    let devices: [(&str, &dyn Fn(u64) -> f64); 3] = [
        ("inlet-R1-1", &warming),
        ("inlet-R2-1", &warming),
        ("inlet-R3-1", &warming),
    ];
    assert_eq!(runaways(&read(&mut engine(), 0..400, &devices)), 1);
    // The hot spot of one is no runaway of the others.
    let devices: [(&str, &dyn Fn(u64) -> f64); 3] = [
        ("inlet-R1-1", &warming),
        ("inlet-R2-1", &steady),
        ("inlet-R3-1", &steady),
    ];
    assert_eq!(runaways(&read(&mut engine(), 0..400, &devices)), 0);
}

#[test]
fn a_device_that_gets_company_is_alone_no_more() {
    // R1 and R2 both warm beside one sensor each; that of R1 has a steady neighbour.
    let devices: [(&str, &dyn Fn(u64) -> f64); 3] = [
        ("inlet-R1-1", &warming),
        ("inlet-R2-1", &warming),
        ("inlet-R1-2", &steady),
    ];
    assert_eq!(runaways(&read(&mut engine(), 0..400, &devices)), 0);
}

#[test]
fn neighbours_that_send_no_data_are_not_compared() {
    let mut engine = engine();
    // Six kelvin within ten minutes, after three hours; all are read each minute.
    let degrees_at = |minute: u64| 22.0 + minute.saturating_sub(180).min(10) as f64 * 0.6;
    let mut is_outlier = |minutes: std::ops::Range<u64>, devices: std::ops::RangeInclusive<u64>| {
        let read = |minute: u64, n: u64| Input::Reading {
            entry: StreamId {
                ms: START + minute * 60_000,
                seq: 0,
            },
            by_agent: false,
            reading: reading(
                &format!("inlet-R1-{n}"),
                minute * 60,
                if n == 1 { degrees_at(minute) } else { 22.0 },
            ),
        };
        let inputs = minutes.flat_map(|minute| devices.clone().map(move |n| read(minute, n)));
        let alerts = engine.step(inputs).alerts;
        alerts
            .iter()
            .any(|record| record.kind() == AlertKind::Outlier)
    };
    assert!(!is_outlier(0..180, 1..=6));
    assert!(
        !is_outlier(180..270, 1..=1),
        "of what they were is known nothing"
    );
    assert!(is_outlier(270..330, 1..=6), "when they are back");
}

/// Unusual distances are learned slowly, or they would be usual before a person attends to them.
#[test]
fn an_outlier_lasts_for_hours_and_as_long_in_either_direction() {
    let lasts = |sign: f64| {
        let mut engine = engine();
        let degrees = |minute: u64, n: u64| {
            let moved = minute.saturating_sub(180).min(10) as f64 * 0.6;
            22.0 + if n == 1 { sign * moved } else { 0.0 }
        };
        let read = |minute: u64, n: u64| Input::Reading {
            entry: StreamId {
                ms: START + minute * 60_000,
                seq: 0,
            },
            by_agent: false,
            reading: reading(&format!("inlet-R1-{n}"), minute * 60, degrees(minute, n)),
        };
        let all = (0..7 * 1440).flat_map(|minute| (1..=6).map(move |n| read(minute, n)));
        let alerts = engine.step(all).alerts;
        let outliers = alerts
            .into_iter()
            .filter(|r| r.kind() == AlertKind::Outlier);
        let outliers: Vec<_> = outliers.collect();
        let (first, last) = (outliers.first().unwrap(), outliers.last().unwrap());
        (
            first.at.millis() - START,
            last.at.since(first.at).as_secs() / 60,
        )
    };
    let (warm, cold) = (lasts(1.0), lasts(-1.0));
    assert!(warm.0.abs_diff(cold.0) <= 60_000, "{warm:?} {cold:?}");
    assert!(warm.1.abs_diff(cold.1) <= 2, "{warm:?} {cold:?}");
    assert!(warm.1 > 360, "{warm:?}");
}
