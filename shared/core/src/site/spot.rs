//! Locations of devices and alerts.

use serde::{Deserialize, Serialize};

/// The location of a device. Unknown parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spot {
    /// The name of the rack.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rack: String,
    /// The name of the row.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub row: String,
    /// The name of the room, or the agent's zone if the site names no room.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// The names of the coolers that feed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coolers: Vec<String>,
}
