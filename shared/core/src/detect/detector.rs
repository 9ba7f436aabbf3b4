//! The interface of detectors: the traits that each one implements, and the values that pass between it
//! and the engine.
//!
//! [`AnomalyKind`] has the texts of alerts, [`Detector`] turns the keys of a rule into a [`Spec`],
//! and the [`Spec`] evaluates readings with the state of one device.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fingerprint::SpecFingerprint;
use super::keys::Keys;
use super::kind::AnomalyKind;
use crate::device::{DeviceId, HardwareLimits, Role};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The result of a detector that found an anomaly in a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The worst level that is crossed.
    pub severity: Severity,
    /// The change of the temperature: unsigned for swings, signed for drifts and outliers.
    pub change: Option<Kelvin>,
    /// The window of the change, unless the severity determines it.
    pub window: Option<Duration>,
    /// The rate in kelvin per minute, if the detector knows it better than the device's trend.
    pub rate: Option<f64>,
    /// The shortest and the longest estimate of the time until the critical limit.
    pub left: Option<(Duration, Duration)>,
}

impl Finding {
    /// Returns a finding with a severity and nothing else.
    pub fn of(severity: Severity) -> Self {
        Self {
            severity,
            change: None,
            window: None,
            rate: None,
            left: None,
        }
    }

    /// Returns the finding with its change, in kelvin.
    #[must_use]
    pub fn with_change(self, change: f64) -> Self {
        Self {
            change: Some(Kelvin(change)),
            ..self
        }
    }
}

/// The newest reading of a device, as a detector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// The reading's own time; newer than that of the last observation.
    pub at: Timestamp,
    /// Time since the last observation, to the second.
    pub gap: Duration,
    /// The temperature of the reading.
    pub value: Celsius,
    /// Whether the rule has an open episode on this device.
    pub is_open: bool,
    /// The role of the sensor.
    pub role: Role,
    /// The level of the device before this reading, in °C; none at the first one. See
    /// [`UsualLevel`](super::usual::UsualLevel).
    pub usual: Option<f64>,
}

/// The result of a detector for one observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// A finding, or none.
    Decided(Option<Finding>),
    /// No decision yet: the detector compares the device with its rack first.
    NeedsRack,
    /// No decision: the episode of the rule stays as it is.
    Undecided,
}

/// The way in which a detector compares a device with its rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compares {
    /// Not at all: the readings of the device suffice.
    Nothing,
    /// Each device has its own episodes.
    Each,
    /// One episode is about the whole rack: while one is open on another device, none is looked for.
    Rack,
}

/// Another device of the rack that has the same detector.
#[derive(Debug)]
pub struct Peer<'a, S: Spec> {
    /// The parameters of its detector.
    pub spec: &'a S,
    /// The state of its detector.
    pub state: &'a S::State,
    /// The role of its sensor.
    pub role: Role,
    /// Its newest temperature, at most two minutes old.
    pub value: Celsius,
}

/// The properties of a device that decide which rules apply to it, and with which parameters.
#[derive(Clone, Debug)]
pub struct DeviceTraits<'a> {
    /// The id of the device.
    pub device: &'a DeviceId,
    /// The role of its sensor.
    pub role: Role,
    /// The rack that it stands in.
    pub rack: Option<&'a str>,
    /// The hardware's own limits, as read.
    pub limits: HardwareLimits,
    /// The smallest step of its readings.
    pub resolution: Option<Kelvin>,
    /// The time between two readings; zero where it is unknown.
    pub interval: Duration,
}

impl DeviceTraits<'_> {
    /// The step that is assumed for a sensor whose description has none.
    const USUAL_STEP: Kelvin = Kelvin(0.1);
    /// The step, in kelvin, from which a sensor is coarse: the difference of two readings can be off
    /// by a whole step, which must not look like a change.
    const COARSE: f64 = 0.5;

    /// Returns the smallest step of the device's readings.
    pub fn step(&self) -> Kelvin {
        self.resolution.unwrap_or(Self::USUAL_STEP)
    }

    /// Returns the error, in kelvin, of the difference of two readings; zero unless the sensor is coarse.
    pub fn coarse_error(&self) -> f64 {
        let step = self.resolution.map_or(0.0, |step| step.0);
        if step >= Self::COARSE { step } else { 0.0 }
    }
}

/// A detector: a kind of anomaly that rules can configure.
pub trait Detector: AnomalyKind {
    /// The configuration keys of its rules.
    type Keys: Keys;
    /// Its parameters for one device.
    type Spec: Spec;
    /// Whether worse levels have lower thresholds.
    const WORSE_IS_LOWER: bool = false;

    /// Returns the parameters for `device`, or `None` where the rule does not apply to it: every level
    /// is off, or its hardware has no limits.
    ///
    /// `pending_for` is the rule's `for`.
    fn spec(
        keys: &Self::Keys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<Self::Spec>;

    /// Returns how long a finding on `device` must last before it fires.
    fn pending_for(
        _keys: &Self::Keys,
        pending_for: Option<Duration>,
        _device: &DeviceTraits<'_>,
    ) -> Duration {
        pending_for.unwrap_or_default()
    }
}

/// The parameters of a detector for one device. Devices with equal parameters share them.
///
/// Pure, and O(1) per reading. A finding is a function of the readings alone; [`crate::episode`] decides
/// when it becomes an alert.
pub trait Spec: Clone + Debug + PartialEq {
    /// The state of one device. An idle one allocates nothing. Its JSON is short and independent of
    /// field names: a snapshot has one for each rule and device.
    type State: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned;
    /// The version of the JSON of a state, raised when its meaning changes. States saved by another
    /// version start cold.
    const STATE_VERSION: u32 = 1;
    /// The way in which it compares a device with its rack.
    const COMPARES: Compares = Compares::Nothing;
    /// Whether its state knows the rate of change, so that the device needs no separate trend.
    const KNOWS_RATE: bool = false;
    /// Whether it evaluates failed readings too.
    const SEES_FAULTS: bool = false;

    /// Writes every parameter to `to`, always in the same order: saved state is taken over only by a spec
    /// with the same fingerprint.
    fn fingerprint(&self, to: &mut SpecFingerprint);

    /// Returns the threshold of `severity`, in the unit of the kind; `None` where the level is off.
    /// `pending_for` is how long a finding must last before it fires.
    fn threshold(&self, severity: Severity, pending_for: Duration) -> Option<f64>;

    /// Returns the window of `severity`, for detectors that look at changes.
    fn window(&self, _severity: Severity) -> Option<Duration> {
        None
    }

    /// Sets the critical limit of the device, which comes from another rule.
    fn set_critical_limit(&mut self, _limit: Option<Celsius>) {}

    /// Evaluates the next reading.
    fn observe(&self, state: &mut Self::State, now: &Observation) -> Decision;

    /// Evaluates the reading with the other devices of the rack, after [`Decision::NeedsRack`].
    fn observe_rack(
        &self,
        _state: &mut Self::State,
        _now: &Observation,
        _peers: &[Peer<'_, Self>],
    ) -> Option<Finding> {
        None
    }

    /// Evaluates a failed reading, for detectors that see faults.
    fn observe_fault(&self, _state: &Self::State) -> Option<Finding> {
        None
    }

    /// Returns the rate up to this reading in kelvin per minute, for detectors that know it.
    fn rate(&self, _state: &Self::State, _at: Timestamp, _value: Celsius) -> Option<f64> {
        None
    }
}
