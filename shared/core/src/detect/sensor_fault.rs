//! Lasting faults: a device that could be read once and no longer can.
//!
//! The rule's `for` is how long a fault must last. A device that was never read is absent rather than
//! broken: a slot without a module, a probe that was never plugged in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{Decision, Detector, DeviceTraits, Finding, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{On, keys};
use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Phrase};
use crate::severity::Severity;

keys! {
    /// The keys of `sensor_fault`.
    pub struct FaultKeys {
        INFO, WARNING, CRITICAL: On
    }
}

/// `sensor_fault`: a sensor that cannot be read any more.
#[derive(Clone, Copy, Debug)]
pub struct SensorFault;

impl AnomalyKind for SensorFault {
    const INFO: KindInfo = KindInfo {
        headline: "cannot be read",
        rank: 1,
        unit: "s",
        ..KindInfo::new("sensor_fault", "read failure", Family::NoData)
    };

    type Payload = FaultPayload;

    /// Returns nothing: the duration follows.
    fn phrase(_payload: Option<&FaultPayload>, _facts: &AlertFacts) -> Phrase {
        Phrase::default()
    }

    fn without_temperature(payload: Option<&FaultPayload>, _facts: &AlertFacts) -> String {
        let reason = payload.map_or("no reading", |fault| fault.reason.as_str());
        format!("cannot be read ({reason})")
    }
}

/// A sensor that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPayload {
    /// The fault as its agent named it, such as `timeout`.
    pub reason: String,
}

impl Payload for FaultPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        Some(Self {
            reason: extras.reason?,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            reason: Some(self.reason.clone()),
            ..Extras::default()
        }
    }
}

impl Detector for SensorFault {
    type Keys = FaultKeys;
    type Spec = FaultSpec;

    fn spec(
        keys: &FaultKeys,
        _pending_for: Option<Duration>,
        _device: &DeviceTraits<'_>,
    ) -> Option<FaultSpec> {
        let severity = keys.levels.severity()?;
        Some(FaultSpec { severity })
    }

    /// A sensor that is read seldom must fail three times.
    fn pending_for(
        _keys: &FaultKeys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Duration {
        pending_for.unwrap_or_default().max(device.interval * 3)
    }
}

/// The parameters of a lasting fault.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// The severity of its alerts.
    pub severity: Severity,
}

impl Spec for FaultSpec {
    type State = FaultState;
    const SEES_FAULTS: bool = true;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.text(self.severity.name());
    }

    fn threshold(&self, severity: Severity, pending_for: Duration) -> Option<f64> {
        (severity == self.severity).then_some(pending_for.as_secs_f64())
    }

    fn observe(&self, state: &mut FaultState, _now: &Observation) -> Decision {
        state.has_read = true;
        Decision::Decided(None)
    }

    fn observe_fault(&self, state: &FaultState) -> Option<Finding> {
        state.has_read.then(|| Finding::of(self.severity))
    }
}

/// Whether a device was ever read. In JSON `true` or `false`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultState {
    has_read: bool,
}
