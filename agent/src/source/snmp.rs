//! Sensors of coolers, PDUs and environmental monitors, by SNMP v2c and v3.
//!
//! In: what a preset or the operator says to read. Out: a device for every temperature; at each tick a temperature or
//! a fault for each. Nothing is lost: a device that does not answer is a fault of each of its sensors, tick by
//! tick, though it is asked less often.
//!
//! A tick is one get of all numbers that are known by name, or one walk of a table.

mod ask;
mod preset;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::{Celsius, Kelvin};
use rackwatch_runtime::config::Secret;
use tokio::time::{Instant, timeout};

pub use preset::{Numbers, Preset, Scalar, Table, Unit, numbers};

use self::ask::{Refusal, Session, Who};
use super::care::{Care, Failure, Lanes};
use super::component::{device_id, unique};
use super::{DiscoveredDevice, Outcome, Source};
use crate::config::{SensorConfig, TargetConfig};

/// Where devices listen (RFC 3417).
const PORT: u16 = 161;
/// Rows of a table come and go: they are looked for so often.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// A target whose settings cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum SnmpError {
    /// Nobody is named.
    #[error("target {0:?}: SNMP needs community_file (v2c), or user and password_file (v3)")]
    Nobody(String),
    /// Nothing is to be read.
    #[error("target {0:?}: nothing is to be read: say preset, or sensors with the oid of each")]
    Nothing(String),
    /// Not an object identifier.
    #[error("target {target:?}: oid = {oid:?} is no object identifier such as 1.3.6.1.4.1.318.1")]
    Oid {
        /// Which target.
        target: String,
        /// What was written.
        oid: String,
    },
}

/// The secrets of a target, as they were read from their files.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Of v2c.
    pub community: Option<Secret>,
    /// Of v3: the authentication password.
    pub password: Option<Secret>,
    /// Of v3: the privacy password.
    pub privacy: Option<Secret>,
}

/// The source over one device.
pub struct Snmp {
    config: TargetConfig,
    who: Who,
    scalars: Vec<Scalar>,
    table: Option<Table>,
    care: Care,
    found: Vec<DiscoveredDevice>,
    /// Devices by the name of what was read.
    devices: BTreeMap<String, DeviceId>,
    looked: Option<Instant>,
}

impl std::fmt::Debug for Snmp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snmp")
            .field("target", &self.config.name)
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

impl Snmp {
    /// The target that `config` says.
    ///
    /// # Errors
    ///
    /// When nobody asks, or nothing is asked for.
    pub fn new(config: &TargetConfig, secrets: Secrets, lanes: Lanes) -> Result<Self, SnmpError> {
        let target = config.name.as_str().to_owned();
        let who = match (secrets.community, &config.user, secrets.password) {
            (_, Some(name), Some(password)) => Who::User {
                name: name.clone(),
                authentication: config.authentication,
                password,
                privacy: secrets.privacy.map(|secret| (config.privacy, secret)),
            },
            (Some(community), ..) => Who::Community(community),
            _ => return Err(SnmpError::Nobody(target)),
        };
        let mut scalars = config.preset.scalars();
        for sensor in &config.sensors {
            scalars.push(scalar(&target, sensor)?);
        }
        let table = config.preset.table();
        if scalars.is_empty() && table.is_none() {
            return Err(SnmpError::Nothing(target));
        }
        Ok(Self {
            config: config.clone(),
            who,
            scalars,
            table,
            care: Care::new(config.name.as_str(), config.interval, lanes),
            found: Vec::new(),
            devices: BTreeMap::new(),
            looked: None,
        })
    }

