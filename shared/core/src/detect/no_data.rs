//! Missing data: a device whose readings no longer arrive.
//!
//! A device without readings has nothing to observe, so the engine itself measures the absence. This is
//! the part that rules configure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{Decision, Detector, DeviceTraits, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{On, keys};
use super::kind::{AlertFacts, AnomalyKind, Family, KindInfo, NoPayload, Phrase};
use crate::severity::Severity;

keys! {
    /// The keys of `no_data`.
    pub struct AbsenceKeys {
        INFO, WARNING, CRITICAL: On
    }
}

/// `no_data`: no readings arrive any more.
#[derive(Clone, Copy, Debug)]
pub struct NoData;

impl AnomalyKind for NoData {
    const INFO: KindInfo = KindInfo {
        rank: 2,
        unit: "s",
        symptom: Some("sends no data"),
        ..KindInfo::new("no_data", "no data", Family::NoData)
    };

    type Payload = NoPayload;

    /// Returns nothing: the duration follows.
    fn phrase(_payload: Option<&NoPayload>, _facts: &AlertFacts) -> Phrase {
        Phrase::default()
    }

    fn without_temperature(_payload: Option<&NoPayload>, facts: &AlertFacts) -> String {
        let words = if facts.is_firing {
            "no data"
        } else {
            "sends data again"
        };
        words.to_owned()
    }
}

impl Detector for NoData {
    type Keys = AbsenceKeys;
    type Spec = AbsenceSpec;

    fn spec(
        keys: &AbsenceKeys,
        _pending_for: Option<Duration>,
        _device: &DeviceTraits<'_>,
    ) -> Option<AbsenceSpec> {
        let severity = keys.levels.severity()?;
        Some(AbsenceSpec { severity })
    }

    /// A sensor that is read seldom must miss three readings.
    fn pending_for(
        _keys: &AbsenceKeys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Duration {
        pending_for.unwrap_or_default().max(device.interval * 3)
    }
}

/// The parameters of an absence.
#[derive(Clone, Debug, PartialEq)]
pub struct AbsenceSpec {
    /// The severity of its alerts.
    pub severity: Severity,
}

impl Spec for AbsenceSpec {
    type State = AbsenceState;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.text(self.severity.name());
    }

    fn threshold(&self, severity: Severity, pending_for: Duration) -> Option<f64> {
        (severity == self.severity).then_some(pending_for.as_secs_f64())
    }

    fn observe(&self, _state: &mut AbsenceState, _now: &Observation) -> Decision {
        Decision::Decided(None)
    }
}

/// Nothing: the engine keeps when a device was read last. In JSON `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbsenceState;
