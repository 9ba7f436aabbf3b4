//! The agent from outside: what it writes to a real Redis, and how it ends.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared helpers have to fail the test too"
)]

mod commands;
mod fake;
mod golden;
mod network;
mod publish;
mod refused;
mod routes;
mod sampling;
mod site;
mod sources;
mod spool;
mod target_keys;
mod targets;
