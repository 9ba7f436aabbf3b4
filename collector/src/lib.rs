//! The collector: reads what agents publish, keeps it as series, detects anomalies, and notifies
//! people.
//!
//! The modules stand in the order in which a reading passes them.

pub mod config;
pub mod stored;
pub mod failpoint;
pub mod progress;
pub mod peers;
pub mod stats;
pub mod stage;
pub mod muting;
pub(crate) mod fencing;
pub(crate) mod claims;
pub(crate) mod waiting;
pub(crate) mod optional_key;

pub(crate) mod ownership;
pub mod series;
pub mod ingest;

pub mod feed;
pub mod incidents;
pub mod indices;
pub mod notify;

pub(crate) mod health;
pub(crate) mod web;

pub(crate) mod analysis;

pub mod cli;

pub(crate) mod app;
