//! A reading that is held back until the next one.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::units::Celsius;

/// A jump that waits to be confirmed. In JSON an array.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "HeldJson", into = "HeldJson")]
pub(in crate::engine) struct HeldJump {
    /// The reading.
    pub(super) at: Timestamp,
    pub(super) value: Celsius,
    /// The time at which it was heard, by the count of listening.
    pub(super) heard: u64,
}

type HeldJson = (Timestamp, Celsius, u64);

impl From<HeldJson> for HeldJump {
    fn from((at, value, heard): HeldJson) -> Self {
        Self { at, value, heard }
    }
}

impl From<HeldJump> for HeldJson {
    fn from(held: HeldJump) -> Self {
        (held.at, held.value, held.heard)
    }
}
