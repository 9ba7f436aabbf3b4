//! Sensors of a BMC, by `ipmitool`: that of this host (`/dev/ipmi0`), or another's over the network.
//!
//! In: what the tool prints. Out: a device for every temperature sensor, told by its number and entity, since
//! names are not unique; at each tick a temperature or a fault for each. Nothing is lost: a BMC that does
//! not answer is a fault of each of its sensors, tick by tick, though it is asked less often.
//!
//! What sensors a BMC has is asked at first and then every hour: on some boards that takes half a minute. Between
//! them only values are read, with the records that were kept (`-S`).

mod output;
mod tool;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Kelvin;
use rackwatch_runtime::config::Secret;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

pub use output::{Row, parse};

use self::tool::{Tool, ToolError};
use super::care::{Care, Failure, Lanes};
use super::component::{self, device_id, unique};
use super::{DiscoveredDevice, Outcome, Source};
use crate::config::TargetConfig;

/// The `[sources.ipmi]` section of the agent's config: this host's own BMC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpmiConfig {
    /// Read it, where there is one.
    pub enabled: bool,
    /// How often to read.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// How long a read may take.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// The program that reads.
    pub program: String,
}

impl Default for IpmiConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(10),
            deadline: Duration::from_secs(8),
            program: "ipmitool".to_owned(),
        }
    }
}

impl IpmiConfig {
    /// Where the kernel has the BMC of this host.
    const DEVICES: [&str; 3] = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"];

    /// Whether this host has one that is to be read.
    pub fn is_here(&self) -> bool {
        self.enabled && Self::DEVICES.iter().any(|path| Path::new(path).exists())
    }
}

/// What sensors there are is asked so often.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// After so long a look is ended, to be gone on with later.
const SLOW: Duration = Duration::from_secs(5);
/// Where BMCs listen (IPMI 2.0, section 13.1.2).
const PORT: u16 = 623;
/// BMCs round to whole degrees, nearly all.
const RESOLUTION: Kelvin = Kelvin(1.0);

/// The source over one BMC.
#[derive(Debug)]
pub struct Ipmi {
    interval: Duration,
    deadline: Duration,
    tool: Tool,
    rack: Option<String>,
    u: Option<u16>,
    care: Care,
    sensors: Vec<(DiscoveredDevice, Key)>,
    /// What the look that goes on has come to.
    step: Step,
    rows: Vec<Row>,
    looked: Option<Instant>,
    /// The BMC's sensor data records, kept so that they are not asked for with each reading.
    records: Option<TempDir>,
}

/// What is to be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sensors,
    Limits,
    Records,
}

/// What tells a sensor from the others of its BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Number(u8, Option<(u8, u8)>),
    /// With how many of that name came before it.
    Name(String, usize),
}

impl Ipmi {
    /// This host's own BMC.
    pub fn local(config: &IpmiConfig, host: &str, lanes: Lanes) -> Self {
        let tool = Tool {
            program: OsString::from(&config.program),
            arguments: Vec::new(),
            password: None,
            deadline: within(config.deadline),
        };
        Self::new(host, config.interval, config.deadline, lanes, tool)
    }

    /// One over the network.
    pub fn remote(
        config: &TargetConfig,
        password: Option<Secret>,
        program: &str,
        lanes: Lanes,
    ) -> Self {
        let port = config.port.unwrap_or(PORT).to_string();
        let suite = config.cipher_suite.to_string();
        // One retry: the next tick is another.
        let words = [
            "-I",
            "lanplus",
            "-H",
            &config.address,
            "-p",
            &port,
            "-C",
            &suite,
            "-L",
            config.privilege.name(),
            "-N",
            "2",
            "-R",
            "1",
        ];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        if let Some(user) = &config.user {
            arguments.extend(["-U".to_owned(), user.clone()]);
        }
        if password.is_some() {
            arguments.push("-E".to_owned());
        }
        let tool = Tool {
            program: OsString::from(program),
            arguments,
            password,
            deadline: within(config.deadline),
        };
        Self {
            rack: config.rack.clone(),
            u: config.u,
            ..Self::new(
                config.name.as_str(),
                config.interval,
                config.deadline,
                lanes,
                tool,
            )
        }
    }

    fn new(target: &str, interval: Duration, deadline: Duration, lanes: Lanes, tool: Tool) -> Self {
        Self {
            interval,
            deadline,
            tool,
            rack: None,
            u: None,
            care: Care::new(target, interval, lanes),
            sensors: Vec::new(),
            step: Step::Sensors,
            rows: Vec::new(),
            looked: None,
            records: None,
        }
    }

