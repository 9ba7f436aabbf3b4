//! Sensors of coolers, PDUs and environmental monitors, by SNMP v2c and v3.
//!
//! In: the objects that a preset or the operator names. Out: a device for every temperature; at each
//! tick a temperature or a fault for each. Nothing is lost: while a target fails, each of its
//! sensors has a fault at every tick, though attempts become less frequent.
//!
//! One tick is a get of all single objects, or a walk of a table.

mod preset;
mod session;
mod settings;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::{Celsius, Kelvin};
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use tokio::time::{Instant, timeout};

pub use preset::{Preset, Unit};
pub use settings::{Authentication, Privacy, SensorConfig, SnmpTarget};

use self::preset::{Scalar, Table};
use self::session::{Credentials, Session, SnmpError};
use super::component::{device_id, unique};
use super::lanes::Lanes;
use super::target::{TargetCommon, TargetContext, TargetError, TargetSettings};
use super::target_health::{AttemptError, TargetHealth};
use super::{DiscoveredDevice, Outcome, Source};

/// Port of SNMP agents (RFC 3417).
const PORT: u16 = 161;

/// Time between two discoveries: rows of a table come and go.
const DISCOVER_EVERY: Duration = Duration::from_mins(10);

/// Secrets that a target cannot be read with.
#[derive(Debug, thiserror::Error)]
#[error("SNMP needs community_file (v2c), or user and password_file (v3)")]
pub struct MissingCredentials;

/// The secrets of a target, as read from their files.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Community, for SNMP v2c.
    pub community: Option<Secret>,
    /// Authentication password of v3.
    pub password: Option<Secret>,
    /// Privacy password of v3.
    pub privacy: Option<Secret>,
}

/// A value that was read, with its name.
type NamedValue = (String, Result<Celsius, Fault>);

/// The source over one target.
pub struct Snmp {
    common: TargetCommon,
    /// Names of the sensors that the operator configured.
    configured: HashSet<String>,
    credentials: Credentials,
    scalars: Vec<Scalar>,
    table: Option<Table>,
    health: TargetHealth,
    discovered: Vec<DiscoveredDevice>,
    /// Devices by the name of the value.
    devices: BTreeMap<String, DeviceId>,
    discovered_at: Option<Instant>,
}

impl std::fmt::Debug for Snmp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snmp")
            .field("target", &self.common.name)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Snmp {
    /// Returns the source over a target.
    ///
    /// # Errors
    ///
    /// When there are neither a community nor a user and a password.
    pub fn new(
        common: &TargetCommon,
        settings: &SnmpTarget,
        secrets: Secrets,
        lanes: Lanes,
    ) -> Result<Self, MissingCredentials> {
        let credentials = match (secrets.community, &common.user, secrets.password) {
            (_, Some(name), Some(password)) => Credentials::User {
                name: name.clone(),
                authentication: settings.authentication,
                password,
                privacy: secrets.privacy.map(|secret| (settings.privacy, secret)),
            },
            (Some(community), ..) => Credentials::Community(community),
            _ => return Err(MissingCredentials),
        };
        let configured = settings.sensors.iter();
        let mut scalars = settings.preset.scalars();
        scalars.extend(configured.clone().filter_map(SensorConfig::scalar));
        Ok(Self {
            common: common.clone(),
            configured: configured.map(|sensor| sensor.name.clone()).collect(),
            credentials,
            scalars,
            table: settings.preset.table(),
            health: TargetHealth::new(common.identity(), lanes),
            discovered: Vec::new(),
            devices: BTreeMap::new(),
            discovered_at: None,
        })
    }

    async fn read_values(&self) -> Result<Vec<NamedValue>, SnmpError> {
        let (address, port) = (&self.common.address, self.common.port.unwrap_or(PORT));
        // One request may use half of the deadline.
        let limit = self.common.deadline / 2;
        let mut session = Session::open(address, port, &self.credentials, limit).await?;
        let mut values = Vec::new();
        if !self.scalars.is_empty() {
            let oids: Vec<_> = self
                .scalars
                .iter()
                .map(|scalar| scalar.oid.clone())
                .collect();
            let numbers = session.get(&oids).await?;
            for scalar in &self.scalars {
                let number = numbers.get(&scalar.oid).copied();
                values.push((scalar.name.clone(), scalar.value(number)));
            }
        }
        if let Some(table) = &self.table {
            let mut cells = BTreeMap::new();
            for column in table.columns() {
                cells.extend(session.walk(column).await?);
            }
            for (row, value) in table.rows(&cells) {
                values.push((format!("{}_{row}", table.name), value));
            }
        }
        Ok(values)
    }

    /// Adds devices for new values. A value of a preset without a temperature is not a device: the
    /// target lacks that sensor.
    fn add_devices(&mut self, values: &[NamedValue]) {
        let mut taken: HashSet<DeviceId> = self.devices.values().cloned().collect();
        for (name, value) in values {
            let is_present = value.is_ok() || self.configured.contains(name);
            if self.devices.contains_key(name) || !is_present {
                continue;
            }
            let discovered = self.describe(name, &mut taken);
            self.devices.insert(name.clone(), discovered.device.clone());
            self.discovered.push(discovered);
        }
        self.discovered_at = Some(Instant::now());
    }

    fn describe(&self, name: &str, taken: &mut HashSet<DeviceId>) -> DiscoveredDevice {
        let target = self.common.name.as_str();
        let scalar = self.scalars.iter().find(|scalar| scalar.name == name);
        let of_scalar = scalar.map(|scalar| (scalar.role, scalar.scale));
        let of_table = self.table.as_ref().map(|table| (table.role, table.scale));
        let (role, step) = of_scalar.or(of_table).unwrap_or((Role::Other, 1.0));
        DiscoveredDevice {
            device: unique(&device_id(role, target, name), taken),
            description: Description {
                host: target.to_owned(),
                target: target.to_owned(),
                source: "snmp".to_owned(),
                name: name.to_owned(),
                role,
                interval: self.common.interval,
                resolution: Some(Kelvin(step)),
                rack: self.common.rack.clone(),
                u: self.common.u,
                ..Description::default()
            },
        }
    }

    async fn attempt(&mut self) -> Option<Vec<NamedValue>> {
        let limit = self.common.read_timeout();
        let lane = self.health.lane();
        let attempt = timeout(limit, lane.run(self.read_values())).await;
        let attempt = attempt.unwrap_or(Err(SnmpError::Timeout(limit)));
        self.health.end_attempt(attempt.as_ref().err());
        attempt.ok()
    }
}

