//! Names of fields, each once.

/// The id of a device.
pub const DEVICE_ID: &str = "device_id";
/// A temperature, in decimal degrees Celsius.
pub const TEMPERATURE: &str = "temperature";
/// The reason for a missing temperature.
pub const FAULT: &str = "fault";
/// Milliseconds since 1970 UTC.
pub const TIMESTAMP: &str = "timestamp";
/// The name of the agent that wrote the entry.
pub const AGENT: &str = "agent";
/// The number of the entry in its agent's run.
pub const SEQ: &str = "seq";
/// The last number of the agent's run before this one.
pub const PREV: &str = "prev";
/// The reason for missing numbers before this entry, where its agent knows it.
pub const GAP: &str = "gap";
/// Milliseconds that the agent's clock is ahead of Redis' clock, reported now and then.
pub const SKEW: &str = "skew";
/// All readings of a tick.
pub const READINGS: &str = "readings";
