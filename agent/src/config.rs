//! The agent's settings.
//!
//! In: `/etc/rackwatch/agent.toml` or the file that `--config` names, the environment, and flags.
//! Out: checked settings; a wrong key or value stops the start. Every key has a default, so that an
//! agent without a file publishes what its host has.

mod devices;
mod name;
mod spool;
mod targets;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use rackwatch_core::device::Description;
use rackwatch_core::wire::EntryFormat;
use rackwatch_runtime::config::{self, ConfigError, Loaded, LogConfig, RedisConfig};
use serde::Deserialize;

pub use devices::{DeviceConfig, DeviceGlob, NotAGlob};
pub use name::{AgentName, NotAnAgentName, host_name};
pub use spool::{SpoolConfig, Sync};
pub use targets::{
    Authentication, Login, Privacy, Privilege, SensorConfig, TargetConfig, TargetKind,
};

#[cfg(target_os = "linux")]
use crate::source::hwmon::HwmonConfig;
#[cfg(unix)]
use crate::source::ipmi::IpmiConfig;
#[cfg(target_os = "linux")]
use crate::source::nvidia::NvidiaConfig;
use crate::source::simulated::SimulatedConfig;
use crate::source::sysinfo::SysinfoConfig;

/// A stream of a million small entries takes Redis some 100 MB.
const SAFETY_CAP: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();

/// Some 20 MB, and about three hours of ten sensors a second.
const QUEUE: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// A process each: some 2 MB.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// All settings of the agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// How to reach Redis.
    pub redis: RedisConfig,
    /// How to log.
    pub log: LogConfig,
    /// Who this agent is.
    pub agent: IdentityConfig,
    /// What is sent, and how much is kept while Redis is away.
    pub publish: PublishConfig,
    /// What goes to disk while Redis is away.
    pub spool: SpoolConfig,
    /// What is read.
    pub sources: SourcesConfig,
    /// What is read over the network.
    pub targets: Vec<TargetConfig>,
    /// What is known of single devices here and nowhere else; of several entries that match one
    /// device the last that sets a key decides.
    pub devices: Vec<DeviceConfig>,
}

/// Who this agent is and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// The name in entries and descriptions, one of its own per agent; default the host's name.
    pub name: AgentName,
    /// The rack of every device whose source does not know it; default none.
    pub rack: Option<String>,
    /// The room or row, which decides the partition on large sites; default `default`.
    pub zone: String,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            name: AgentName::of_this_host(),
            rack: None,
            zone: Description::DEFAULT_ZONE.to_owned(),
        }
    }
}

/// What is sent, and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishConfig {
    /// `reading` (default): one entry per reading; `frame`: one entry for all readings of a tick.
    pub format: EntryFormat,
    /// About how many entries the stream may hold before Redis drops the oldest, which bounds its
    /// memory while no collector runs; default 1,000,000.
    pub safety_cap: NonZeroU64,
    /// How many readings are kept in memory while Redis is away, before the oldest are dropped;
    /// default 100,000.
    pub queue: NonZeroUsize,
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self {
            format: EntryFormat::Reading,
            safety_cap: SAFETY_CAP,
            queue: QUEUE,
        }
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesConfig {
    /// How many targets are read at a time; default 128. One that takes longer than half a second gives
    /// its place to others.
    pub at_once: NonZeroUsize,
    /// The host's own sensors, from the kernel; on by default, where there is Linux.
    #[cfg(target_os = "linux")]
    pub hwmon: HwmonConfig,
    /// The host's own sensors, as the operating system's library lists them; on by default
    /// elsewhere.
    pub sysinfo: SysinfoConfig,
    /// The host's own BMC; on by default, where there is one.
    #[cfg(unix)]
    pub ipmi: IpmiConfig,
    /// The host's NVIDIA processors; on by default, where there is their driver.
    #[cfg(target_os = "linux")]
    pub nvidia: NvidiaConfig,
    /// Made-up racks; off by default.
    pub simulated: SimulatedConfig,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self {
            at_once: AT_ONCE,
            #[cfg(target_os = "linux")]
            hwmon: HwmonConfig::default(),
            sysinfo: SysinfoConfig::default(),
            #[cfg(unix)]
            ipmi: IpmiConfig::default(),
            #[cfg(target_os = "linux")]
            nvidia: NvidiaConfig::default(),
            simulated: SimulatedConfig::default(),
        }
    }
}

impl SourcesConfig {
    /// Nothing is read.
    pub fn none() -> Self {
        let mut none = Self::default();
        #[cfg(target_os = "linux")]
        {
            none.hwmon.enabled = false;
            none.nvidia.enabled = false;
        }
        #[cfg(unix)]
        {
            none.ipmi.enabled = false;
        }
        none.sysinfo.enabled = false;
        none.simulated.enabled = false;
        none
    }
}

/// Reads the settings; `redis` is the address given on the command line, which wins.
pub fn load(path: Option<&Path>, redis: Option<&str>) -> Result<Loaded<AgentConfig>, ConfigError> {
    let mut loaded: Loaded<AgentConfig> = config::load("agent", path)?;
    if let Some(url) = redis {
        loaded.config.redis.url = url.into();
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests;
