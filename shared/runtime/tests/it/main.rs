//! The runtime against a real `redis-server`, and real signals.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has to fail its test"
)]

mod certificates;
mod connecting;
mod logged;
mod outage;
mod replies;
mod rotation;
mod stopping;
