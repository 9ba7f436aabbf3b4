//! `[[devices]]`: the operator's settings for single devices.
//!
//! In: entries with a glob over device ids. Out: changes to the descriptions of their sources.

use globset::{Glob, GlobMatcher};
use rackwatch_core::device::{Description, DeviceId, Role};
use serde::Deserialize;

use crate::name;

/// One `[[devices]]` entry. Absent keys leave the source's description unchanged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// Devices to change: a glob over device ids, such as `cpu-*` or `disk-node7-?`.
    #[serde(rename = "match")]
    pub matching: DeviceGlob,
    /// Role of the devices.
    #[serde(default)]
    pub role: Option<Role>,
    /// Rack that they stand in.
    #[serde(default, deserialize_with = "name::spaced")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(default)]
    pub u: Option<u16>,
    /// Display name on pages and in alerts.
    #[serde(default, deserialize_with = "name::spaced")]
    pub name: Option<String>,
    /// Whether to neither describe nor publish them.
    #[serde(default)]
    pub off: Option<bool>,
}

impl DeviceConfig {
    /// Applies this entry to `description`.
    pub fn apply(&self, description: &mut Description) {
        if let Some(role) = self.role {
            description.role = role;
        }
        if let Some(rack) = &self.rack {
            description.rack = Some(rack.clone());
        }
        if let Some(u) = self.u {
            description.u = Some(u);
        }
        if let Some(name) = &self.name {
            description.name.clone_from(name);
        }
    }
}

/// A pattern over device ids: `*` matches any text, `?` one character, `[ab]` one of a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct DeviceGlob(GlobMatcher);

/// Text that is not a [`DeviceGlob`].
#[derive(Debug, thiserror::Error)]
#[error("expected a pattern over device ids such as \"cpu-*\": {0}")]
pub struct InvalidGlob(globset::Error);

impl DeviceGlob {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// When the syntax is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidGlob> {
        let glob = Glob::new(text).map_err(InvalidGlob)?;
        Ok(Self(glob.compile_matcher()))
    }

    /// Returns whether `device` matches.
    pub fn matches(&self, device: &DeviceId) -> bool {
        self.0.is_match(device.as_str())
    }
}

impl PartialEq for DeviceGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl TryFrom<String> for DeviceGlob {
    type Error = InvalidGlob;

    fn try_from(text: String) -> Result<Self, InvalidGlob> {
        Self::new(&text)
    }
}
