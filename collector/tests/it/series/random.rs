//! Random batches, repetitions and restarts against a model that cannot be wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rackwatch_collector::series::{Resolution, Series};
use redis::cmd;

use super::place::{Place, Server, all, at, minutes, point};

/// An operation on the series of two devices.
#[derive(Clone, Debug)]
enum Step {
    /// A batch of (device, second, tenths of a degree).
    Store(Vec<(bool, u64, i32)>),
    /// The last batch is delivered once more.
    Again,
    /// Another collector takes over.
    Restart,
    /// Time goes on without readings.
    Idle(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reading = (any::<bool>(), 0_u64..400, 100..300);
    let step = prop_oneof![
        6 => prop::collection::vec(reading, 1..12).prop_map(Step::Store),
        1 => Just(Step::Again),
        1 => Just(Step::Restart),
        1 => (0_u64..700).prop_map(Step::Idle),
    ];
    prop::collection::vec(step, 1..10)
}

/// First value of a time by device.
type Model = BTreeMap<&'static str, BTreeMap<u64, f64>>;

async fn play(place: &Place, steps: &[Step]) -> Result<(), TestCaseError> {
    if let Some(mut admin) = place.connect().await {
        let _: () = cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
    }
    let mut series = place.open().await;
    let mut model = Model::new();
    let mut last = Vec::new();
    for step in steps {
        match step {
            Step::Store(readings) => {
                last = readings.iter().map(named).collect();
                store(&mut series, &last, &mut model).await;
            }
            Step::Again => store(&mut series, &last, &mut model).await,
            Step::Restart if matches!(place.server, Server::Memory) => {}
            Step::Restart => series = place.open().await,
            Step::Idle(second) => {
                series.close_idle(at(*second)).await.unwrap();
            }
        }
    }
    let end = [("a", 1000, 1.0), ("b", 1000, 1.0)];
    store(&mut series, &end, &mut model).await;
    for (name, readings) in &model {
        let raw = all(&mut series, name, Resolution::Raw).await;
        let expected: Vec<_> = readings.iter().map(|(at, value)| (*at, *value)).collect();
        prop_assert_eq!(&raw, &expected);
        let found = minutes(&mut series, name).await;
        prop_assert_eq!(found, expected_minutes(&expected));
    }
    Ok(())
}

fn named((a, second, tenths): &(bool, u64, i32)) -> (&'static str, u64, f64) {
    let name = if *a { "a" } else { "b" };
    (name, *second, f64::from(*tenths) / 10.0)
}

async fn store(series: &mut Series, readings: &[(&'static str, u64, f64)], model: &mut Model) {
    let mut points = Vec::new();
    for (name, second, degrees) in readings {
        points.push(point(name, *second, *degrees));
        let readings = model.entry(name).or_default();
        readings.entry(*second).or_insert(*degrees);
    }
    let stored = series.store(&points).await.unwrap();
    assert_eq!(stored.refused, []);
    assert_eq!(stored.minutes_refused, []);
}

/// Returns average, minimum and maximum of every minute but the last.
fn expected_minutes(readings: &[(u64, f64)]) -> [Vec<(u64, f64)>; 3] {
    let mut found = [const { Vec::new() }; 3];
    for minute in readings.chunk_by(|a, b| a.0 / 60 == b.0 / 60) {
        let start = minute[0].0 / 60 * 60;
        if start == 960 {
            continue;
        }
        let values = || minute.iter().map(|(_, value)| *value);
        let minimum = values().fold(f64::MAX, f64::min);
        let maximum = values().fold(f64::MIN, f64::max);
        let average = values().reduce(|a, b| a + b).unwrap() / values().count() as f64;
        found[0].push((start, average.max(minimum).min(maximum)));
        found[1].push((start, minimum));
        found[2].push((start, maximum));
    }
    found
}

fn whatever_happens_raw_and_minutes_agree(place: &Place, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let played = runner.run(&steps(), |steps| runtime.block_on(play(place, &steps)));
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn whatever_happens_on_time_series() {
    whatever_happens_raw_and_minutes_agree(&Place::time_series(), 40);
}

#[test]
fn whatever_happens_on_plain_redis() {
    whatever_happens_raw_and_minutes_agree(&Place::plain(), 150);
}

#[test]
fn whatever_happens_in_memory() {
    whatever_happens_raw_and_minutes_agree(&Place::memory(), 500);
}
