//! The thermal model: one volume of air in front of each rack.
//!
//! In: a scenario and points in time. Out: readings. Nothing is lost; a point in time before the
//! last one gives the readings of the last one.
//!
//! Each rack's air is one heat capacity behind one conductance (a lumped first-order RC). With the
//! cooler running it follows the supply air, which swings as a cooler switches its stages; without,
//! it warms towards a far higher balance. That air warms by one to several K/min at first, and then
//! more slowly since walls and equipment take up heat, is the finding of Khankari, "Rate of Heating
//! Analysis of Data Centers during Power Shutdown", ASHRAE Transactions 117(1), 2011. The numbers
//! below are chosen within that range, not fitted to a hall.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::faults::{COLD_AIR, Effect, Fault, HOT_AIR, STEP, Target};
use super::scenario::{Scenario, device_id, rack_name};
use crate::device::{Description, DeviceId, Role};
use crate::reading::{Fault as Reason, Reading};
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// Mean supply air, in °C: within ASHRAE's recommended 18 to 27.
const SUPPLY: f64 = 21.2;
/// How far the supply air swings about its mean, in K, and how long a swing takes, in s.
const SWING: f64 = 0.8;
const SWING_PERIOD: f64 = 600.0;
/// Time constant with which a rack's air follows its cooler, in s.
const COOLED_TAU: f64 = 120.0;
/// Time constant without a cooler, in s, and how far above the supply the balance then lies, in K:
/// together 2 K/min at first.
const TRIPPED_TAU: f64 = 1_200.0;
const TRIPPED_RISE: f64 = 40.0;
/// How much warmer the air is at the top of a rack at full load, in K: recirculation.
const TOP_RISE: f64 = 1.8;
/// IT load, as a share of full load: mean, spread and time constant in s of its slow wandering.
const LOAD: f64 = 0.8;
const LOAD_SPREAD: f64 = 0.08;
const LOAD_TAU: f64 = 1_200.0;
/// A sensor's error, at most, and its noise (standard deviation), in K.
const SENSOR_ERROR: f64 = 0.2;
const SENSOR_NOISE: f64 = 0.05;
/// Smallest step of a reading, in K.
const RESOLUTION: f64 = 0.1;
/// Height of a rack, in rack units.
const RACK_UNITS: usize = 42;
/// The longest internal step, and how many of them one reading may cost: after a longer gap the
/// steps grow, which stays stable, and only blurs when exactly a cooler tripped.
const MAX_STEP: f64 = 1.0;
const MAX_STEPS: f64 = 600.0;

/// A simulated hall, at one point in time.
#[derive(Clone, Debug)]
pub struct Hall {
    start: Timestamp,
    /// Seconds simulated so far.
    elapsed: f64,
    racks: Vec<Rack>,
    sensors: Vec<Sensor>,
    faults: Vec<(Fault, Aim)>,
    rng: ChaCha8Rng,
}

/// One rack's state.
#[derive(Clone, Debug)]
struct Rack {
    /// Air at its foot, in °C.
    air: f64,
    /// Share of full load.
    load: f64,
    /// Where in its swing the cooler started, in radians.
    phase: f64,
}

#[derive(Clone, Debug)]
struct Sensor {
    device: DeviceId,
    rack: usize,
    u: u16,
    /// 0 at the floor, 1 at the top.
    height: f64,
    /// Its constant error, in K.
    error: f64,
    /// What it said last, in °C: what it repeats when it is stuck.
    last: Option<f64>,
}

/// A fault's target as indices.
#[derive(Clone, Copy, Debug)]
enum Aim {
    Everywhere,
    Rack(usize),
    Sensor(usize),
    Rotating(usize),
}

