//! Sensors of a BMC, by `ipmitool`: this host's own (`/dev/ipmi0`), or another host's over the
//! network.
//!
//! In: the output of the tool. Out: a device for every temperature sensor, identified by number and
//! entity, since names are not unique; at each tick a temperature or a fault for each. Nothing is
//! lost: while a BMC fails, each of its sensors has a fault at every tick, though attempts become
//! less frequent.
//!
//! The list of sensors is read at the start and every hour, which takes half a minute on some
//! boards. In between only values are read, with the sensor data records of the last discovery
//! (`-S`).

mod output;
mod sensors;
mod settings;
mod tool;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::config::Secret;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

pub use output::{Row, parse};
pub use settings::{IpmiConfig, IpmiTarget, Privilege};

use self::sensors::{SensorKey, describe, keyed};
use self::tool::{Tool, ToolError};
use super::lanes::Lanes;
use super::target::{TargetCommon, TargetContext, TargetError, TargetIdentity, TargetSettings};
use super::target_health::{AttemptError, TargetHealth};
use super::{DiscoveredDevice, Outcome, Source};

/// Time between two discoveries: sensors of a BMC change with its hardware.
const DISCOVER_EVERY: Duration = Duration::from_hours(1);

/// Time after which a discovery pauses, to go on at the next one: the source is not read meanwhile.
const DISCOVERY_PAUSE: Duration = Duration::from_secs(5);

/// Port of BMCs (IPMI 2.0, section 13.1.2).
const PORT: u16 = 623;

/// Command that lists all temperature sensors.
const LIST: [&str; 3] = ["sdr", "type", "temperature"];

/// The source over one BMC.
#[derive(Debug)]
pub struct Ipmi {
    bmc: TargetIdentity,
    deadline: Duration,
    tool: Tool,
    health: TargetHealth,
    sensors: Vec<(DiscoveredDevice, SensorKey)>,
    /// Next step of a discovery that paused, and the rows it has found.
    step: DiscoveryStep,
    rows: Vec<Row>,
    discovered_at: Option<Instant>,
    /// The BMC's sensor data records, kept so that reads need not fetch them.
    records: Option<TempDir>,
}

/// The steps of a discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiscoveryStep {
    Sensors,
    Limits,
    Records,
}

impl Ipmi {
    /// Returns the source over this host's own BMC.
    pub fn local(config: &IpmiConfig, host: &str, lanes: Lanes) -> Self {
        let bmc = TargetIdentity {
            name: host.to_owned(),
            interval: config.interval,
            rack: None,
            u: None,
        };
        let tool = Tool {
            program: OsString::from(&config.program),
            arguments: Vec::new(),
            password: None,
            timeout: tool_timeout(config.deadline),
        };
        Self::new(bmc, config.deadline, tool, lanes)
    }

    /// Returns the source over a BMC on the network.
    pub fn remote(
        common: &TargetCommon,
        settings: &IpmiTarget,
        password: Option<Secret>,
        context: &TargetContext,
    ) -> Self {
        let port = common.port.unwrap_or(PORT).to_string();
        let suite = settings.cipher_suite.to_string();
        // A single retry: the next tick is another attempt.
        let words = [
            ["-I", "lanplus"],
            ["-H", &common.address],
            ["-p", &port],
            ["-C", &suite],
            ["-L", settings.privilege.name()],
            ["-N", "2"],
            ["-R", "1"],
        ];
        let mut arguments: Vec<String> = words.concat().into_iter().map(str::to_owned).collect();
        if let Some(user) = &common.user {
            arguments.extend(["-U".to_owned(), user.clone()]);
        }
        if password.is_some() {
            arguments.push("-E".to_owned());
        }
        let tool = Tool {
            program: OsString::from(&context.ipmitool),
            arguments,
            password,
            timeout: tool_timeout(common.deadline),
        };
        let lanes = context.lanes.clone();
        Self::new(common.identity(), common.deadline, tool, lanes)
    }

    fn new(bmc: TargetIdentity, deadline: Duration, tool: Tool, lanes: Lanes) -> Self {
        Self {
            health: TargetHealth::new(bmc.clone(), lanes),
            bmc,
            deadline,
            tool,
            sensors: Vec::new(),
            step: DiscoveryStep::Sensors,
            rows: Vec::new(),
            discovered_at: None,
            records: None,
        }
    }

