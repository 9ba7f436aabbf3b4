//! Properties of simulated halls: one fixed set, and random sets within the ranges of real halls.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::units::Kelvin;

/// The thermal properties of a hall and its sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    /// The number of racks that one in-row cooler serves. Their supply air swings together.
    pub racks_a_cooler: usize,
    /// The mean supply temperature, in °C.
    pub supply: f64,
    /// The amplitude of supply temperature as the cooler switches stages, in K.
    pub swing: f64,
    /// The period of that swing.
    pub period: Duration,
    /// The time constant with which a rack's air follows its cooler.
    pub cooled: Duration,
    /// The initial warming of a rack without cooling, in K per minute.
    pub heating: f64,
    /// The time constant with which the warming slows down, as walls and equipment take up heat.
    pub heated: Duration,
    /// The top-to-bottom difference of a rack at full load, in K.
    pub recirculation: f64,
    /// The mean IT load, as a share of full load.
    pub load: f64,
    /// The amplitude of load over the day, as a share of full load.
    pub daily: f64,
    /// The number of batch jobs a day. Each adds [`Plant::job`] for some minutes.
    pub jobs: f64,
    /// The load of one job, as a share of full load.
    pub job: f64,
    /// The temperature rise of air through equipment at full load, in K. None means no sensors at the back.
    pub exhaust: Option<f64>,
    /// The warming of a rack's inlets by an open door, in K.
    pub door: f64,
    /// The largest constant error of a sensor, in K.
    pub error: f64,
    /// The standard deviation of a sensor's noise, in K.
    pub noise: f64,
    /// The smallest step between readings of a sensor.
    pub resolution: Kelvin,
}

impl Plant {
    /// Returns the fixed set: a small room at 22 °C, as `demo` and `simulate` show it.
    pub fn plain() -> Self {
        Self {
            racks_a_cooler: 1,
            supply: 21.2,
            swing: 0.8,
            period: Duration::from_mins(10),
            cooled: Duration::from_mins(2),
            heating: 2.0,
            heated: Duration::from_mins(20),
            recirculation: 1.8,
            load: 0.8,
            daily: 0.0,
            jobs: 0.0,
            job: 0.0,
            exhaust: None,
            door: 1.0,
            error: 0.2,
            noise: 0.05,
            resolution: Kelvin(0.1),
        }
    }

    /// Returns a random set for each seed. The ranges come from public descriptions of halls, or are assumed if nothing is
    /// published:
    ///
    /// - supply air 18.5 to 22.5 °C, within ASHRAE's recommended 18 to 27 with the rise to the inlets;
    ///   swings of 1 to 3 K from top to bottom in 6 to 15 minutes (assumed: two-stage coolers);
    /// - warming without cooling at 1.5 to 4 K per minute at first (Hosting365's outage: about 2;
    ///   5 kW racks are at their limit after three minutes);
    /// - recirculation up to 3 K; load 50 to 85 %, varying by a tenth over the day, up to 12 jobs a day of
    ///   up to a quarter of full load (assumed);
    /// - servers that warm their air by 10 to 18 K (ASHRAE's guidance calls 20 K the usual most);
    /// - an open door up to 1 K (assumed);
    /// - sensors that are wrong by up to 0.5 K, with noise of 0.02 to 0.1 K.
    pub fn drawn(seed: u64, resolution: Kelvin) -> Self {
        // A seed of its own, or the hall's random numbers would depend on its properties.
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706c_616e_7400_0000);
        let mut from = |least: f64, most: f64| least + (most - least) * rng.random::<f64>();
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.round());
        Self {
            supply: from(18.5, 22.5),
            swing: from(0.5, 1.5),
            period: seconds(from(360.0, 900.0)),
            cooled: seconds(from(60.0, 180.0)),
            heating: from(1.5, 4.0),
            heated: seconds(from(900.0, 1_800.0)),
            recirculation: from(0.5, 3.0),
            load: from(0.5, 0.85),
            daily: from(0.0, 0.1),
            jobs: from(0.0, 12.0),
            job: from(0.05, 0.25),
            exhaust: Some(from(10.0, 18.0)),
            door: from(0.3, 1.0),
            error: from(0.1, 0.5),
            noise: from(0.02, 0.1),
            // Last, since another draw would change all properties after it.
            racks_a_cooler: 1 + usize::from(from(0.0, 1.0) > 0.3) * 2,
            resolution,
        }
    }
}
