//! Incidents: alerts with one cause, and what operators do about them.
//!
//! `correlate` groups the alerts of all partitions, `operator_actions` stores acknowledgements, silences and maintenance
//! windows, `resolve` asks for the end of alerts, `windows` decides when windows are open, `site` reads the placement of devices, and `episodes` the open
//! episodes.

pub mod site;
pub mod episodes;
pub mod windows;
pub mod operator_actions;
pub mod resolve_request;
pub mod resolve;
pub mod correlate;