    /// Discovers sensors step by step. On a slow board all steps together take longer than a
    /// discovery may, so each step keeps its result and the next discovery goes on from there.
    async fn discover_some(&mut self) -> Result<(), ToolError> {
        let started = Instant::now();
        let is_slow = || started.elapsed() > DISCOVERY_PAUSE;
        if self.step == DiscoveryStep::Sensors {
            self.rows = parse(&self.tool.run(&LIST).await?);
            self.sensors = describe(&self.bmc, &self.rows, &[]);
            self.step = DiscoveryStep::Limits;
            if is_slow() {
                return Ok(());
            }
        }
        if self.step == DiscoveryStep::Limits {
            // Some boards fail here: then the sensors have no limits.
            let command = [&["-v", "-c"][..], &LIST].concat();
            let output = self.tool.run(&command).await.unwrap_or_default();
            self.sensors = describe(&self.bmc, &self.rows, &parse(&output));
            self.step = DiscoveryStep::Records;
            if is_slow() {
                return Ok(());
            }
        }
        self.fetch_records().await;
        self.step = DiscoveryStep::Sensors;
        self.discovered_at = Some(Instant::now());
        Ok(())
    }

    /// Saves the BMC's sensor data records in a file of this agent. Without them reads are slower.
    async fn fetch_records(&mut self) {
        self.records = None;
        let Ok(folder) = tempfile::Builder::new().prefix("rackwatch-sdr-").tempdir() else {
            return;
        };
        let file = folder.path().join("records");
        let Some(name) = file.to_str() else { return };
        if self.tool.run(&["sdr", "dump", name]).await.is_ok() && file.exists() {
            self.records = Some(folder);
        }
    }

    async fn read_values(&mut self) -> Result<HashMap<SensorKey, Outcome>, ToolError> {
        let mut command = Vec::new();
        let file = self
            .records
            .as_ref()
            .map(|folder| folder.path().join("records"));
        if let Some(name) = file.as_deref().and_then(Path::to_str) {
            command.extend(["-S", name]);
        }
        command.extend(LIST);
        let rows = parse(&self.tool.run(&command).await?);
        let mut values: HashMap<SensorKey, Outcome> = HashMap::new();
        let mut by_key: HashMap<&SensorKey, &mut DiscoveredDevice> = self
            .sensors
            .iter_mut()
            .map(|(sensor, key)| (&*key, sensor))
            .collect();
        for (row, key) in keyed(&rows) {
            if let Some(sensor) = by_key.get_mut(&key) {
                sensor.description.verdict = row.verdict;
                let value = row.value.clone().unwrap_or(Err(Fault::NO_READING));
                values.insert(key, (sensor.device.clone(), value));
            }
        }
        Ok(values)
    }

    fn faults(&self) -> Vec<Outcome> {
        let devices = self.sensors.iter().map(|(sensor, _)| &sensor.device);
        self.health.faults(devices)
    }
}

#[async_trait]
impl Source for Ipmi {
    fn kind(&self) -> &'static str {
        "ipmi"
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

    /// A second read would take as long as the first.
    fn supports_reread(&self) -> bool {
        false
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let is_fresh = |at: Instant| at.elapsed() < DISCOVER_EVERY;
        if !self.discovered_at.is_some_and(is_fresh) && self.health.begin_attempt() {
            let lane = self.health.lane();
            let attempt = lane.run(self.discover_some()).await;
            self.health.end_attempt(attempt.as_ref().err());
        }
        let sensors = self.sensors.iter().map(|(sensor, _)| sensor);
        self.health.devices_or_placeholder("ipmi", sensors)
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.sensors.is_empty() {
            return self.health.placeholder_outcome();
        }
        if !self.health.begin_attempt() {
            return self.faults();
        }
        let lane = self.health.lane();
        let limit = self.deadline * 19 / 20;
        let attempt = timeout(limit, lane.run(self.read_values())).await;
        let attempt = attempt.unwrap_or(Err(ToolError::Timeout(limit)));
        self.health.end_attempt(attempt.as_ref().err());
        match attempt {
            // Known devices without an outcome get a fault from the sampler.
            Ok(values) => values.into_values().collect(),
            Err(_) => self.faults(),
        }
    }
}

/// Returns the part of a deadline that the tool may use: its error must arrive before the whole read
/// times out.
fn tool_timeout(deadline: Duration) -> Duration {
    deadline * 9 / 10
}

impl TargetSettings for IpmiTarget {
    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError> {
        let password = common.password()?;
        Ok(Box::new(Ipmi::remote(common, self, password, context)))
    }
}

impl AttemptError for ToolError {
    fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}
