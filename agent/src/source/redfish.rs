//! Sensors of a BMC, by Redfish.
//!
//! In: the documents of its chassis, in the newest form that the firmware has: `Sensors`,
//! `ThermalSubsystem/ThermalMetrics`, the old `Thermal`, or `EnvironmentMetrics`. Out: a device for
//! every temperature; at each tick a temperature or a fault for each. Nothing is lost: while a BMC
//! fails, each of its sensors has a fault at every tick, though attempts become less frequent.
//!
//! Documents are discovered at the start and every hour.

mod client;
mod discovery;
mod document;
mod settings;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::config::Secret;
use tokio::time::{Instant, timeout};

pub use client::ClientError;
pub use document::{Sensor, environment, members, metrics, sensor, sensors, thermal};
pub use settings::{Login, RedfishTarget};

use self::client::{Client, RedfishError};
use self::discovery::Document;
use super::component::{device_id, unique};
use super::lanes::Lanes;
use super::target::{TargetCommon, TargetContext, TargetError, TargetIdentity, TargetSettings};
use super::target_health::{AttemptError, TargetHealth};
use super::{DiscoveredDevice, Outcome, Source};

/// Time between two discoveries: sensors of a BMC change with its hardware.
const DISCOVER_EVERY: Duration = Duration::from_hours(1);

/// The source over one BMC.
#[derive(Debug)]
pub struct Redfish {
    bmc: TargetIdentity,
    deadline: Duration,
    read_timeout: Duration,
    client: Client,
    health: TargetHealth,
    /// Documents to read at each tick.
    documents: Vec<Document>,
    discovered: Vec<DiscoveredDevice>,
    /// Devices by the key of the sensor.
    devices: BTreeMap<String, DeviceId>,
    discovered_at: Option<Instant>,
}

impl Redfish {
    /// Returns the source over a target.
    ///
    /// # Errors
    ///
    /// When its address or its certificates are unusable.
    pub fn new(
        common: &TargetCommon,
        settings: &RedfishTarget,
        password: Option<Secret>,
        lanes: Lanes,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            bmc: common.identity(),
            deadline: common.deadline,
            read_timeout: common.read_timeout(),
            client: Client::new(common, settings, password)?,
            health: TargetHealth::new(common.identity(), lanes),
            documents: Vec::new(),
            discovered: Vec::new(),
            devices: BTreeMap::new(),
            discovered_at: None,
        })
    }

    async fn discover_all(&mut self) -> Result<(), RedfishError> {
        let found = discovery::discover(&mut self.client).await?;
        (self.discovered, self.devices) = describe(&self.bmc, found.sensors);
        self.documents = found.documents;
        self.discovered_at = Some(Instant::now());
        Ok(())
    }

    async fn read_values(&mut self) -> Result<Vec<Outcome>, RedfishError> {
        let mut outcomes = Vec::new();
        for document in self.documents.clone() {
            let content = match (self.client.get(document.path()).await, &document) {
                (Ok(content), _) => content,
                // One absent sensor does not hide the others.
                (
                    Err(RedfishError::Missing { .. } | RedfishError::NotJson { .. }),
                    Document::Sensor(_),
                ) => continue,
                (Err(error), _) => return Err(error),
            };
            for sensor in document.sensors(&content) {
                let Some(device) = self.devices.get(&sensor.key) else {
                    continue;
                };
                let mut devices = self.discovered.iter_mut();
                if let Some(discovered) = devices.find(|known| known.device == *device) {
                    discovered.description.verdict = sensor.verdict;
                }
                outcomes.push((device.clone(), sensor.value));
            }
        }
        Ok(outcomes)
    }
}

/// Returns a device for each sensor, and the devices by the key of the sensor.
fn describe(
    bmc: &TargetIdentity,
    sensors: Vec<Sensor>,
) -> (Vec<DiscoveredDevice>, BTreeMap<String, DeviceId>) {
    let (mut taken, mut discovered) = (HashSet::new(), Vec::new());
    let mut devices = BTreeMap::new();
    for sensor in sensors {
        if devices.contains_key(&sensor.key) {
            continue;
        }
        let device = device_id(sensor.role, &bmc.name, &id_part(&sensor));
        let device = unique(&device, &mut taken);
        let description = Description {
            host: bmc.name.clone(),
            target: bmc.name.clone(),
            source: "redfish".to_owned(),
            name: sensor.name,
            role: sensor.role,
            interval: bmc.interval,
            limits: sensor.limits,
            range: sensor.range,
            verdict: sensor.verdict,
            rack: bmc.rack.clone(),
            u: bmc.u,
            ..Description::default()
        };
        devices.insert(sensor.key, device.clone());
        discovered.push(DiscoveredDevice {
            device,
            description,
        });
    }
    (discovered, devices)
}

/// Returns the last part of a sensor's device id: the end of its address. A bare index such as `3`
/// says too little, so the name goes before it.
fn id_part(sensor: &Sensor) -> String {
    let tail = sensor.key.rsplit(['/', '#']).next().unwrap_or_default();
    let part = if tail.is_empty() { &sensor.name } else { tail };
    match part.parse::<u32>() {
        Ok(index) => format!("{}_{index}", sensor.name),
        Err(_) => part.to_owned(),
    }
}

#[async_trait]
impl Source for Redfish {
    fn kind(&self) -> &'static str {
        "redfish"
    }

    fn interval(&self) -> Duration {
        self.bmc.interval
    }

    fn offset(&self) -> Duration {
        self.health.offset()
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Long enough for many sensors one by one. Shorter than three intervals, after which the
    /// collector alerts about missing readings.
    fn discovery_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// A second read would take as long as the first.
    fn supports_reread(&self) -> bool {
        false
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let is_fresh = |at: Instant| at.elapsed() < DISCOVER_EVERY;
        if !self.discovered_at.is_some_and(is_fresh) && self.health.begin_attempt() {
            let lane = self.health.lane();
            let attempt = lane.run(self.discover_all()).await;
            self.health.end_attempt(attempt.as_ref().err());
        }
        self.health
            .devices_or_placeholder("redfish", self.discovered.iter())
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.devices.is_empty() {
            return self.health.placeholder_outcome();
        }
        if !self.health.begin_attempt() {
            return self.health.faults(self.devices.values());
        }
        let lane = self.health.lane();
        let limit = self.read_timeout;
        let attempt = timeout(limit, lane.run(self.read_values())).await;
        let attempt = attempt.unwrap_or(Err(RedfishError::Timeout(limit)));
        self.health.end_attempt(attempt.as_ref().err());
        match attempt {
            Ok(outcomes) => outcomes,
            Err(_) => self.health.faults(self.devices.values()),
        }
    }
}

impl TargetSettings for RedfishTarget {
    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError> {
        let password = common.password()?;
        let source = Redfish::new(common, self, password, context.lanes.clone());
        Ok(Box::new(source.map_err(common.unusable())?))
    }
}

impl AttemptError for RedfishError {
    fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}
