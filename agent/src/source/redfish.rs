//! Sensors of a BMC, by Redfish.
//!
//! In: the documents of its chassis, whichever its firmware has: `Sensors`, `ThermalSubsystem/ThermalMetrics`, the
//! old `Thermal`, or `EnvironmentMetrics`. Out: a device for every temperature; at each tick a temperature or a fault for each.
//! Nothing is lost: a BMC that does not answer is a fault of each of its sensors, tick by tick, though it is
//! asked less often.
//!
//! Which documents there are is looked for at first and then every hour. Between them as few as will do are read:
//! one with all values where there is one, else each sensor's.

mod client;
mod document;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::config::Secret;
use serde_json::Value;
use tokio::time::{Instant, timeout};

pub use client::ClientError;
pub use document::{Sensor, environment, expands, members, metrics, sensor, sensors, thermal};

use self::client::{Client, Refusal};
use super::care::{Care, Failure, Lanes};
use super::component::{device_id, unique};
use super::{DiscoveredDevice, Outcome, Source};
use crate::config::TargetConfig;

/// Which documents there are is looked for so often.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// So many chassis, and so many sensors that have to be read one by one, are looked at.
const MOST_CHASSIS: usize = 64;
const MOST_SENSORS: usize = 300;
/// Pages of a collection.
const MOST_PAGES: usize = 20;
/// Where every service begins.
const ROOT: &str = "/redfish/v1/";

/// The source over one BMC.
#[derive(Debug)]
pub struct Redfish {
    config: TargetConfig,
    client: Client,
    care: Care,
    /// What is read at each tick.
    documents: Vec<Document>,
    found: Vec<DiscoveredDevice>,
    /// Devices by what tells sensors from each other.
    devices: BTreeMap<String, DeviceId>,
    looked: Option<Instant>,
}

/// What is read at each tick.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Document {
    Metrics(String),
    Sensor(String),
    /// A collection with its members.
    Sensors(String),
    Thermal(String),
    Environment(String),
}

impl Document {
    fn path(&self) -> &str {
        match self {
            Self::Metrics(path)
            | Self::Sensor(path)
            | Self::Sensors(path)
            | Self::Thermal(path)
            | Self::Environment(path) => path,
        }
    }

    fn sensors(&self, read: &Value) -> Vec<Sensor> {
        match self {
            Self::Metrics(path) => metrics(path, read),
            Self::Sensor(_) => sensor(read).into_iter().collect(),
            Self::Sensors(_) => sensors(read),
            Self::Thermal(path) => thermal(path, read),
            Self::Environment(path) => environment(path, read).into_iter().collect(),
        }
    }
}

