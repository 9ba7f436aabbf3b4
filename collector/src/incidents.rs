//! Incidents: alerts with one cause, and what operators do about them.
//!
//! `correlate` groups the alerts of all partitions, `acts` carries out what operators ask for,
//! `windows` holds planned maintenance, `site` the placement of devices, and `episodes` reads what
//! is open.

pub mod site;
pub mod episodes;
pub mod windows;
pub mod acts;
pub mod correlate;
