//! Start, configuration, Redis connections and stop, for both Rackwatch programs.
//!
//! In: a configuration file, the environment, signals and Redis replies. Out: checked settings, log
//! lines, a cancellation token, and connections. Nothing here depends on readings or alerts.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod error;
pub mod host;
pub mod logging;
pub mod redis;
pub mod shutdown;
pub mod tls;
