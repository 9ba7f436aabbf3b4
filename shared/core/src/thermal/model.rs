//! The thermal model: one volume of air in front of each rack.
//!
//! In: a scenario and points in time. Out: readings. A point in time before the last one gives the readings of the last
//! one.
//!
//! Each rack's air is one heat capacity behind one conductance (a lumped first-order RC). With the
//! cooler running it follows the supply air, which swings as a cooler switches its stages; without,
//! it warms towards a far higher balance. That air warms by one to several K/min at first, and then
//! more slowly since walls and equipment take up heat, is the finding of Khankari, "Rate of Heating
//! Analysis of Data Centers during Power Shutdown", ASHRAE Transactions 117(1), 2011. The numbers
//! are those of the scenario's [`Plant`].

mod rack;
mod random;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use rack::Rack;
use random::gaussian;

use super::faults::{
    CLOCK, COLD_AIR, DOOR_TAU, Effect, FAN, HOT_AIR, LOAD_STEP, OFFSET, PANEL, STEP,
    ScheduledFault, TILE, Target,
};
use super::plant::Plant;
use super::scenario::{Scenario, device_id, rack_name};
use crate::device::{Description, DeviceId, Role};
use crate::reading::{Fault, Reading};
use crate::time::Timestamp;
use crate::units::Celsius;

/// Height of a rack, in rack units.
const RACK_UNITS: usize = 42;
/// Longest internal step, in s: far below the time constants.
const MAX_STEP: f64 = 1.0;
/// Most internal steps of one reading. After a longer gap the steps grow, which is stable, and only blurs the exact time
/// of a fault.
const MAX_STEPS: f64 = 600.0;
/// Interval at which the list of relevant faults is rebuilt, in s, so that a step costs little with many faults.
const RELEVANT_FOR: f64 = 60.0;
/// Time after its end in which a fault has an effect, in s: a dozen of the longest time constants.
const AFTER_EFFECT: f64 = 3_600.0;

/// A simulated hall, at one point in time.
#[derive(Clone, Debug)]
pub struct Hall {
    start: Timestamp,
    /// Seconds simulated so far.
    elapsed: f64,
    racks: Vec<Rack>,
    sensors: Vec<Sensor>,
    faults: Vec<(ScheduledFault, Aim)>,
    /// The faults with an effect before `relevant_until`, in seconds from the start.
    relevant: Vec<(ScheduledFault, Aim)>,
    relevant_until: f64,
    plant: Plant,
    rng: ChaCha8Rng,
}