impl Hall {
    /// The hall at its start.
    pub fn new(scenario: &Scenario, start: Timestamp) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed());
        let racks: Vec<Rack> = (0..scenario.racks()).map(|_| Rack::new(&mut rng)).collect();
        let sensors: Vec<Sensor> = (0..scenario.racks())
            .flat_map(|rack| {
                let count = scenario.sensors_of(rack);
                (0..count).map(move |n| (rack, n, count))
            })
            .map(|(rack, n, count)| Sensor::new(rack, n, count, &mut rng))
            .collect();
        let faults = scenario
            .faults()
            .iter()
            .filter_map(|fault| Some((fault.clone(), aim(&fault.target, scenario, &sensors)?)))
            .collect();
        Self {
            start,
            elapsed: 0.0,
            racks,
            sensors,
            faults,
            rng,
        }
    }

    /// Every sensor and what there is to know of it, except who reads it and how often.
    pub fn devices(&self) -> Vec<(DeviceId, Description)> {
        self.sensors
            .iter()
            .map(|sensor| {
                let rack = rack_name(sensor.rack);
                let description = Description {
                    source: "simulated".to_owned(),
                    name: format!("inlet {rack} U{}", sensor.u),
                    role: Role::Inlet,
                    rack: Some(rack),
                    u: Some(sensor.u),
                    resolution: Some(Kelvin(RESOLUTION)),
                    ..Description::default()
                };
                (sensor.device.clone(), description)
            })
            .collect()
    }

    /// Lets the time pass until `at`, and reads every sensor.
    pub fn read(&mut self, at: Timestamp) -> Vec<Reading> {
        self.advance(at.since(self.start).as_secs_f64());
        let now = Duration::from_secs_f64(self.elapsed);
        (0..self.sensors.len())
            .map(|index| {
                let value = self.value(index, now);
                if let Ok(value) = value {
                    self.sensors[index].last = Some(value.degrees());
                }
                Reading {
                    device: self.sensors[index].device.clone(),
                    at,
                    value,
                }
            })
            .collect()
    }

    fn advance(&mut self, until: f64) {
        let span = until - self.elapsed;
        if span <= 0.0 {
            return;
        }
        let steps = (span / MAX_STEP).ceil().min(MAX_STEPS);
        let step = span / steps;
        let from = self.elapsed;
        let mut done = 0.0;
        while done < steps {
            let middle = from + (done + 0.5) * step;
            self.step(middle, step);
            done += 1.0;
        }
        self.elapsed = until;
    }

    /// One internal step of `step` seconds, with what holds at its `middle`.
    fn step(&mut self, middle: f64, step: f64) {
        let now = Duration::from_secs_f64(middle);
        for (index, rack) in self.racks.iter_mut().enumerate() {
            let tripped = self.faults.iter().any(|(fault, aim)| {
                fault.effect == Effect::CoolerTrip
                    && matches!(aim, Aim::Everywhere | Aim::Rack(_))
                    && aim.rack().is_none_or(|rack| rack == index)
                    && fault.phase(now).is_some_and(|phase| phase.active)
            });
            rack.step(middle, step, tripped, gaussian(&mut self.rng));
        }
    }

    fn value(&mut self, index: usize, now: Duration) -> Result<Celsius, Reason> {
        // Drawn whatever the faults, so that a fault at one sensor leaves the others as they are.
        let noise = SENSOR_NOISE * gaussian(&mut self.rng);
        let sensor = &self.sensors[index];
        let rack = &self.racks[sensor.rack];
        let mut degrees = rack.air + TOP_RISE * sensor.height * rack.load;
        let mut reported = sensor.error + noise;
        let mut held = None;
        for (fault, aim) in &self.faults {
            let Some(phase) = fault.phase(now) else {
                continue;
            };
            if !aim.meets(index, sensor.rack, phase.cycle, self.sensors.len()) {
                continue;
            }
            let other_air = |air: f64| fault.share_of_other_air(phase) * (air - degrees);
            match fault.effect {
                Effect::HotSpot => degrees += other_air(HOT_AIR),
                Effect::ColdSpot => degrees += other_air(COLD_AIR),
                Effect::Step if phase.active => reported += STEP,
                Effect::Stuck if phase.active => held = sensor.last,
                Effect::Dropout if phase.active => return Err(Reason::NO_READING),
                _ => {}
            }
        }
        let value = held.unwrap_or_else(|| quantised(degrees + reported));
        Celsius::new(value).map_err(|_| Reason::OUT_OF_RANGE)
    }
}

