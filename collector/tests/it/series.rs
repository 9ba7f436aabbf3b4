//! The same scenarios over all three places where series live: a real Redis without time series,
//! a stand-in with them, and memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here has to fail the test"
)]

mod place;
mod random;
mod scenarios;
mod special;