impl Redfish {
    /// The target that `config` says.
    ///
    /// # Errors
    ///
    /// When its address or its certificates cannot be meant.
    pub fn new(
        config: &TargetConfig,
        password: Option<Secret>,
        lanes: Lanes,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(config, password)?,
            config: config.clone(),
            care: Care::new(config.name.as_str(), config.interval, lanes),
            documents: Vec::new(),
            found: Vec::new(),
            devices: BTreeMap::new(),
            looked: None,
        })
    }

    /// Finds out which documents there are, and what sensors are in them.
    async fn look(&mut self) -> Result<(), Refusal> {
        let root = self.client.get(ROOT).await?;
        let expand = expands(&root);
        let mut chassis = Vec::new();
        if let Some(collection) = document::linked(&root, "Chassis") {
            chassis = self.members(&collection).await?;
        }
        chassis.truncate(MOST_CHASSIS);
        let (mut documents, mut known) = (Vec::new(), Vec::new());
        for path in chassis {
            let chassis = self.client.get(&path).await?;
            let of_it = self.chassis(&chassis, expand).await?;
            documents.extend(of_it.0);
            known.extend(of_it.1);
        }
        (self.found, self.devices) = self.describe(known);
        self.documents = documents;
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// What to read of a chassis, and what sensors it has.
    async fn chassis(
        &mut self,
        chassis: &Value,
        expand: bool,
    ) -> Result<(Vec<Document>, Vec<Sensor>), Refusal> {
        let mut metrics_path = None;
        if let Some(subsystem) = document::linked(chassis, "ThermalSubsystem") {
            let subsystem = self.there(&subsystem).await?;
            metrics_path = subsystem.and_then(|doc| document::linked(&doc, "ThermalMetrics"));
        }
        let mut values = Vec::new();
        if let Some(path) = &metrics_path
            && let Some(read) = self.there(path).await?
        {
            values = metrics(path, &read);
        }
        if let Some(collection) = document::linked(chassis, "Sensors") {
            let (documents, known) = self.sensors(&collection, expand).await?;
            // One document with all values is better than one for each sensor.
            let by_metrics = |sensor: &&Sensor| values.iter().any(|value| value.key == sensor.key);
            let covered = known.iter().filter(by_metrics).count();
            if let Some(path) = metrics_path.clone()
                && documents.len() > 1
                && covered == known.len()
                && covered > 0
            {
                return Ok((vec![Document::Metrics(path)], known));
            }
            if !known.is_empty() {
                return Ok((documents, known));
            }
        }
        if let Some(path) = metrics_path
            && !values.is_empty()
        {
            return Ok((vec![Document::Metrics(path)], values));
        }
        for (name, of) in [
            ("Thermal", Document::Thermal as fn(String) -> Document),
            ("EnvironmentMetrics", Document::Environment),
        ] {
            let Some(path) = document::linked(chassis, name) else {
                continue;
            };
            if let Some(read) = self.there(&path).await? {
                let document = of(path);
                let known = document.sensors(&read);
                if !known.is_empty() {
                    return Ok((vec![document], known));
                }
            }
        }
        Ok((Vec::new(), Vec::new()))
    }

    /// The temperatures of a collection of sensors: read in one go where the service can do that.
    async fn sensors(
        &mut self,
        collection: &str,
        expand: bool,
    ) -> Result<(Vec<Document>, Vec<Sensor>), Refusal> {
        if expand {
            let all = Document::Sensors(format!("{collection}?$expand=."));
            // Some say that they can, and cannot.
            if let Some(read) = self.there(all.path()).await? {
                let known = all.sensors(&read);
                let is_whole = members(&read).1.is_none();
                if !known.is_empty() && is_whole {
                    return Ok((vec![all], known));
                }
            }
        }
        let (mut documents, mut known) = (Vec::new(), Vec::new());
        for path in self.members(collection).await? {
            if documents.len() >= MOST_SENSORS {
                break;
            }
            let Some(read) = self.there(&path).await? else {
                continue;
            };
            if let Some(sensor) = sensor(&read) {
                known.push(sensor);
                documents.push(Document::Sensor(path));
            }
        }
        Ok((documents, known))
    }

    /// The members of a collection, over all its pages.
    async fn members(&mut self, collection: &str) -> Result<Vec<String>, Refusal> {
        let (mut all, mut next) = (Vec::new(), Some(collection.to_owned()));
        for _ in 0..MOST_PAGES {
            let Some(path) = next else { break };
            let (some, more) = members(&self.client.get(&path).await?);
            all.extend(some);
            next = more;
        }
        Ok(all)
    }

    /// A document that may not be there, or that this user may not read.
    async fn there(&mut self, path: &str) -> Result<Option<Value>, Refusal> {
        match self.client.get(path).await {
            Ok(document) => Ok(Some(document)),
            Err(
                Refusal::Missing { .. }
                | Refusal::Forbidden { .. }
                | Refusal::Status { .. }
                | Refusal::NoJson { .. },
            ) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn describe(&self, known: Vec<Sensor>) -> (Vec<DiscoveredDevice>, BTreeMap<String, DeviceId>) {
        let target = self.config.name.as_str();
        let (mut taken, mut found, mut devices) = (HashSet::new(), Vec::new(), BTreeMap::new());
        for sensor in known {
            if devices.contains_key(&sensor.key) {
                continue;
            }
            let tail = sensor.key.rsplit(['/', '#']).next().unwrap_or_default();
            let number = if tail.is_empty() { &sensor.name } else { tail };
            // `3` says little: the name with it does.
            let number = match number.parse::<u32>() {
                Ok(index) => format!("{}_{index}", sensor.name),
                Err(_) => number.to_owned(),
            };
            let device = unique(&device_id(sensor.role, target, &number), &mut taken);
            let description = Description {
                host: target.to_owned(),
                target: target.to_owned(),
                source: "redfish".to_owned(),
                name: sensor.name,
                role: sensor.role,
                interval: self.config.interval,
                limits: sensor.limits,
                range: sensor.range,
                verdict: sensor.verdict,
                rack: self.config.rack.clone(),
                u: self.config.u,
                ..Description::default()
            };
            devices.insert(sensor.key, device.clone());
            found.push(DiscoveredDevice {
                device,
                description,
            });
        }
        (found, devices)
    }

    async fn values(&mut self) -> Result<Vec<Outcome>, Refusal> {
        let mut outcomes = Vec::new();
        for document in self.documents.clone() {
            let read = match (self.client.get(document.path()).await, &document) {
                (Ok(read), _) => read,
                // One sensor that is not there hides no other.
                (Err(Refusal::Missing { .. } | Refusal::NoJson { .. }), Document::Sensor(_)) => {
                    continue;
                }
                (Err(refusal), _) => return Err(refusal),
            };
            for sensor in document.sensors(&read) {
                let Some(device) = self.devices.get(&sensor.key) else {
                    continue;
                };
                if let Some(found) = self.found.iter_mut().find(|found| found.device == *device) {
                    found.description.verdict = sensor.verdict;
                }
                outcomes.push((device.clone(), sensor.value));
            }
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Source for Redfish {
    fn kind(&self) -> &'static str {
        "redfish"
    }

    fn interval(&self) -> Duration {
        self.config.interval
    }

    fn offset(&self) -> Duration {
        self.care.offset()
    }

    fn deadline(&self) -> Duration {
        self.config.deadline
    }

    /// Sensors that have to be asked one by one are many. Shorter than what makes them silent: three intervals.
    fn discovery_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// A second look at once takes as long as the first.
    fn supports_reread(&self) -> bool {
        false
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let fresh = self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if !fresh && self.care.begin() {
            let (lanes, health) = self.care.place();
            let looked = lanes.run(&health, self.look()).await;
            self.care.end(looked.as_ref().err());
        }
        let place = (self.config.rack.as_ref(), self.config.u);
        self.care.found(self.kind(), place, self.found.iter())
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.devices.is_empty() {
            return self.care.nothing_known();
        }
        if !self.care.begin() {
            return self.care.faults(self.devices.values());
        }
        let limit = self.config.deadline * 19 / 20;
        let (lanes, health) = self.care.place();
        let reading = lanes.run(&health, self.values());
        let read = timeout(limit, reading).await;
        let read = read.unwrap_or(Err(Refusal::Late(limit)));
        self.care.end(read.as_ref().err());
        match read {
            Ok(values) => values,
            Err(_) => self.care.faults(self.devices.values()),
        }
    }
}

impl Failure for Refusal {
    fn is_late(&self) -> bool {
        matches!(self, Self::Late(_))
    }
}
