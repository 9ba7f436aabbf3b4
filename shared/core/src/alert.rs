//! Alerts: the records written to `anomaly_alerts`, one each time an episode changes.

mod id;
mod kind;
mod record;
mod severity;

pub use id::AlertId;
pub use kind::{
    AlertKind, ClockSkew, Detail, Drift, Extras, Outlier, Peak, Runaway, SensorFault, StuckSensor,
    Swing,
};
pub use record::{AlertRecord, Resolution};
pub use severity::{AlertState, Severity};