#[derive(Clone, Debug)]
struct Sensor {
    device: DeviceId,
    rack: usize,
    u: u16,
    /// 0 at the floor, 1 at the top.
    height: f64,
    /// Whether it is at the back, where air leaves the equipment.
    behind: bool,
    /// The constant error, in K.
    error: f64,
    /// The last reading in °C, which a stuck sensor repeats.
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
    /// Builds the hall at its start.
    pub fn new(scenario: &Scenario, start: Timestamp) -> Self {
        let plant = scenario.plant().clone();
        let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed());
        let mut racks: Vec<Rack> = (0..scenario.racks())
            .map(|_| Rack::new(&plant, &mut rng))
            .collect();
        // Racks of one cooler swing with it.
        for rack in 0..racks.len() {
            racks[rack].phase = racks[rack - rack % plant.racks_a_cooler.max(1)].phase;
        }
        let sensors: Vec<Sensor> = (0..scenario.racks())
            .flat_map(|rack| {
                let count = scenario.sensors_of(rack);
                (0..count).map(move |n| (rack, n, count))
            })
            .map(|(rack, n, count)| Sensor::new(&plant, rack, n, count, &mut rng))
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
            relevant: Vec::new(),
            relevant_until: f64::NEG_INFINITY,
            plant,
            rng,
        }
    }

    /// Returns every sensor with its description, without agent and interval.
    pub fn devices(&self) -> Vec<(DeviceId, Description)> {
        self.sensors
            .iter()
            .map(|sensor| {
                let rack = rack_name(sensor.rack);
                let role = if sensor.behind {
                    Role::Exhaust
                } else {
                    Role::Inlet
                };
                let description = Description {
                    source: "simulated".to_owned(),
                    name: format!("{role} {rack} U{}", sensor.u),
                    role,
                    rack: Some(rack),
                    u: Some(sensor.u),
                    resolution: Some(self.plant.resolution),
                    ..Description::default()
                };
                (sensor.device.clone(), description)
            })
            .collect()
    }

    /// Advances to `at`, and reads every sensor whose agent runs.
    pub fn read(&mut self, at: Timestamp) -> Vec<Reading> {
        self.advance(at.since(self.start).as_secs_f64());
        let now = Duration::from_secs_f64(self.elapsed);
        (0..self.sensors.len())
            .filter_map(|index| {
                let value = self.value(index, now);
                if let Ok(value) = value {
                    self.sensors[index].last = Some(value.degrees());
                }
                let met = |effect| self.meets(index, now, effect);
                if met(Effect::NoData) || met(Effect::Reboot) {
                    return None;
                }
                let back = if met(Effect::ClockJump) {
                    CLOCK
                } else {
                    Duration::ZERO
                };
                Some(Reading {
                    device: self.sensors[index].device.clone(),
                    at: at.minus(back),
                    value,
                })
            })
            .collect()
    }

    /// Returns the sensors whose hosts reboot at the moment. Their agents have announced a clean stop.
    pub fn leaving(&self) -> Vec<DeviceId> {
        let reboots = |(fault, _): &(ScheduledFault, Aim)| fault.effect == Effect::Reboot;
        if !self.relevant.iter().any(reboots) {
            return Vec::new();
        }
        let now = Duration::from_secs_f64(self.elapsed);
        let indexed = self.sensors.iter().enumerate();
        let leaving = indexed.filter(|(index, _)| self.meets(*index, now, Effect::Reboot));
        leaving.map(|(_, sensor)| sensor.device.clone()).collect()
    }

    /// Returns whether a fault with this effect is at a sensor now.
    fn meets(&self, index: usize, now: Duration, effect: Effect) -> bool {
        let count = self.sensors.len();
        self.relevant.iter().any(|(fault, aim)| {
            fault.effect == effect
                && fault.phase(now).is_some_and(|phase| {
                    phase.active && aim.meets(index, self.sensors[index].rack, phase.cycle, count)
                })
        })
    }

    /// Rebuilds the list of relevant faults: few of many are, and every sensor checks all of them.
    fn update_relevant_faults(&mut self, until: f64) {
        if until < self.relevant_until {
            return;
        }
        let from = self.elapsed;
        self.relevant_until = until + RELEVANT_FOR;
        let last = self.relevant_until;
        let is_relevant = |(fault, _): &&(ScheduledFault, Aim)| {
            let start = fault.start.as_secs_f64();
            let gone = start + fault.duration.as_secs_f64() + AFTER_EFFECT;
            start <= last && (fault.every.is_some() || gone >= from)
        };
        self.relevant = self.faults.iter().filter(is_relevant).cloned().collect();
    }

    fn advance(&mut self, until: f64) {
        self.update_relevant_faults(until);
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

    /// Takes one internal step of `step` seconds, with the faults at its `middle`.
    fn step(&mut self, middle: f64, step: f64) {
        let now = Duration::from_secs_f64(middle);
        let of_racks = |index: usize, (fault, aim): &(ScheduledFault, Aim)| {
            let here = matches!(aim, Aim::Everywhere | Aim::Rack(_))
                && aim.rack().is_none_or(|rack| rack == index);
            let phase = fault.phase(now).filter(|phase| here && phase.active)?;
            Some((fault.effect, phase))
        };
        for (index, rack) in self.racks.iter_mut().enumerate() {
            let (mut tripped, mut work) = (false, 0.0);
            for (effect, _) in self
                .relevant
                .iter()
                .filter_map(|known| of_racks(index, known))
            {
                match effect {
                    Effect::CoolerTrip | Effect::CoolingLoss => tripped = true,
                    Effect::LoadStep => work += LOAD_STEP,
                    _ => {}
                }
            }
            let random = [gaussian(&mut self.rng), self.rng.random::<f64>()];
            rack.step(&self.plant, middle, step, tripped, work, random);
        }
    }

    fn value(&mut self, index: usize, now: Duration) -> Result<Celsius, Fault> {
        // Always drawn, so that a fault at one sensor does not change the others.
        let noise = self.plant.noise * gaussian(&mut self.rng);
        let sensor = &self.sensors[index];
        let rack = &self.racks[sensor.rack];
        let mut degrees = rack.air + self.plant.recirculation * sensor.height * rack.load;
        let mut reported = sensor.error + noise;
        let mut held = None;
        for (fault, aim) in &self.relevant {
            let Some(phase) = fault.phase(now) else {
                continue;
            };
            if !aim.meets(index, sensor.rack, phase.cycle, self.sensors.len()) {
                continue;
            }
            let foreign_air = |air: f64| fault.share_of_foreign_air(phase) * (air - degrees);
            match fault.effect {
                Effect::HotSpot => degrees += foreign_air(HOT_AIR),
                Effect::MissingPanel => degrees += PANEL.0 * fault.pulse(phase, PANEL.1),
                Effect::ColdSpot => degrees += foreign_air(COLD_AIR),
                Effect::FanFailure => degrees += FAN.0 * fault.pulse(phase, FAN.1),
                Effect::BlockedTile => degrees += TILE.0 * fault.pulse(phase, TILE.1),
                Effect::Door => degrees += self.plant.door * fault.pulse(phase, DOOR_TAU),
                Effect::Step if phase.active => reported += STEP,
                Effect::Offset if phase.active => {
                    reported += OFFSET * phase.since.as_secs_f64() / 86_400.0;
                }
                Effect::Stuck if phase.active => held = sensor.last,
                Effect::Dropout if phase.active => return Err(Fault::NO_READING),
                Effect::Hang if phase.active => return Err(Fault::TIMEOUT),
                _ => {}
            }
        }
        if let (true, Some(warmer)) = (sensor.behind, self.plant.exhaust) {
            degrees += warmer * rack.warmed;
        }
        let step = self.plant.resolution.0;
        let value = held.unwrap_or_else(|| quantised(degrees + reported, step));
        Celsius::new(value).map_err(|_| Fault::OUT_OF_RANGE)
    }
}

