//! The site file, as operators write it and as Redis holds it.

use serde::{Deserialize, Serialize};

use crate::device::{HardwareLimits, Role};
use crate::stored::{IfRefused, StoredValue};

/// The content of a site file, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSite {
    /// The `[[racks]]` tables: location and cooling of racks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<RawRacks>,
    /// The `[[devices]]` tables: location and role of devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<RawDevices>,
}

/// One `[[racks]]` table of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRacks {
    /// Globs for the names of the racks.
    pub rack: Vec<String>,
    /// The name of their row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The name of their room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The names of the coolers that feed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooler: Option<Vec<String>>,
}

/// One `[[devices]]` table. A device must match each of `host`, `agent`, `target` and `device` that is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDevices {
    /// Globs for the agent's host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<String>,
    /// Globs for the name of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent: Vec<String>,
    /// Globs for the name of the target: a BMC, a cooler.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<String>,
    /// Globs for the device id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<String>,
    /// The name of the rack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units from the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u: Option<u16>,
    /// The kind of measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The display name of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Limits that replace those of the hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<HardwareLimits>,
    /// The name of the row, if there is no rack, or if it differs from the rack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The name of the room, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The names of the coolers that feed the location, or that the sensors belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooler: Option<Vec<String>>,
}

/// The content of a site file, as the field `site` of `rackwatch:site` holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSite {
    /// The content of the file.
    pub site: RawSite,
}

impl StoredValue for StoredSite {
    const NAME: &'static str = "site";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::HasNoEffect(
        "use the version of Rackwatch that wrote it, or apply the site file with `rackwatch-collector site apply \
         --replace`",
    );
}