    /// All that is to be read, by name.
    async fn values(&self) -> Result<Vec<(String, Result<Celsius, Fault>)>, Refusal> {
        let (address, port) = (&self.config.address, self.config.port.unwrap_or(PORT));
        // A request is a part of a tick.
        let within = self.config.deadline / 2;
        let mut session = Session::begin(address, port, &self.who, within).await?;
        let mut values = Vec::new();
        if !self.scalars.is_empty() {
            let objects: Vec<_> = self
                .scalars
                .iter()
                .map(|scalar| scalar.oid.clone())
                .collect();
            let numbers = session.get(&objects).await?;
            for scalar in &self.scalars {
                let number = numbers.get(&scalar.oid).copied();
                values.push((scalar.name.clone(), scalar.value(number)));
            }
        }
        if let Some(table) = &self.table {
            let mut walked = BTreeMap::new();
            for column in table.columns() {
                walked.extend(session.walk(column).await?);
            }
            for (row, value) in table.rows(&walked) {
                values.push((format!("{}_{row}", table.name), value));
            }
        }
        Ok(values)
    }

    /// Everything that was read, whether well or not, is a device; of a preset's numbers only those that are there.
    fn describe(&mut self, values: &[(String, Result<Celsius, Fault>)]) {
        let target = self.config.name.as_str();
        let mut taken: HashSet<DeviceId> = self.devices.values().cloned().collect();
        for (name, value) in values {
            let is_asked_for = self
                .config
                .sensors
                .iter()
                .any(|sensor| sensor.name == *name);
            let is_there = value.is_ok() || is_asked_for;
            if self.devices.contains_key(name) || !is_there {
                continue;
            }
            let scalar = self.scalars.iter().find(|scalar| scalar.name == *name);
            let of_table = self.table.as_ref().map(|table| (table.role, table.scale));
            let of_scalar = scalar.map(|scalar| (scalar.role, scalar.scale));
            let (role, step) = of_scalar.or(of_table).unwrap_or((Role::Other, 1.0));
            let device = unique(&device_id(role, target, name), &mut taken);
            let description = Description {
                host: target.to_owned(),
                target: target.to_owned(),
                source: "snmp".to_owned(),
                name: name.clone(),
                role,
                interval: self.config.interval,
                resolution: Some(Kelvin(step)),
                rack: self.config.rack.clone(),
                u: self.config.u,
                ..Description::default()
            };
            self.devices.insert(name.clone(), device.clone());
            self.found.push(DiscoveredDevice {
                device,
                description,
            });
        }
        self.looked = Some(Instant::now());
    }

    async fn try_values(&mut self) -> Option<Vec<(String, Result<Celsius, Fault>)>> {
        let limit = self.config.deadline * 19 / 20;
        let (lanes, health) = self.care.place();
        let reading = lanes.run(&health, self.values());
        let read = timeout(limit, reading).await;
        let read = read.unwrap_or(Err(Refusal::Late(limit)));
        self.care.end(read.as_ref().err());
        read.ok()
    }
}

/// What the operator says of one number.
fn scalar(target: &str, sensor: &SensorConfig) -> Result<Scalar, SnmpError> {
    let oid = numbers(&sensor.oid).ok_or_else(|| SnmpError::Oid {
        target: target.to_owned(),
        oid: sensor.oid.clone(),
    })?;
    Ok(Scalar {
        oid,
        name: sensor.name.clone(),
        role: sensor.role,
        scale: sensor.scale,
        unit: sensor.unit,
        invalid: sensor.invalid.clone(),
    })
}

#[async_trait]
impl Source for Snmp {
    fn kind(&self) -> &'static str {
        "snmp"
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

    /// Its numbers are cached by the device: a second look at once sees the same.
    fn supports_reread(&self) -> bool {
        false
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let fresh = self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if !fresh
            && self.care.begin()
            && let Some(values) = self.try_values().await
        {
            self.describe(&values);
        }
        let place = (self.config.rack.as_ref(), self.config.u);
        self.care.found(self.kind(), place, self.found.iter())
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.devices.is_empty() {
            return self.care.nothing_known();
        }
        let values = if self.care.begin() {
            self.try_values().await
        } else {
            None
        };
        let Some(values) = values else {
            return self.care.faults(self.devices.values());
        };
        let known = values
            .into_iter()
            .filter_map(|(name, value)| Some((self.devices.get(&name)?.clone(), value)));
        known.collect()
    }
}

impl Failure for Refusal {
    fn is_late(&self) -> bool {
        matches!(self, Self::Late(_))
    }
}
