//! Incidents: alerts with one cause, and what operators do about them.
//!
//! `correlate` groups the alerts of all partitions, `operator_actions` stores acknowledgements, silences and maintenance
//! windows, `resolve` asks for the end of alerts, `windows` decides when windows are open, `site` reads the placement of devices, `episodes` the open
//! episodes, and `lost_episodes` those that incidents know and their partition does not.

pub mod site;
pub mod episodes;
pub mod lost_episodes;
pub mod windows;
pub mod operator_actions;
pub mod resolve_request;
pub mod resolve;
pub mod correlate;
