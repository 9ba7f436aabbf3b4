//! The agent: reads a rack host's temperatures and publishes them.
//!
//! The modules stand in the order in which a reading passes them.

pub mod config;

pub mod source;

pub mod sampler;

pub mod inventory;

pub mod spool;
pub mod backlog;

pub mod publisher;

pub mod app;

pub mod command;
