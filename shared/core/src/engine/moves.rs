//! Moves: hardware that stands or is read elsewhere than before.
//!
//! A device keeps its name as long as its agent gives it the same; that it has another rack, host, target or agent
//! is worth a line. A piece of hardware that can be told from any other in the world (a drive by its serial
//! number, a graphics processor by its UUID) is known again under another name, so that its history is found.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::device::{Description, DeviceId};

/// Something is elsewhere than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its name now.
    pub device: DeviceId,
    /// Its name before, mostly the same.
    pub was: DeviceId,
    /// Where it was.
    pub from: Stand,
    /// Where it is.
    pub to: Stand,
}

/// Where something stands, and who reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The agent that reads it.
    pub agent: String,
    /// The host it belongs to.
    pub host: String,
    /// What is asked for it.
    pub target: String,
    /// The rack.
    pub rack: Option<String>,
    /// Its height in the rack.
    pub u: Option<u16>,
}

impl Stand {
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

/// Which device each piece of hardware is known as, and where it stands.
#[derive(Debug, Default)]
pub(super) struct Hardware(HashMap<String, (DeviceId, Stand)>);

impl Hardware {
    /// A device is described; `before` is what was known of it. What is new to all is no move.
    pub(super) fn describe(
        &mut self,
        device: &DeviceId,
        before: Option<&Description>,
        now: &Description,
    ) -> Option<Move> {
        let to = Stand::of(now);
        let known = now.hardware.as_ref().and_then(|hardware| {
            let known = (device.clone(), to.clone());
            self.0.insert(hardware.clone(), known)
        });
        let from = match (before, known) {
            (Some(before), _) => (device.clone(), Stand::of(before)),
            (None, Some(known)) => known,
            (None, None) => return None,
        };
        let (was, from) = from;
        (was != *device || from != to).then(|| Move {
            device: device.clone(),
            was,
            from,
            to,
        })
    }
}
