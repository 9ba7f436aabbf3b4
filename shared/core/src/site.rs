//! The site: the location of devices and racks, and the coolers that feed them.
//!
//! The operator writes it once for all agents. An entry of the site wins over the description that an agent writes, and
//! that wins over the rack in a device id. A later entry of the site wins over an earlier one, key by key.

mod checked;
mod error;
mod file;
mod spot;

pub use checked::Site;
pub use error::SiteError;
pub use file::{RawDevices, RawRacks, RawSite, StoredSite};
pub use spot::Spot;
