//! Notifications: alerts to the console and to files, incidents to people.
//!
//! ```text
//!  anomaly_alerts      ─▶ alert_sink ─▶ console, file           every alert, as a line or as JSON
//!  rackwatch:incidents ─▶ outbox ─▶ route ─▶ notifiers/…        for each recipient, until it is delivered
//!                            └─▶ delivery_log                   the state of each delivery, for people
//!  heartbeat ─▶ an outside monitor                              while everything works
//! ```
//!
//! Alert sinks read through a consumer group, recipients from a position of their own. Both acknowledge an entry only
//! after it is written or delivered. A notifier that fails is reported through the others (`failures`).

pub mod alert_sink;
mod config;
pub mod console;
pub mod delivery_log;
mod error;
#[cfg(test)]
pub(crate) mod example;
pub(crate) mod failures;
pub mod file;
mod heartbeat;
mod http;
pub mod line;
mod notifier;
mod notifiers;
pub mod outbox;
pub mod published;
pub mod route;
mod text;

pub use alert_sink::{AlertSink, SinkError, SinkThread};
pub use config::{CommonConfig, NotifierConfig, NotifierName};

pub use error::{SetupError, SetupErrorKind};
pub use failures::Failures;
pub use heartbeat::{Heartbeat, HeartbeatConfig};
pub use notifier::{Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome};
pub use notifiers::NotifierKind;