impl Sensor {
    /// Builds sensor `n` of `count`, spread evenly over the height of its rack.
    fn new(plant: &Plant, rack: usize, n: usize, count: usize, rng: &mut ChaCha8Rng) -> Self {
        // Every third is at the back, if there are sensors at the back.
        let behind = plant.exhaust.is_some() && n % 3 == 2;
        let u = (RACK_UNITS * (2 * n + 1)).div_ceil(2 * count);
        let u = u16::try_from(u).unwrap_or(u16::MAX);
        Self {
            device: if behind {
                DeviceId::sanitized(&format!("exhaust-{}-{}", rack_name(rack), n + 1))
            } else {
                device_id(rack, n)
            },
            rack,
            u,
            height: f64::from(u) / RACK_UNITS as f64,
            behind,
            error: plant.error * (2.0 * rng.random::<f64>() - 1.0),
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

    /// Returns whether the fault is at sensor `index` of `count` in `rack`, after `cycle` repeats.
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

/// Returns the target as indices. A checked scenario always has one.
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

/// Rounds to the step of a sensor. Dividing by the inverse makes 0.1 print as 0.1.
fn quantised(degrees: f64, step: f64) -> f64 {
    (degrees / step).round() / (1.0 / step)
}

#[cfg(test)]
mod tests;