    /// Step by step, and what each has found is kept: on a slow board all of them together take longer than a
    /// look may, and the next look goes on where this one ended.
    async fn look(&mut self) -> Result<(), ToolError> {
        let begun = Instant::now();
        let is_slow = || begun.elapsed() > SLOW;
        if self.step == Step::Sensors {
            let said = self.tool.run(&["sdr", "type", "temperature"]).await?;
            self.rows = parse(&said);
            self.sensors = self.describe(&self.rows, &[]);
            self.step = Step::Limits;
            if is_slow() {
                return Ok(());
            }
        }
        if self.step == Step::Limits {
            // What it calls too hot is worth having, not more: some boards fail here.
            let command = ["-v", "-c", "sdr", "type", "temperature"];
            let said = self.tool.run(&command).await.unwrap_or_default();
            self.sensors = self.describe(&self.rows, &parse(&said));
            self.step = Step::Records;
            if is_slow() {
                return Ok(());
            }
        }
        self.keep_records().await;
        self.step = Step::Sensors;
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// Keeps what the BMC says of its sensors in a file of this agent's own.
    async fn keep_records(&mut self) {
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

    fn describe(&self, known: &[Row], more: &[Row]) -> Vec<(DiscoveredDevice, Key)> {
        let mut taken = HashSet::new();
        let mut sensors = Vec::new();
        for (row, key) in keyed(known) {
            let same = |other: &&Row| other.name == row.name && other.entity == row.entity;
            let more = more.iter().find(same).unwrap_or(row);
            let role = role(row);
            let number = match &key {
                Key::Number(number, Some((entity, instance))) => {
                    format!("{number:02x}h_{entity}.{instance}")
                }
                Key::Number(number, None) => format!("{number:02x}h"),
                Key::Name(name, 0) => name.clone(),
                Key::Name(name, n) => format!("{name}.{}", n + 1),
            };
            let device = unique(&device_id(role, self.care.target(), &number), &mut taken);
            let description = Description {
                host: self.care.target().to_owned(),
                target: self.care.target().to_owned(),
                source: "ipmi".to_owned(),
                name: row.name.clone(),
                role,
                interval: self.interval,
                resolution: Some(RESOLUTION),
                limits: more.limits,
                range: more.range,
                verdict: row.verdict,
                rack: self.rack.clone(),
                u: self.u,
                ..Description::default()
            };
            sensors.push((
                DiscoveredDevice {
                    device,
                    description,
                },
                key,
            ));
        }
        sensors
    }

    async fn values(&mut self) -> Result<HashMap<Key, Outcome>, ToolError> {
        let mut command = Vec::new();
        let file = self
            .records
            .as_ref()
            .map(|folder| folder.path().join("records"));
        if let Some(name) = file.as_deref().and_then(Path::to_str) {
            command.extend(["-S", name]);
        }
        command.extend(["sdr", "type", "temperature"]);
        let said = self.tool.run(&command).await?;
        let rows = parse(&said);
        let mut values: HashMap<Key, Outcome> = HashMap::new();
        let mut by_key: HashMap<&Key, &mut DiscoveredDevice> = self
            .sensors
            .iter_mut()
            .map(|(found, key)| (&*key, found))
            .collect();
        for (row, key) in keyed(&rows) {
            if let Some(found) = by_key.get_mut(&key) {
                found.description.verdict = row.verdict;
                let value = row.value.clone().unwrap_or(Err(Fault::NO_READING));
                values.insert(key, (found.device.clone(), value));
            }
        }
        Ok(values)
    }

    fn all_faults(&self) -> Vec<Outcome> {
        let devices = self.sensors.iter().map(|(found, _)| &found.device);
        self.care.faults(devices)
    }
}

#[async_trait]
impl Source for Ipmi {
    fn kind(&self) -> &'static str {
        "ipmi"
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn offset(&self) -> Duration {
        self.care.offset()
    }

    fn deadline(&self) -> Duration {
        self.deadline
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
        let place = (self.rack.as_ref(), self.u);
        let found = self.sensors.iter().map(|(found, _)| found);
        self.care.found(self.kind(), place, found)
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        if self.sensors.is_empty() {
            return self.care.nothing_known();
        }
        if !self.care.begin() {
            return self.all_faults();
        }
        let (lanes, health) = self.care.place();
        let limit = self.deadline * 19 / 20;
        let reading = lanes.run(&health, self.values());
        let read = timeout(limit, reading).await;
        let read = read.unwrap_or(Err(ToolError::Late(limit)));
        self.care.end(read.as_ref().err());
        match read {
            // One that is not in it has no reading: the roster says so.
            Ok(values) => values.into_values().collect(),
            Err(_) => self.all_faults(),
        }
    }
}

impl Failure for ToolError {
    fn is_late(&self) -> bool {
        matches!(self, Self::Late(_))
    }
}

/// The part of a deadline that the tool has: what came of it has to be said before the source is given up.
fn within(deadline: Duration) -> Duration {
    deadline * 9 / 10
}

/// Each row with what tells it from the others.
fn keyed(rows: &[Row]) -> impl Iterator<Item = (&Row, Key)> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    rows.iter().map(move |row| {
        let before = names.entry(&row.name).or_default();
        let key = match row.number {
            Some(number) => Key::Number(number, row.entity),
            None => Key::Name(row.name.clone(), *before),
        };
        *before += 1;
        (row, key)
    })
}

/// What a sensor measures: by its name, else by what it belongs to (IPMI 2.0, table 43-13; DCMI 1.5, table 6-10).
fn role(row: &Row) -> Role {
    let by_name = component::role_on_board(&row.name);
    if by_name != Role::Other {
        return by_name;
    }
    match row.entity {
        Some((3 | 65, _)) => Role::Cpu,
        Some((4, _)) => Role::Disk,
        Some((8 | 32, _)) => Role::Memory,
        Some((55 | 64, _)) => Role::Inlet,
        _ => Role::Other,
    }
}
