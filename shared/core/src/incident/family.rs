//! Families of alerts: only alerts of one family can share a cause.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertKind, AlertRecord};

/// The kind of trouble that an incident is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Too hot, or getting hotter.
    Heat,
    /// Too cold, or getting colder.
    Cold,
    /// No data, or no valid data, from sensors and agents.
    NoData,
    /// One sensor whose readings are not plausible.
    Sensor,
}

impl Family {
    /// Returns the family of an alert record.
    pub fn of(record: &AlertRecord) -> Self {
        let change = record.detail.extras().change;
        let is_below = change.is_some_and(|change| change < 0.0);
        match record.kind() {
            AlertKind::Drift | AlertKind::Outlier if is_below => Self::Cold,
            kind => Self::of_kind(kind),
        }
    }

    /// Returns the family of an alert type. Drift and outliers count as heat, since the type does not show their
    /// direction.
    pub fn of_kind(kind: AlertKind) -> Self {
        match kind {
            AlertKind::LowTemp | AlertKind::Drop => Self::Cold,
            AlertKind::HighTemp
            | AlertKind::Spike
            | AlertKind::Runaway
            | AlertKind::Drift
            | AlertKind::Outlier => Self::Heat,
            AlertKind::NoData | AlertKind::SensorFault | AlertKind::ClockSkew => Self::NoData,
            AlertKind::StuckSensor => Self::Sensor,
        }
    }
}