#[async_trait]
impl Source for Snmp {
    fn kind(&self) -> &'static str {
        "snmp"
    }

    fn interval(&self) -> Duration {
        self.common.interval
    }

    fn offset(&self) -> Duration {
        self.health.offset()
    }

    fn deadline(&self) -> Duration {
        self.common.deadline
    }

    /// The target caches its values: a second read would return the same.
    fn supports_reread(&self) -> bool {
        false
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let is_fresh = |at: Instant| at.elapsed() < DISCOVER_EVERY;
        if !self.discovered_at.is_some_and(is_fresh)
            && self.health.begin_attempt()
            && let Some(values) = self.attempt().await
        {
            self.add_devices(&values);
        }
        self.health
            .devices_or_placeholder("snmp", self.discovered.iter())
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.devices.is_empty() {
            return self.health.placeholder_outcome();
        }
        let values = if self.health.begin_attempt() {
            self.attempt().await
        } else {
            None
        };
        let Some(values) = values else {
            return self.health.faults(self.devices.values());
        };
        let known = values
            .into_iter()
            .filter_map(|(name, value)| Some((self.devices.get(&name)?.clone(), value)));
        known.collect()
    }
}

impl TargetSettings for SnmpTarget {
    fn check(&self, common: &TargetCommon) -> Result<(), EntryError> {
        let has_user = common.user.is_some() && common.password_file.is_some();
        if self.community_file.is_none() && !has_user {
            return Err(EntryError::Missing {
                key: "community_file",
                hint: "for SNMP v2c, or user and password_file for v3",
            });
        }
        let user = ["user", "password_file"];
        let is_set = [common.user.is_some(), common.password_file.is_some()];
        let user = user.into_iter().zip(is_set).find(|(_, is_set)| *is_set);
        if let (Some(_), Some((other, _))) = (&self.community_file, user) {
            return Err(EntryError::Conflict {
                key: "community_file",
                other,
            });
        }
        if self.privacy_file.is_some() && !has_user {
            return Err(EntryError::Missing {
                key: "user",
                hint: "needed for privacy_file",
            });
        }
        if self.preset == Preset::Custom && self.sensors.is_empty() {
            return Err(EntryError::Missing {
                key: "preset",
                hint: "or sensors with the oid of each",
            });
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            if sensor.scalar().is_none() {
                return Err(EntryError::Wrong {
                    key: format!("sensors[{index}].oid"),
                    message: "expected an object identifier such as 1.3.6.1.4.1.318.1".to_owned(),
                });
            }
            let before = &self.sensors[..index];
            if let Some(first) = before.iter().position(|other| other.name == sensor.name) {
                return Err(EntryError::Wrong {
                    key: format!("sensors[{index}].name"),
                    message: format!("sensors[{first}].name is the same: give each its own"),
                });
            }
        }
        Ok(())
    }

    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError> {
        let secrets = Secrets {
            community: common.secret(self.community_file.as_deref())?,
            password: common.password()?,
            privacy: common.secret(self.privacy_file.as_deref())?,
        };
        let source = Snmp::new(common, self, secrets, context.lanes.clone());
        Ok(Box::new(source.map_err(common.unusable())?))
    }
}

impl AttemptError for SnmpError {
    fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}
