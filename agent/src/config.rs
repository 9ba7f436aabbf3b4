//! The agent's configuration.
//!
//! In: `/etc/rackwatch/agent.toml` or the file that `--config` names, the environment, and flags.
//! Out: checked settings; a wrong key or value prevents the start. Every key has a default, so an
//! agent without a file publishes the sensors of its host.
//!
//! Each source keeps its section beside its code; this module puts them together.

mod devices;
mod identity;
mod spool;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;

use rackwatch_core::wire::EntryFormat;
use rackwatch_runtime::config::checked::unique_names;
use rackwatch_runtime::config::{
    self, ConfigError, KeyError, Loaded, LogConfig, RedisConfig, Settings,
};
use serde::Deserialize;

pub use devices::{DeviceConfig, DeviceGlob, InvalidGlob};
pub use identity::IdentityConfig;
pub use spool::{SpoolConfig, SyncSetting};

#[cfg(target_os = "linux")]
use crate::source::hwmon::HwmonConfig;
#[cfg(unix)]
use crate::source::ipmi::IpmiConfig;
#[cfg(target_os = "linux")]
use crate::source::nvidia::NvidiaConfig;
use crate::source::simulated::SimulatedConfig;
use crate::source::sysinfo::SysinfoConfig;
use crate::source::targets::TargetConfig;

/// Default of `publish.safety_cap`: a million small entries take some 100 MB of Redis' memory.
const SAFETY_CAP: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();

/// Default of `publish.queue`: some 20 MB, and about three hours of ten sensors a second.
const QUEUE: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Default of `sources.at_once`: each read may be a process of some 2 MB.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// The configuration of the agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// The connection to Redis.
    pub redis: RedisConfig,
    /// Format and filter of log messages.
    pub log: LogConfig,
    /// The identity of this agent.
    pub agent: IdentityConfig,
    /// Entries of the stream, and memory while Redis is unavailable.
    pub publish: PublishConfig,
    /// Disk space while Redis is unavailable.
    pub spool: SpoolConfig,
    /// Sensors of this host.
    pub sources: SourcesConfig,
    /// Devices to read over the network.
    pub targets: Vec<TargetConfig>,
    /// Settings of single devices, which override their source. If several entries match, the last
    /// one that sets a key decides.
    pub devices: Vec<DeviceConfig>,
}

impl Settings for AgentConfig {
    fn check(&self) -> Result<(), KeyError> {
        self.redis.check()?;
        // Targets with one name would have devices with the same ids.
        let names = self
            .targets
            .iter()
            .map(|target| target.common.name.as_str());
        unique_names("targets", names)
    }
}

/// Entries of the stream, and memory while Redis is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishConfig {
    /// `reading` (default): one entry per reading; `frame`: one entry for all readings of a tick.
    pub format: EntryFormat,
    /// Approximate number of entries at which Redis drops the oldest, which bounds its memory while
    /// no collector runs; default 1,000,000.
    pub safety_cap: NonZeroU64,
    /// Readings in memory at which the oldest are dropped while Redis is unavailable; default
    /// 100,000.
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

/// Sensors of this host, and limits for targets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesConfig {
    /// Targets read at a time; default 128. A read that takes longer than half a second gives its
    /// place to another.
    pub at_once: NonZeroUsize,
    /// The host's own sensors, from the kernel; enabled by default on Linux.
    #[cfg(target_os = "linux")]
    pub hwmon: HwmonConfig,
    /// The host's own sensors, from the operating system's library; enabled by default on other
    /// systems.
    pub sysinfo: SysinfoConfig,
    /// The host's own BMC; enabled by default if there is one.
    #[cfg(unix)]
    pub ipmi: IpmiConfig,
    /// The host's NVIDIA GPUs; enabled by default if their driver is present.
    #[cfg(target_os = "linux")]
    pub nvidia: NvidiaConfig,
    /// Simulated racks; disabled by default.
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
    /// Returns settings with every source disabled.
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

/// Loads the configuration; `redis` is the address from the command line, which overrides all others.
///
/// # Errors
///
/// When the file cannot be read, or a key or value is wrong.
pub fn load(path: Option<&Path>, redis: Option<&str>) -> Result<Loaded<AgentConfig>, ConfigError> {
    let mut loaded: Loaded<AgentConfig> = config::load("agent", path)?;
    if let Some(url) = redis {
        loaded.config.redis.url = url.into();
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests;
