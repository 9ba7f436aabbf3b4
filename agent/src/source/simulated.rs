//! Simulated racks, to try things out without hardware.
//!
//! In: a scenario and ticks. Out: the readings of [`Hall`]. Nothing is lost: the simulation neither
//! waits nor fails.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::thermal::{Hall, Scenario, ScenarioError};
use rackwatch_core::time::Timestamp;
use serde::Deserialize;

use super::{DiscoveredDevice, Outcome, Source};

/// The `[sources.simulated]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatedConfig {
    /// Whether to read this source; default false.
    pub enabled: bool,
    /// Number of racks; default 2.
    pub racks: usize,
    /// Number of sensors in all racks together; default 8.
    pub sensors: usize,
    /// Time between two reads; default 1 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// Seed of all random numbers: the same seed gives the same readings.
    pub seed: u64,
    /// Faults: `quiet`, `demo` (default) or a list, see [`Scenario::new`].
    pub scenario: String,
}

impl Default for SimulatedConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            racks: 2,
            sensors: 8,
            interval: Duration::from_secs(1),
            seed: 1,
            scenario: "demo".to_owned(),
        }
    }
}

/// The source over a simulated hall.
#[derive(Debug)]
pub struct Simulated {
    interval: Duration,
    scenario: Scenario,
    /// `None` until the first read: its tick is the start of the simulation.
    hall: Option<Hall>,
}

impl Simulated {
    /// Returns a source whose simulation starts with the first read.
    ///
    /// # Errors
    ///
    /// When the scenario or the numbers of racks and sensors are invalid.
    pub fn new(config: &SimulatedConfig) -> Result<Self, ScenarioError> {
        let scenario = Scenario::new(config.racks, config.sensors, config.seed, &config.scenario)?;
        Ok(Self {
            interval: config.interval,
            scenario,
            hall: None,
        })
    }
}

#[async_trait]
impl Source for Simulated {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn deadline(&self) -> Duration {
        self.interval
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        // The devices do not depend on the start.
        let hall = Hall::new(&self.scenario, Timestamp::default());
        let devices = hall.devices().into_iter();
        devices
            .map(|(device, mut description)| {
                description.interval = self.interval;
                DiscoveredDevice {
                    device,
                    description,
                }
            })
            .collect()
    }

    fn supports_reread(&self) -> bool {
        false
    }

    async fn read(&mut self, at: Timestamp) -> Vec<Outcome> {
        let hall = self
            .hall
            .get_or_insert_with(|| Hall::new(&self.scenario, at));
        let readings = hall.read(at).into_iter();
        readings.map(|r| (r.device, r.value)).collect()
    }
}
