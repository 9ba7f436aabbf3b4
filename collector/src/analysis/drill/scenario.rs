//! What a drill plays: a TOML table, and what a seed makes of it.

use std::time::Duration;

use rackwatch_core::alert::AlertKind;
use rackwatch_core::thermal::{Plant, Scenario, ScenarioError};
use rackwatch_core::units::Kelvin;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// The drills that come with the program.
pub const SHIPPED: &str = include_str!("scenarios.toml");

/// A file of drills.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drills {
    /// Each `[[drill]]`.
    pub drill: Vec<Drill>,
}

/// One drill.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// What it is called in the table.
    pub name: String,
    /// What breaks, and where, as in `cooler-trip:R1`; without it nothing does.
    pub fault: Option<String>,
    /// Any of these within `watch` is a detection.
    #[serde(default)]
    pub expect: Vec<Kind>,
    /// Number of racks.
    #[serde(default = "four")]
    pub racks: usize,
    /// Number of sensors in all racks together.
    #[serde(default = "sixteen")]
    pub sensors: usize,
    /// How often sensors are read.
    #[serde(with = "humantime_text")]
    pub interval: Duration,
    /// The step of the sensors, in kelvin.
    #[serde(default = "tenth")]
    pub resolution: f64,
    /// Kelvin per minute without cooling; without it each seed has its own.
    pub heating: Option<f64>,
    /// How long all is well before; each seed adds up to ten minutes.
    #[serde(with = "humantime_text")]
    pub settle: Duration,
    /// How long the fault lasts and is watched for; without a fault how long in all.
    #[serde(with = "humantime_text")]
    pub watch: Duration,
    /// It is played on when the fault was found: how often people are told then counts.
    #[serde(default)]
    pub to_the_end: bool,
    /// It is played with so many seeds at most: it takes long.
    pub most_seeds: Option<u64>,
    /// Things that happen on normal days, at random times and racks: so often each day, as in
    /// `{ door = 4.0 }`.
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

/// A kind of alert by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Kind(pub AlertKind);

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        AlertKind::from_name(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no type of alert"))
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

/// What a seed makes of a drill.
#[derive(Clone, Debug)]
pub struct Play {
    /// The hall and its faults.
    pub scenario: Scenario,
    /// When the fault begins; none where nothing breaks.
    pub fault: Option<Duration>,
    /// The rack or the sensor it is at; none where it is everywhere.
    pub at: Option<String>,
    /// What counts as found.
    pub expect: Vec<AlertKind>,
    /// How long it is watched in all.
    pub length: Duration,
    /// How long of that nothing is wrong.
    pub quiet: Duration,
}

/// What happens on normal days lasts so long.
const NORMAL: Duration = Duration::from_mins(5);
const DAY: f64 = 86_400.0;

impl Play {
    /// Draws what is random of it.
    ///
    /// # Errors
    ///
    /// When it makes no hall.
    pub fn of(drill: &Drill, seed: u64) -> Result<Self, ScenarioError> {
        // Another stream than those of the hall and of its plant.
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6472_696c_6c00_0000);
        let mut plant = Plant::drawn(seed, Kelvin(drill.resolution));
        plant.heating = drill.heating.unwrap_or(plant.heating);
        let begins = drill.settle + Duration::from_secs(rng.random_range(0..600));
        let (length, quiet) = match &drill.fault {
            Some(_) => (begins + drill.watch, begins),
            None => (drill.watch, drill.watch),
        };
        let mut spec: Vec<String> = Vec::new();
        for (what, a_day) in &drill.normal {
            for _ in 0..times(a_day * quiet.as_secs_f64() / DAY, &mut rng) {
                let span = quiet.saturating_sub(NORMAL).as_secs().max(1);
                let (start, rack) = (rng.random_range(0..span), rng.random_range(0..drill.racks));
                let lasts = NORMAL.as_secs();
                spec.push(format!("{what}:R{}@{start}s/{lasts}s", rack + 1));
            }
        }
        if let Some(fault) = &drill.fault {
            let (start, lasts) = (begins.as_secs(), drill.watch.as_secs());
            spec.push(format!("{fault}@{start}s/{lasts}s"));
        }
        let spec = if spec.is_empty() {
            "quiet".to_owned()
        } else {
            spec.join(",")
        };
        let at = drill.fault.as_ref().and_then(|fault| fault.split_once(':'));
        Ok(Self {
            scenario: Scenario::new(drill.racks, drill.sensors, seed, &spec)?.within(plant),
            fault: drill.fault.as_ref().map(|_| begins),
            at: at.map(|(_, at)| at.to_owned()).filter(|at| at != "*"),
            expect: drill.expect.iter().map(|kind| kind.0).collect(),
            length,
            quiet,
        })
    }
}

/// So many on average: the rest beyond a whole number is the chance of one more.
fn times(mean: f64, rng: &mut ChaCha8Rng) -> u64 {
    let more = u64::from(rng.random::<f64>() < mean.fract());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let whole = mean.max(0.0) as u64;
    whole + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_drills_can_be_played() {
        let drills: Drills = toml::from_str(SHIPPED).unwrap();
        assert!(drills.drill.len() > 10);
        for drill in &drills.drill {
            let play = Play::of(drill, 1).unwrap();
            assert!(play.quiet <= play.length, "{}", drill.name);
            assert_eq!(
                drill.fault.is_some(),
                !drill.expect.is_empty(),
                "{}",
                drill.name
            );
        }
    }
}
