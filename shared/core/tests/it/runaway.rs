//! Lost cooling is found within seconds; cycles, doors and hot spots are not mistaken for it.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::{Celsius, Kelvin};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const START: u64 = 1_795_438_931_000;

/// A rack's inlets under the default rules.
struct Rack {
    engine: Engine,
    devices: Vec<(DeviceId, f64)>,
    step: f64,
    rng: ChaCha8Rng,
}

impl Rack {
    fn new(seed: u64, sensors: usize, step: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut engine = Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()));
        let devices: Vec<_> = (1..=sensors)
            .map(|n| DeviceId::new(&format!("inlet-R1-{n}")).unwrap())
            .map(|id| (id, rng.random_range(-0.3..0.3)))
            .collect();
        let described = devices.iter().map(|(id, _)| {
            let description = Description {
                agent: "node7".into(),
                role: Role::Inlet,
                rack: Some("R1".into()),
                resolution: Some(Kelvin(step)),
                ..Description::default()
            };
            Input::Describe(id.clone(), Some(Box::new(description)))
        });
        engine.step(described.collect::<Vec<_>>());
        Self {
            engine,
            devices,
            step,
            rng,
        }
    }

    /// Reads all inlets at this temperature, each with its own error and noise, and returns the runaways.
    fn read(&mut self, ms: u64, degrees: f64) -> Vec<AlertRecord> {
        let at = Timestamp::from_millis(START + ms).unwrap();
        let mut inputs = Vec::new();
        for (device, error) in &self.devices {
            let noise: f64 = (0..4).map(|_| self.rng.random_range(-0.05..0.05)).sum();
            let value = ((degrees + error + noise) / self.step).round() * self.step;
            inputs.push(Input::Reading {
                entry: StreamId {
                    ms: at.millis(),
                    seq: 0,
                },
                by_agent: true,
                reading: Reading {
                    device: device.clone(),
                    at,
                    value: Ok(Celsius::new(value).unwrap()),
                },
            });
        }
        let alerts = self.engine.step(inputs).alerts;
        alerts
            .into_iter()
            .filter(|record| record.kind() == AlertKind::Runaway)
            .collect()
    }
}

/// Returns the seconds from the loss of cooling to the first alert, of many runs, in order.
fn delays(seeds: u64, sensors: usize, step: f64, every: u64) -> Vec<u64> {
    let mut delays: Vec<u64> = (0..seeds)
        .map(|seed| {
            let mut rack = Rack::new(seed, sensors, step);
            let lost = 600_000 + rack.rng.random_range(0..60_000);
            let phase = rack.rng.random_range(0..every);
            for tick in 0.. {
                let ms = tick * every + phase;
                let warm = ms.saturating_sub(lost) as f64 / 30_000.0;
                if !rack.read(ms, 22.0 + warm).is_empty() {
                    assert!(ms > lost, "fired before cooling was lost");
                    return (ms - lost) / 1000;
                }
                assert!(ms < lost + 600_000, "never fired");
            }
            unreachable!("it returns")
        })
        .collect();
    delays.sort_unstable();
    delays
}

#[test]
fn two_kelvin_a_minute_are_found_within_ninety_seconds() {
    for sensors in [2, 4, 8] {
        for step in [0.1, 0.5, 1.0] {
            for every in [1_000, 10_000, 30_000] {
                let delays = delays(200, sensors, step, every);
                let (median, p95) = (delays[100], delays[190]);
                println!(
                    "{sensors} sensors, step {step}, every {} s: median {median} s, p95 {p95} s",
                    every / 1000
                );
                let most = if every > 10_000 { 140 } else { 90 };
                assert!(p95 <= most, "{sensors} {step} {every}: {p95} s");
            }
        }
    }
}

#[test]
fn cycles_doors_and_jumping_sensors_are_not_a_runaway() {
    const DAY: u64 = 24 * 3600;
    for (seed, (sensors, step, every)) in [(2, 1.0, 10), (4, 1.0, 1), (2, 0.5, 10), (3, 0.1, 30)]
        .into_iter()
        .enumerate()
    {
        let mut rack = Rack::new(seed as u64, sensors, step);
        let days = if every == 1 { 2 } else { 10 };
        for second in (0..days * DAY).step_by(every) {
            // A cooler that swings by 3 K in ten minutes, and every two hours a door open for five.
            let cycle = 1.5 * (second as f64 / 600.0 * TAU).sin();
            let open = second % 7200;
            let door = (1.0 - (-(open.min(300) as f64) / 90.0).exp())
                * (-(open.saturating_sub(300) as f64) / 90.0).exp();
            let alerts = rack.read(second * 1000, 22.0 + cycle + door);
            assert_eq!(
                alerts,
                [],
                "{sensors} sensors, step {step}, second {second}"
            );
        }
    }
}

#[test]
fn a_hot_spot_at_one_sensor_is_not_a_runaway() {
    let mut rack = Rack::new(1, 4, 0.1);
    for second in 0..1800 {
        if second == 900 {
            rack.devices[2].1 += 12.0;
        }
        assert_eq!(rack.read(second * 1000, 22.0), []);
    }
}

#[test]
fn a_runaway_fires_once_with_the_time_left_and_resolves_once() {
    let mut rack = Rack::new(5, 4, 0.1);
    let mut alerts = Vec::new();
    for second in 0..7200u64 {
        let warm = (second.clamp(600, 900) - 600) as f64 / 30.0;
        alerts.extend(rack.read(second * 1000, 22.0 + warm));
    }
    let [first, last] = alerts.as_slice() else {
        panic!("{alerts:?}")
    };
    assert_eq!(
        (first.state(), last.state()),
        (AlertState::Firing, AlertState::Resolved)
    );
    let (least, most) = first.detail.extras().left.unwrap();
    let truth = Duration::from_secs(600 + 300)
        .saturating_sub(first.at.since(Timestamp::from_millis(START).unwrap()));
    assert!(
        least <= truth && truth <= most,
        "{least:?} {truth:?} {most:?}"
    );
    assert!(
        (1.7..2.3).contains(&first.rate.unwrap()),
        "{:?}",
        first.rate
    );
    assert_eq!(first.id, last.id);
}
