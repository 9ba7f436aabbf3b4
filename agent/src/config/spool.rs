//! `[spool]`: what goes to disk while Redis is away.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_runtime::config::{self, ByteSize};
use serde::{Deserialize, Deserializer};

use crate::spool::SyncPolicy;

/// More than a day of a hundred sensors a second.
const MAX_BYTES: ByteSize = ByteSize(256 << 20);

/// What goes to disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// The folder, of this agent alone; default the `spool` folder in the state directory that
    /// systemd gives the service, and none elsewhere: then nothing goes to disk.
    pub path: Option<PathBuf>,
    /// How many bytes it may take before the oldest readings are dropped; default 256 MiB.
    pub max_bytes: ByteSize,
    /// How old readings may become in it before they are dropped; default 48 h, as long as
    /// collectors keep readings.
    #[serde(with = "config::duration")]
    pub max_age: Duration,
    /// How long after a write it is synced: a duration, `always` or `never`; default 1 s.
    pub sync: Sync,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            path: None,
            max_bytes: MAX_BYTES,
            max_age: Duration::from_hours(48),
            sync: Sync(SyncPolicy::Within(Duration::from_secs(1))),
        }
    }
}

impl SpoolConfig {
    /// Takes the folder that systemd gives the service where none is configured.
    pub fn or_state_directory(&mut self) {
        if self.path.is_none() {
            let given = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty());
            self.path = given.map(|given| PathBuf::from(given).join("spool"));
        }
    }
}

/// When what was written is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync(pub SyncPolicy);

impl<'de> Deserialize<'de> for Sync {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let policy = match text.as_str() {
            "always" => SyncPolicy::Always,
            "never" => SyncPolicy::Never,
            text => SyncPolicy::Within(humantime::parse_duration(text).map_err(|_| {
                serde::de::Error::custom(format!(
                    "{text:?} is neither a duration such as \"1s\" nor \"always\" or \"never\""
                ))
            })?),
        };
        Ok(Self(policy))
    }
}

impl From<Sync> for SyncPolicy {
    fn from(sync: Sync) -> Self {
        sync.0
    }
}
