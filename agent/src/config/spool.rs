//! `[spool]`: disk space for readings while Redis is unavailable.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_runtime::config::{self, ByteSize};
use serde::{Deserialize, Deserializer};

use crate::spool::SyncPolicy;

/// Default of `spool.max_bytes`: more than a day of a hundred sensors a second.
const MAX_BYTES: ByteSize = ByteSize(256 << 20);

/// The `[spool]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Folder, not shared with another agent. By default the `spool` folder in the state directory
    /// of the systemd service; without one nothing goes to disk.
    pub path: Option<PathBuf>,
    /// Size in bytes at which the oldest readings are dropped; default 256 MiB.
    pub max_bytes: ByteSize,
    /// Time after which readings are dropped, counted while an agent runs; default 48 h, as long as
    /// collectors keep readings.
    #[serde(with = "config::duration")]
    pub max_age: Duration,
    /// Time after a write until it is synced: a duration, `always` or `never`; default 1 s.
    pub sync: SyncSetting,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            path: None,
            max_bytes: MAX_BYTES,
            max_age: Duration::from_hours(48),
            sync: SyncSetting(SyncPolicy::Within(Duration::from_secs(1))),
        }
    }
}

impl SpoolConfig {
    /// Sets the folder below systemd's state directory if none is configured.
    pub fn use_state_directory(&mut self) {
        if self.path.is_none() {
            let directory = std::env::var_os("STATE_DIRECTORY").filter(|path| !path.is_empty());
            self.path = directory.map(|path| PathBuf::from(path).join("spool"));
        }
    }
}

/// A [`SyncPolicy`] as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSetting(pub SyncPolicy);

impl<'de> Deserialize<'de> for SyncSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let policy = match text.as_str() {
            "always" => SyncPolicy::Always,
            "never" => SyncPolicy::Never,
            text => SyncPolicy::Within(humantime::parse_duration(text).map_err(|_| {
                serde::de::Error::custom(format!(
                    "{text:?}: expected a duration such as \"1s\", \"always\" or \"never\""
                ))
            })?),
        };
        Ok(Self(policy))
    }
}

impl From<SyncSetting> for SyncPolicy {
    fn from(sync: SyncSetting) -> Self {
        sync.0
    }
}
