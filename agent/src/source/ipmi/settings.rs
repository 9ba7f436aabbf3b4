//! Keys of IPMI: this host's own BMC, and BMCs over the network.

use std::path::Path;
use std::time::Duration;

use rackwatch_runtime::config;
use serde::Deserialize;

/// The `[sources.ipmi]` section: this host's own BMC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpmiConfig {
    /// Whether to read the BMC if there is one; default true.
    pub enabled: bool,
    /// Time between two reads; default 10 s.
    #[serde(with = "config::duration")]
    pub interval: Duration,
    /// Time after which a read counts as failed; default 8 s.
    #[serde(with = "config::duration")]
    pub deadline: Duration,
    /// Program that reads; default `ipmitool`. Targets use it too.
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
    /// Device files of the kernel's driver.
    const DEVICES: [&str; 3] = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"];

    /// Returns whether this host has a BMC and it is enabled.
    pub fn is_available(&self) -> bool {
        self.enabled && Self::DEVICES.iter().any(|path| Path::new(path).exists())
    }
}

/// Keys of a `[[targets]]` entry with `type = "ipmi"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpmiTarget {
    /// Cipher suite of IPMI 2.0; default 17, which current BMCs require. Old ones offer 3.
    pub cipher_suite: u8,
    /// Privilege of the session; default `user`, which suffices for reading.
    pub privilege: Privilege,
}

impl Default for IpmiTarget {
    fn default() -> Self {
        Self {
            cipher_suite: 17,
            privilege: Privilege::default(),
        }
    }
}

/// The privilege of a BMC session (IPMI 2.0, section 6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// Starting callbacks only, which excludes reading.
    Callback,
    /// Reading sensors, the least that the agent needs.
    #[default]
    User,
    /// Reading sensors and controlling power.
    Operator,
    /// Everything, including configuration of the BMC.
    Administrator,
}

impl Privilege {
    /// Returns the word that `ipmitool` expects.
    pub fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}
