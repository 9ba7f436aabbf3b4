//! The collector: reads what agents publish, keeps it as series, finds what is wrong, and tells
//! people.
//!
//! The modules stand in the order in which a reading passes them.

pub mod config;
pub mod retry;
pub mod scan;
pub(crate) mod server;
pub mod episodes;
pub mod failpoint;

pub mod share;
pub mod lease;
pub mod owner;
pub mod desk;
pub mod migration;
pub mod site;
pub mod log;
pub mod series;
pub mod recorder;
pub mod partition;
pub mod stats;

pub mod feed;
pub mod windows;
pub mod acts;
pub mod correlate;
pub mod indices;
pub(crate) mod history;
pub(crate) mod health;
pub mod notify;
pub mod view;
pub(crate) mod web;

pub mod replay;
pub mod drill;

pub mod command;

pub mod app;
