//! What the operator says of single devices.
//!
//! In: `[[devices]]` entries with a glob over device ids. Out: changes to what a source guessed.

use globset::{Glob, GlobMatcher};
use rackwatch_core::device::{Description, DeviceId, Role};
use serde::Deserialize;

/// One `[[devices]]` entry; what it leaves out stays as the source says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// Which devices: a glob over device ids, such as `cpu-*` or `disk-node7-?`.
    #[serde(rename = "match")]
    pub matching: DeviceGlob,
    /// What they measure.
    #[serde(default)]
    pub role: Option<Role>,
    /// The rack they stand in.
    #[serde(default)]
    pub rack: Option<String>,
    /// Their height in the rack, in rack units from the floor.
    #[serde(default)]
    pub u: Option<u16>,
    /// What people call them.
    #[serde(default)]
    pub name: Option<String>,
    /// Neither described nor published.
    #[serde(default)]
    pub off: Option<bool>,
}

impl DeviceConfig {
    /// Changes `description` as this entry says.
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

/// A pattern over device ids: `*` is any text, `?` one character, `[ab]` one of a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct DeviceGlob(GlobMatcher);

/// The text is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("not a pattern over device ids: {0}")]
pub struct NotAGlob(globset::Error);

impl DeviceGlob {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, NotAGlob> {
        let glob = Glob::new(text).map_err(NotAGlob)?;
        Ok(Self(glob.compile_matcher()))
    }

    /// Whether `device` is meant.
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
    type Error = NotAGlob;

    fn try_from(text: String) -> Result<Self, NotAGlob> {
        Self::new(&text)
    }
}
