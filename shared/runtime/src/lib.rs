//! What both Rackwatch programs need to start, connect to Redis and stop.
//!
//! In: a configuration file, the environment, signals and Redis' answers. Out: checked settings,
//! log lines, a token that says "stop", and connections. Nothing here knows a reading or an alert.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod error;
pub mod host;
pub mod logging;
pub mod redis;
pub mod shutdown;
pub mod tls;
