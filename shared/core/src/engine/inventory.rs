//! Inventory changes: devices and hardware with another place than before.
//!
//! A device keeps its id for as long as its agent gives it the same one; another rack, host, target or agent is
//! worth a line. Hardware with a globally unique number (a drive by its serial number, a graphics processor by
//! its UUID) is recognised under another id, so that its history can be found.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::device::{Description, DeviceId};

/// A device or a piece of hardware that changed its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryChange {
    /// The present device id.
    #[serde(rename = "device")]
    pub device: DeviceId,
    /// The id before, usually the same.
    #[serde(rename = "was")]
    pub was: DeviceId,
    /// The place before the change.
    #[serde(rename = "from")]
    pub from: InventoryPlace,
    /// The place after the change.
    #[serde(rename = "to")]
    pub to: InventoryPlace,
}

/// The place of a device: who reads it, and where it is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryPlace {
    /// The agent that reads it.
    #[serde(rename = "agent")]
    pub agent: String,
    /// The host that it belongs to.
    #[serde(rename = "host")]
    pub host: String,
    /// The target that the agent polls for it.
    #[serde(rename = "target")]
    pub target: String,
    /// The rack, if it is known.
    #[serde(rename = "rack")]
    pub rack: Option<String>,
    /// Height in the rack, in rack units.
    #[serde(rename = "u")]
    pub u: Option<u16>,
}

impl InventoryPlace {
    fn of(description: &Description) -> Self {
        Self {
            agent: description.agent.clone(),
            host: description.host.clone(),
            target: description.target.clone(),
            rack: description.rack.clone(),
            u: description.u,
        }
    }
}

/// The device and the place of each piece of hardware with a unique number.
#[derive(Debug, Default)]
pub(super) struct Hardware(HashMap<String, (DeviceId, InventoryPlace)>);

impl Hardware {
    /// Takes in the description of a device; `before` is its last one. A device that is entirely new is no
    /// change.
    pub(super) fn describe(
        &mut self,
        device: &DeviceId,
        before: Option<&Description>,
        now: &Description,
    ) -> Option<InventoryChange> {
        let to = InventoryPlace::of(now);
        let known = now.hardware.as_ref().and_then(|hardware| {
            let known = (device.clone(), to.clone());
            self.0.insert(hardware.clone(), known)
        });
        let (was, from) = match (before, known) {
            (Some(before), _) => (device.clone(), InventoryPlace::of(before)),
            (None, Some(known)) => known,
            (None, None) => return None,
        };
        (was != *device || from != to).then(|| InventoryChange {
            device: device.clone(),
            was,
            from,
            to,
        })
    }
}
