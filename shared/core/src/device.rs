//! Devices: one sensor each, with its id, role, hardware limits and description.

mod data_state;
mod description;
mod hardware;
mod id;
mod role;

pub use data_state::{DataFacts, DataState};
pub use description::Description;
pub use hardware::{HardwareLimits, Range, Verdict};
pub use id::{DeviceId, DeviceIdError};
pub use role::Role;
