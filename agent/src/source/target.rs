//! The parts that all kinds of targets share: keys, secrets, and the way to a source.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rackwatch_runtime::config::tagged::EntryError;
use rackwatch_runtime::config::{self, Secret};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Source;
use super::lanes::Lanes;
use crate::name::{self, Name};

/// Keys of every `[[targets]]` entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetCommon {
    /// Name in device ids, alerts and logs, unique among the targets.
    pub name: Name,
    /// Host name or address.
    pub address: String,
    /// Port; by default the one of the protocol.
    #[serde(default)]
    pub port: Option<u16>,
    /// User to log in as.
    #[serde(default)]
    pub user: Option<String>,
    /// File whose first line is the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Time between two reads; default 30 s.
    #[serde(default = "default_interval", with = "config::duration")]
    pub interval: Duration,
    /// Time after which a read counts as failed; default 20 s.
    #[serde(default = "default_deadline", with = "config::duration")]
    pub deadline: Duration,
    /// Rack that the target stands in.
    #[serde(default, deserialize_with = "name::spaced")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(default)]
    pub u: Option<u16>,
}

/// Many boards need seconds for one read, and inlet air changes slowly.
fn default_interval() -> Duration {
    Duration::from_secs(30)
}

/// Leaves a slow board two thirds of an interval.
fn default_deadline() -> Duration {
    Duration::from_secs(20)
}

/// The part of a target that its sensors' descriptions and its health need.
#[derive(Clone, Debug)]
pub struct TargetIdentity {
    /// Name of the target.
    pub name: String,
    /// Time between two reads.
    pub interval: Duration,
    /// Rack that the target stands in.
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    pub u: Option<u16>,
}

impl TargetCommon {
    /// Returns the part that descriptions and health need.
    pub fn identity(&self) -> TargetIdentity {
        TargetIdentity {
            name: self.name.to_string(),
            interval: self.interval,
            rack: self.rack.clone(),
            u: self.u,
        }
    }

    /// Returns the part of the deadline that a read may take: its result must arrive before the
    /// sampler gives up.
    pub fn read_timeout(&self) -> Duration {
        self.deadline * 19 / 20
    }

    /// Reads the password, if a file is set.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn password(&self) -> Result<Option<Secret>, TargetError> {
        self.secret(self.password_file.as_deref())
    }

    /// Reads the first line of a secret's file, if one is set.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn secret(&self, file: Option<&Path>) -> Result<Option<Secret>, TargetError> {
        let Some(path) = file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|source| TargetError::Secret {
            target: self.name.to_string(),
            path: path.to_owned(),
            source,
        })?;
        let line = text.lines().next().unwrap_or_default();
        Ok(Some(Secret::from(line.to_owned())))
    }

    /// Returns a constructor for `map_err`: the settings of this target are unusable.
    pub fn unusable<E: Error + Send + Sync + 'static>(&self) -> impl FnOnce(E) -> TargetError {
        let target = self.name.to_string();
        move |error| TargetError::Settings {
            target,
            source: Box::new(error),
        }
    }
}

/// Resources that targets share.
#[derive(Clone, Debug)]
pub struct TargetContext {
    /// Program that reads IPMI, `sources.ipmi.program`.
    #[cfg(unix)]
    pub ipmitool: String,
    /// Limits of concurrent attempts.
    pub lanes: Lanes,
}

/// Keys of one kind of target.
pub trait TargetSettings: DeserializeOwned {
    /// Checks keys that depend on each other.
    ///
    /// # Errors
    ///
    /// When a key is missing or wrong; the error names it.
    fn check(&self, _common: &TargetCommon) -> Result<(), EntryError> {
        Ok(())
    }

    /// Returns the source that reads the target.
    ///
    /// # Errors
    ///
    /// When a file that the settings name is unusable.
    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError>;
}

/// A target that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file of a secret cannot be read.
    #[error("cannot read a secret of target {target:?} in {}", path.display())]
    Secret {
        /// Name of the target.
        target: String,
        /// File that cannot be read.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The settings are unusable.
    #[error("cannot use the settings of target {target:?}")]
    Settings {
        /// Name of the target.
        target: String,
        /// Setting that the source refuses.
        source: Box<dyn Error + Send + Sync>,
    },
}
