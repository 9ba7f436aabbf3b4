//! The collector as its users and its neighbours in Redis see it.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on must stop, and says why"
)]

mod backlog;
mod chaos;
mod cluster;
mod commands;
mod golden;
mod incidents;
mod indices;
mod losses;
mod no_data;
mod owners;
mod partitions;
mod pipeline;

mod restarts;
mod rig;
mod same_records;
mod series;
mod simulated;
mod stored;
mod trouble;
mod web;
