//! The agent: reads the temperatures of a rack host and publishes them.
//!
//! The modules are listed in the order in which readings pass through them.

pub mod name;

pub mod config;

pub mod source;

pub mod host_clock;

pub mod sampler;

pub mod inventory;

pub mod spool;

pub mod backlog;

pub mod publisher;

pub mod app;

pub mod command;