impl Rack {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let phase = TAU * rng.random::<f64>();
        Self {
            air: SUPPLY + 0.5 * SWING * phase.sin(),
            load: LOAD + LOAD_SPREAD * gaussian(rng),
            phase,
        }
    }

    /// Follows its balance with the exact solution for a constant one, so that no step is too long.
    fn step(&mut self, now: f64, step: f64, tripped: bool, random: f64) {
        let (balance, tau) = if tripped {
            (SUPPLY + TRIPPED_RISE, TRIPPED_TAU)
        } else {
            let swing = (TAU * now / SWING_PERIOD + self.phase).sin();
            (SUPPLY + SWING * swing, COOLED_TAU)
        };
        self.air = balance + (self.air - balance) * (-step / tau).exp();
        // The same for the load, a random walk that is drawn back to its mean.
        let keep = (-step / LOAD_TAU).exp();
        let spread = LOAD_SPREAD * (1.0 - keep * keep).sqrt();
        let load = LOAD + (self.load - LOAD) * keep + spread * random;
        self.load = load.clamp(0.5, 1.0);
    }
}

impl Sensor {
    /// Sensor `n` of `count`, spread evenly over the height of its rack.
    fn new(rack: usize, n: usize, count: usize, rng: &mut ChaCha8Rng) -> Self {
        let u = (RACK_UNITS * (2 * n + 1)).div_ceil(2 * count);
        let u = u16::try_from(u).unwrap_or(u16::MAX);
        Self {
            device: device_id(rack, n),
            rack,
            u,
            height: f64::from(u) / RACK_UNITS as f64,
            error: SENSOR_ERROR * (2.0 * rng.random::<f64>() - 1.0),
            last: None,
        }
    }
}

impl Aim {
    fn rack(self) -> Option<usize> {
        match self {
            Self::Rack(rack) => Some(rack),
            _ => None,
        }
    }

    /// The fault is at sensor `index` of `count`, which is in `rack`, when it comes for the
    /// `cycle`-th time again.
    fn meets(self, index: usize, rack: usize, cycle: u64, count: usize) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Rack(aim) => aim == rack,
            Self::Sensor(aim) => aim == index,
            Self::Rotating(first) => {
                let count = count.max(1);
                // Less than `count`: fits.
                let turn = usize::try_from(cycle % count as u64).unwrap_or(0);
                (first + turn) % count == index
            }
        }
    }
}

/// None where nothing is hit, which a checked scenario excludes.
fn aim(target: &Target, scenario: &Scenario, sensors: &[Sensor]) -> Option<Aim> {
    match target {
        Target::Everywhere => Some(Aim::Everywhere),
        Target::Rack(name) => (0..scenario.racks())
            .find(|rack| rack_name(*rack) == *name)
            .map(Aim::Rack),
        Target::Device(device) => sensors
            .iter()
            .position(|sensor| sensor.device == *device)
            .map(Aim::Sensor),
        Target::Rotating(first) => Some(Aim::Rotating(*first)),
    }
}

/// Rounded to the sensor's resolution; by tenths, so that 0.1 prints as 0.1.
fn quantised(degrees: f64) -> f64 {
    (degrees / RESOLUTION).round() / (1.0 / RESOLUTION)
}

/// Nearly normal, mean 0 and standard deviation 1, and never beyond 3.5: the sum of four uniform
/// numbers. Bounded on purpose, so that a quiet hall stays quiet for ever.
fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.random::<f64>()).sum();
    (sum - 2.0) * 3.0_f64.sqrt()
}

#[cfg(test)]
mod tests;
