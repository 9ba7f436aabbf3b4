//! Readings for the tests: traces that cross every kind of rule.

use std::sync::Arc;

use proptest::prelude::*;
use rackwatch_core::device::DeviceId;
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

/// 2023-11-14 22:13:20 UTC.
pub const START: u64 = 1_700_000_000_000;

pub fn engine() -> Engine {
    Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()))
}

pub fn reading(device: &str, second: u64, degrees: f64) -> Reading {
    Reading {
        device: DeviceId::new(device).unwrap(),
        at: Timestamp::from_millis(START + second * 1000).unwrap(),
        value: Ok(Celsius::new(degrees).unwrap()),
    }
}

/// Returns the readings as a plain client writes them, one entry each.
pub fn inputs(readings: &[Reading]) -> Vec<Input> {
    readings
        .iter()
        .enumerate()
        .map(|(n, reading)| input(n, reading))
        .collect()
}

pub fn entry(n: usize) -> StreamId {
    StreamId {
        ms: START + n as u64,
        seq: 0,
    }
}

pub fn input(n: usize, reading: &Reading) -> Input {
    Input::Reading {
        entry: entry(n),
        by_agent: false,
        reading: reading.clone(),
    }
}

/// Wanders of three devices through all limits, with jumps, gaps, faults and late readings.
pub fn traces() -> impl Strategy<Value = Vec<Reading>> {
    let step = (0..3usize, 0u64..200, -7.0f64..7.0, 0..20u8);
    prop::collection::vec(step, 1..250).prop_map(|steps| {
        let mut now = 600;
        let mut levels = [22.0f64; 3];
        let one = |(device, gap, change, odd): (usize, u64, f64, u8)| {
            now += gap;
            // Pulled back to the middle, so that episodes also end.
            levels[device] = (levels[device] + change) * 0.9 + 2.3;
            let second = if odd == 0 { now - 500 } else { now };
            let mut reading = reading(&format!("inlet-R1-{device}"), second, levels[device]);
            if odd == 1 {
                reading.value = Err(Fault::TIMEOUT);
            }
            reading
        };
        steps.into_iter().map(one).collect()
    })
}
