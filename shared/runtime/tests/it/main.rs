//! The runtime against a real `redis-server`, and real signals.

mod connecting;
mod logged;
mod outage;
mod replies;
mod stopping;
