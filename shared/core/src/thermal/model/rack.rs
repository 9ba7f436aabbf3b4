//! One rack: the temperature of its air, and the load of its equipment.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::plant::Plant;
use super::random::gaussian;

/// Standard deviation of the load about its mean, as a share of full load. Assumed.
const LOAD_SPREAD: f64 = 0.08;
/// Time constant of that variation, in s. Assumed.
const LOAD_TAU: f64 = 1_200.0;
/// Time constant with which equipment warms its air after a change of load, in s. Assumed: heat sinks and boards of some
/// kilograms.
const EQUIPMENT_TAU: f64 = 180.0;
/// Mean duration of a batch job, in s. Assumed.
const JOB: f64 = 1_800.0;

/// The state of one rack.
#[derive(Clone, Debug)]
pub(super) struct Rack {
    /// The temperature of air at the bottom, in °C.
    pub(super) air: f64,
    /// The load with its variation and jobs, as a share of full load.
    pub(super) load: f64,
    wander: f64,
    /// The remaining time of its batch job, in s.
    job: f64,
    /// The warming of air by the equipment, as a share of that at full load.
    pub(super) warmed: f64,
    /// The initial phase of the cooler's swing, in radians.
    pub(super) phase: f64,
}

impl Rack {
    /// Builds a rack at the start.
    pub(super) fn new(plant: &Plant, rng: &mut ChaCha8Rng) -> Self {
        let phase = TAU * rng.random::<f64>();
        let load = plant.load + LOAD_SPREAD * gaussian(rng);
        Self {
            air: plant.supply + 0.5 * plant.swing * phase.sin(),
            load,
            wander: load - plant.load,
            job: 0.0,
            warmed: load,
            phase,
        }
    }

    /// Takes one step with the exact solution for a constant balance, so that no step is too long.
    pub(super) fn step(
        &mut self,
        plant: &Plant,
        now: f64,
        step: f64,
        tripped: bool,
        work: f64,
        [normal, uniform]: [f64; 2],
    ) {
        let (balance, tau) = if tripped {
            let tau = plant.heated.as_secs_f64();
            (plant.supply + plant.heating * tau / 60.0, tau)
        } else {
            let swing = (TAU * now / plant.period.as_secs_f64() + self.phase).sin();
            (
                plant.supply + plant.swing * swing,
                plant.cooled.as_secs_f64(),
            )
        };
        self.air = balance + (self.air - balance) * (-step / tau).exp();
        // The same for the load, a random walk that is drawn back to its mean.
        let keep = (-step / LOAD_TAU).exp();
        let spread = LOAD_SPREAD * (1.0 - keep * keep).sqrt();
        self.wander = self.wander * keep + spread * normal;
        self.job = (self.job - step).max(0.0);
        if self.job == 0.0 && uniform < plant.jobs * step / 86_400.0 {
            // How long follows from the same number: it is as random as any.
            let part = uniform / (plant.jobs * step / 86_400.0);
            self.job = JOB * (0.3 + 1.4 * part);
        }
        let job = if self.job > 0.0 { plant.job } else { 0.0 };
        let daily = plant.daily * (TAU * now / 86_400.0).sin();
        self.load = (plant.load + self.wander + daily + job + work).clamp(0.3, 1.2);
        self.warmed += (self.load - self.warmed) * (1.0 - (-step / EQUIPMENT_TAU).exp());
    }
}
