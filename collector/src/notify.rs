//! Notifications: alerts to the console and to files, incidents to people.
//!
//! ```text
//!  anomaly_alerts      ─▶ alert_sink ─▶ console, file           every alert, as a line or as JSON
//!  rackwatch:incidents ─▶ outbox ─▶ route ─▶ notifiers/…        notifications, until they are delivered
//!                            └─▶ delivery_log                   the state of each delivery, for people
//!  heartbeat ─▶ an outside monitor                              while everything works
//! ```
//!
//! Both read a stream through a consumer group of their own, and acknowledge an entry only after it is written or
//! delivered.

pub mod alert_sink;
mod config;
pub mod console;
pub mod delivery_log;
mod error;
#[cfg(test)]
pub(crate) mod example;
pub mod file;
mod heartbeat;
mod http;
pub mod line;
mod notifier;
mod notifiers;
pub mod outbox;
pub mod route;
mod text;

pub use alert_sink::{AlertSink, SinkError, SinkThread};
pub use config::{CommonConfig, NotifierConfig, NotifierName};

pub use error::{SetupError, SetupErrorKind};
pub use heartbeat::{Heartbeat, HeartbeatConfig};
pub use notifier::{Message, Notifier, NotifierContext, NotifierType, SendOutcome};
pub use notifiers::NotifierKind;
