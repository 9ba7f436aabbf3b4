//! Rackwatch's core: every decision, and every format on the wire.
//!
//! Pure: no I/O, no clock, no global state. Readings and time come in as data; alert records and episode
//! changes go out as data. The modules are listed in the order in which data flows through them.

pub mod hash;
pub mod words;
pub mod name;
pub mod stored;
pub mod units;
pub mod time;
pub mod device;
pub mod reading;
pub mod quality;
pub mod subject;
mod sequence;
mod severity;

pub mod detect;
pub mod alert;
pub mod site;
pub mod partition;
pub mod clock_offsets;
pub mod keys;
pub mod wire;

pub mod indices;
pub mod episode;
pub mod rules;
pub mod loss_ledger;
pub mod engine;
pub mod incident;

pub mod thermal;
