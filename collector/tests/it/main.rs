//! The collector from outside: its commands, its API, and what it reads and writes in Redis.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests may panic, and are written for brevity"
)]

mod backlog;
mod chaos;
mod clocks;
mod cluster;
mod commands;
mod duplicates;
mod foreign_consumers;
mod golden;
mod incidents;
mod indices;
mod losses;
mod many_devices;
mod names;
mod no_data;
mod owners;
mod partitions;
mod pipeline;
mod readiness;
mod restarts;
mod rig;
mod rolling;
mod same_records;
mod series;
mod simulated;
mod sinks;
mod stored;
mod trouble;
mod vanished;
mod web;
mod wrong_keys;
