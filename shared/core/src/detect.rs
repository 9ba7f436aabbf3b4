//! Detectors: each looks at the readings of one device and rates them, reading by reading.
//!
//! A detector owns all that is particular about it: its keys with their checks and defaults, its parameters,
//! its state, and its words. One file below this module implements [`AnomalyKind`], [`Detector`] and [`Spec`];
//! one line in the `registry!` below makes it known to rules, engine, commands, API and pages.

pub mod clock_skew;
pub mod detector;
mod differences;
pub mod drift;
pub mod duplicate_agent;
pub mod fingerprint;
pub mod keys;
pub mod kind;
pub mod limit;
pub mod no_data;
pub mod outlier;
mod registry;
pub mod runaway;
mod saved;
pub mod sensor_fault;
pub mod stuck;
pub mod swing;
pub mod trend;
pub mod usual;

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use detector::{Compares, Decision, Detector, DeviceTraits, Finding, Observation, Peer, Spec};
pub use keys::{KeyInfo, RawValue};
pub use kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Peak, Phrase, Side};
pub use saved::SavedState;

use self::fingerprint::SpecFingerprint;
use self::keys::Keys;
use self::registry::registry;
use crate::device::Role;
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::Celsius;

registry! {
    rules {
        limit: HighTemp, LowTemp;
        swing: Spike, Drop;
        drift: Drift;
        runaway: Runaway;
        outlier: Outlier;
        stuck: StuckSensor;
        sensor_fault: SensorFault;
        no_data: NoData;
    }
    always {
        clock_skew: ClockSkew;
        duplicate_agent: DuplicateAgent;
    }
}

impl DetectorState {
    /// Stands for a state that was taken out for a moment.
    pub(crate) const PLACEHOLDER: Self = Self::HighTemp(limit::LimitState::CLEAR);
}

impl AlertKind {
    /// Returns the word on the wire and in rules.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns the kind with this word.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.name() == name)
    }

    /// Returns the words of all kinds that rules configure, as `high_temp, … or no_data`.
    pub fn rule_names() -> String {
        let names = Self::RULES.map(Self::name);
        match names.split_last() {
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for AlertKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for AlertKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::from_name(&name)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&name), &"a type of alert"))
    }
}

/// Returns the first level that is not beyond every milder one: it would hide the milder one.
fn first_misplaced(ranks: [Option<f64>; 3], worse_is_lower: bool) -> Option<(Severity, f64)> {
    let mut milder: Option<f64> = None;
    for (rank, severity) in ranks.into_iter().zip(Severity::ALL) {
        let Some(rank) = rank else { continue };
        let is_beyond = |milder: f64| {
            if worse_is_lower {
                rank < milder
            } else {
                rank > milder
            }
        };
        if !milder.is_none_or(is_beyond) {
            return Some((severity, rank));
        }
        milder = Some(rank);
    }
    None
}
