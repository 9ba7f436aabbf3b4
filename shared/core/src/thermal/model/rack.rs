//! One rack: its air, and the load of its equipment.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::plant::Plant;
use super::gaussian;

/// How far the load wanders about its mean, and the time constant of that, in s.
const LOAD_SPREAD: f64 = 0.08;
const LOAD_TAU: f64 = 1_200.0;
/// Time constant with which equipment warms its air after a change of load, in s. Assumed: heat
/// sinks and boards of some kilograms.
const EQUIPMENT_TAU: f64 = 180.0;
/// How long a batch job takes, in s: its mean.
const JOB: f64 = 1_800.0;
/// One rack's state.
#[derive(Clone, Debug)]
pub(super) struct Rack {
    /// Air at its foot, in °C.
    pub(super) air: f64,
    /// Share of full load, slow wandering and jobs together.
    pub(super) load: f64,
    wander: f64,
    /// How long its batch job still takes, in s.
    job: f64,
    /// What the equipment warms its air for by now, as a share of full load.
    pub(super) warmed: f64,
    /// Where in its swing the cooler started, in radians.
    pub(super) phase: f64,
}

impl Rack {
    /// A rack at the start.
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

    /// Follows its balance with the exact solution for a constant one, so that no step is too long.
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
