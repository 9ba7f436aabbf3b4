//! One device in the engine: its description, its plan, and the state of each rule.
//!
//! | file | about |
//! | --- | --- |
//! | `state` | the state itself, and its description |
//! | `plan` | a new plan, and stored episodes after a restart |
//! | `reading` | a reading, from its timestamp to its rules |
//! | `jump`, `held_jump` | a reading far away from the one before |
//! | `evaluate` | the rules |
//! | `absence` | no readings at all |
//! | `duplicated` | readings of several agents of one name |
//! | `outage` | a target that does not answer |
//! | `saved` | the stored form |
//! | `writer` | the last reading of each of its writers |

mod absence;
mod duplicated;
mod evaluate;
mod held_jump;
mod jump;
mod outage;
mod plan;
mod reading;
mod saved;
mod state;
mod writer;

use std::collections::HashMap;

use crate::device::DeviceId;

pub(super) use reading::FollowUp;
pub(super) use saved::SavedDevice;
pub(super) use state::Device;

/// The devices of one partition.
pub(super) type Devices = HashMap<DeviceId, Box<Device>>;
