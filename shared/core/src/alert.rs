//! Alerts: the records written to `anomaly_alerts`, one each time an episode changes.

mod id;
mod record;
mod state;

pub use id::AlertId;
pub use record::{AlertRecord, EndedBy, Resolution};
pub use state::AlertState;

pub use crate::detect::{AlertFacts, AlertKind, Detail, Extras};
pub use crate::severity::Severity;
