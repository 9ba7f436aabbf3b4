//! The core as its users drive it.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::items_after_statements,
    reason = "tests may panic, and are written for brevity"
)]

mod absence;
mod clocks;
mod decoding;
mod device_kinds;
mod duplicates;
mod evaluating;
mod golden;
mod growth;
mod halls;
mod incident_bounds;
mod incidents;
mod inventory;
mod jumps;
mod outage;
mod properties;
mod quality;
mod racks;
mod regroup;
mod restored;
mod resuming;
mod rule_levels;
mod rules;
mod runaway;
mod stale;
mod states;
mod stored;
mod stored_incidents;
mod subjects;
mod trace;
