//! Tests of the thermal model.

use proptest::prelude::*;

use super::*;
use crate::reading::Fault as ReadingFault;

fn start() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000).unwrap()
}

fn hall(seed: u64, spec: &str) -> Hall {
    Hall::new(&Scenario::new(2, 8, seed, spec).unwrap(), start())
}

fn at(secs: u64) -> Timestamp {
    start().plus(Duration::from_secs(secs))
}

fn degrees(readings: &[Reading]) -> Vec<f64> {
    let degrees = |r: &Reading| r.value.as_ref().map_or(f64::NAN, |v| v.degrees());
    readings.iter().map(degrees).collect()
}

#[test]
fn the_seed_and_the_ticks_decide_every_value() {
    let mut one = hall(7, "demo");
    let mut later = Hall::new(&Scenario::new(2, 8, 7, "demo").unwrap(), at(86_400));
    for tick in 0..300 {
        let expected: Vec<_> = one.read(at(tick)).into_iter().map(|r| r.value).collect();
        let values = later.read(at(86_400 + tick));
        let values: Vec<_> = values.into_iter().map(|r| r.value).collect();
        assert_eq!(values, expected, "tick {tick}");
    }
    assert_ne!(hall(7, "quiet").read(at(1)), hall(8, "quiet").read(at(1)));
}

#[test]
fn devices_are_inlets_at_several_heights() {
    let hall = Hall::new(&Scenario::new(2, 5, 1, "quiet").unwrap(), start());
    let devices = hall.devices();
    let ids: Vec<_> = devices.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "inlet-R1-1",
            "inlet-R1-2",
            "inlet-R1-3",
            "inlet-R2-1",
            "inlet-R2-2"
        ]
    );
    let heights: Vec<_> = devices.iter().filter_map(|(_, d)| d.u).collect();
    assert_eq!(heights, [7, 21, 35, 11, 32]);
    assert_eq!(devices[4].1.rack.as_deref(), Some("R2"));
}

#[test]
fn a_quiet_hall_stays_between_20_and_25_degrees_for_a_day() {
    for seed in 0..5 {
        let mut hall = hall(seed, "quiet");
        for tick in (0..86_400).step_by(10) {
            for value in degrees(&hall.read(at(tick))) {
                assert!(
                    (20.0..=25.0).contains(&value),
                    "seed {seed}, {tick} s: {value}"
                );
            }
        }
    }
}

#[test]
fn the_demo_shows_a_hot_inlet_and_its_end_within_35_seconds() {
    for (seed, sensors) in (0..50).zip([1, 2, 8, 50].into_iter().cycle()) {
        let racks = sensors.min(2);
        let scenario = Scenario::new(racks, sensors, seed, "demo").unwrap();
        let mut hall = Hall::new(&scenario, start());
        let trace: Vec<f64> = (0..60)
            .map(|tick| degrees(&hall.read(at(tick)))[0])
            .collect();
        assert!(trace[0] < 25.0);
        assert!(trace[..=10].iter().any(|t| *t > 28.0), "{trace:?}");
        assert!(trace[..=20].iter().any(|t| *t > 32.0), "{trace:?}");
        assert!(trace[30..].iter().all(|t| *t < 27.5), "{trace:?}");
    }
}

#[test]
fn later_the_demo_shows_cold_a_step_and_a_dropout() {
    let mut hall = hall(1, "demo");
    let (mut cold, mut missing) = (f64::MAX, 0);
    for tick in 0..240 {
        for reading in hall.read(at(tick)) {
            match reading.value {
                Ok(value) => cold = cold.min(value.degrees()),
                Err(reason) => {
                    assert_eq!(reason, ReadingFault::NO_READING);
                    missing += 1;
                }
            }
        }
    }
    assert!((12.0..15.0).contains(&cold), "{cold}");
    assert_eq!(missing, 80);
}

#[test]
fn without_its_cooler_a_rack_warms_by_two_degrees_a_minute() {
    let mut hall = hall(3, "cooler-trip:R1@10m/5m");
    let before = degrees(&hall.read(at(600)));
    let after = degrees(&hall.read(at(720)));
    let rate = (after[0] - before[0]) / 2.0;
    assert!((1.7..2.2).contains(&rate), "{rate} K/min");
    assert!(
        (after[4] - before[4]).abs() < 1.5,
        "the other rack is cooled"
    );
    let hot = degrees(&hall.read(at(900)));
    assert!(hot[0] > before[0] + 7.0);
    let cooled = degrees(&hall.read(at(1_800)));
    assert!(cooled[0] < 25.0, "{cooled:?}");
}

#[test]
fn a_stuck_sensor_repeats_itself_and_a_step_is_a_step() {
    let mut hall = hall(3, "stuck:inlet-R1-2@1m/30m,step:inlet-R2-1@1m/1m");
    let before = degrees(&hall.read(at(59)));
    let stepped = degrees(&hall.read(at(61)));
    assert!((stepped[4] - before[4] - STEP).abs() < 0.5);
    for tick in (61..1_800).step_by(30) {
        assert_eq!(
            degrees(&hall.read(at(tick)))[1].to_bits(),
            before[1].to_bits()
        );
    }
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut hall = hall(3, "quiet");
    hall.read(at(100));
    let air = hall.racks[0].air;
    hall.read(at(50));
    assert_eq!(hall.racks[0].air.to_bits(), air.to_bits());
}

proptest! {
    #[test]
    fn readings_are_plausible_at_any_step(
        seed: u64,
        steps in prop::collection::vec(0_u64..100_000_000, 1..20),
    ) {
        let spec = "cooler-trip@1m/2h/3h,hot-spot:*@0s/1h/2h,cold-spot:R2@10s/1h";
        let mut hall = hall(seed, spec);
        let mut now = start();
        for step in steps {
            now = now.plus(Duration::from_millis(step));
            for value in degrees(&hall.read(now)) {
                prop_assert!((10.0..=70.0).contains(&value), "{}", value);
            }
        }
    }
}
