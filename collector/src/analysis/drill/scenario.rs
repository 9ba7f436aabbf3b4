//! Drills as TOML, and the simulation that a seed makes of one.

use std::time::Duration;

use rackwatch_core::alert::AlertKind;
use rackwatch_core::thermal::{Plant, Scenario, ScenarioError};
use rackwatch_core::units::Kelvin;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// The built-in drills, as TOML.
pub(crate) const SHIPPED: &str = include_str!("scenarios.toml");

/// A file of drills.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drills {
    /// The `[[drill]]` tables of the file.
    pub drill: Vec<Drill>,
}

/// A simulated failure, and the alerts that must detect it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    /// Name in the results.
    pub name: String,
    /// Fault and its place, as in `cooler-trip:R1`; without one, all alerts are false alarms.
    pub fault: Option<String>,
    /// Types of alerts that count as detection, within `watch`.
    #[serde(default)]
    pub expect: Vec<KindName>,
    /// Number of racks in the hall.
    #[serde(default = "four")]
    pub racks: usize,
    /// Number of sensors in all racks together.
    #[serde(default = "sixteen")]
    pub sensors: usize,
    /// Interval between two readings of a sensor.
    #[serde(with = "humantime_text")]
    pub interval: Duration,
    /// Resolution of the sensors, in kelvin.
    #[serde(default = "tenth")]
    pub resolution: f64,
    /// Heating without cooling, in kelvin per minute [default: drawn by the seed].
    pub heating: Option<f64>,
    /// Fault-free time before the fault; each seed adds up to ten minutes.
    #[serde(with = "humantime_text")]
    pub settle: Duration,
    /// Duration of the fault, or of the whole drill without a fault.
    #[serde(with = "humantime_text")]
    pub watch: Duration,
    /// Whether the drill continues after the detection, to count incidents and notifications.
    #[serde(default)]
    pub to_the_end: bool,
    /// Maximum number of seeds, for drills that take long.
    pub max_seeds: Option<u64>,
    /// Normal events per day, at random times and racks, as in `{ door = 4.0 }`.
    #[serde(default)]
    pub normal: std::collections::BTreeMap<String, f64>,
}

fn four() -> usize {
    4
}

fn sixteen() -> usize {
    16
}

fn tenth() -> f64 {
    0.1
}

/// Type of alert by name, as in `high_temp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KindName(pub AlertKind);

impl TryFrom<String> for KindName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        AlertKind::from_name(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a type of alert"))
    }
}

mod humantime_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// Simulation of a drill with one seed.
#[derive(Clone, Debug)]
pub(crate) struct DrillPlan {
    /// Hall with its faults.
    pub scenario: Scenario,
    /// Start of the fault, if there is one.
    pub fault: Option<Duration>,
    /// Rack or sensor of the fault, unless it affects the whole hall.
    pub place: Option<String>,
    /// Types of alerts that count as detection.
    pub expect: Vec<AlertKind>,
    /// Duration of the simulation.
    pub length: Duration,
    /// Fault-free part of the duration.
    pub fault_free: Duration,
}

/// Duration of a normal event: an open door, a reboot.
const EVENT_DURATION: Duration = Duration::from_mins(5);
/// Seconds of a day.
const DAY: f64 = 86_400.0;

impl DrillPlan {
    /// Draws the random parts of a drill.
    ///
    /// # Errors
    ///
    /// If the drill does not describe a valid scenario.
    pub(crate) fn new(drill: &Drill, seed: u64) -> Result<Self, ScenarioError> {
        // The constant keeps this random stream apart from those of the hall and its plant.
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6472_696c_6c00_0000);
        let mut plant = Plant::drawn(seed, Kelvin(drill.resolution));
        plant.heating = drill.heating.unwrap_or(plant.heating);
        let start = drill.settle + Duration::from_secs(rng.random_range(0..600));
        let (length, fault_free) = match &drill.fault {
            Some(_) => (start + drill.watch, start),
            None => (drill.watch, drill.watch),
        };
        let mut spec: Vec<String> = Vec::new();
        for (event, per_day) in &drill.normal {
            for _ in 0..draw_count(per_day * fault_free.as_secs_f64() / DAY, &mut rng) {
                let span = fault_free.saturating_sub(EVENT_DURATION).as_secs().max(1);
                let (start, rack) = (rng.random_range(0..span), rng.random_range(0..drill.racks));
                let duration = EVENT_DURATION.as_secs();
                spec.push(format!("{event}:R{}@{start}s/{duration}s", rack + 1));
            }
        }
        if let Some(fault) = &drill.fault {
            let (start, duration) = (start.as_secs(), drill.watch.as_secs());
            spec.push(format!("{fault}@{start}s/{duration}s"));
        }
        let spec = if spec.is_empty() {
            "quiet".to_owned()
        } else {
            spec.join(",")
        };
        let place = drill.fault.as_ref().and_then(|fault| fault.split_once(':'));
        Ok(Self {
            scenario: Scenario::new(drill.racks, drill.sensors, seed, &spec)?.within(plant),
            fault: drill.fault.as_ref().map(|_| start),
            place: place
                .map(|(_, place)| place.to_owned())
                .filter(|place| place != "*"),
            expect: drill.expect.iter().map(|kind| kind.0).collect(),
            length,
            fault_free,
        })
    }
}

/// Draws a count with the given mean: its fraction is the probability of one more.
fn draw_count(mean: f64, rng: &mut ChaCha8Rng) -> u64 {
    let extra = u64::from(rng.random::<f64>() < mean.fract());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let whole = mean.max(0.0) as u64;
    whole + extra
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_drills_are_valid() {
        let drills: Drills = toml::from_str(SHIPPED).unwrap();
        assert!(drills.drill.len() > 10);
        for drill in &drills.drill {
            let plan = DrillPlan::new(drill, 1).unwrap();
            assert!(plan.fault_free <= plan.length, "{}", drill.name);
            assert_eq!(
                drill.fault.is_some(),
                !drill.expect.is_empty(),
                "{}",
                drill.name
            );
        }
    }
}
