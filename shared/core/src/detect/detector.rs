//! The interface of detectors: the traits that each one implements, and what passes between it and the engine.
//!
//! [`AnomalyKind`] has the words, [`Detector`] turns the keys of a rule into a [`Spec`],
//! and the [`Spec`] looks at readings with the state of one device.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fingerprint::SpecFingerprint;
use super::keys::Keys;
use super::kind::AnomalyKind;
pub use super::neighbours::Neighbours;
use crate::device::{DeviceId, HardwareLimits, Role};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The result of a detector that found an anomaly in a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The worst level that is crossed.
    pub severity: Severity,
    /// The change that was seen: of swings its size, of drifts and outliers with its sign.
    pub change: Option<Kelvin>,
    /// The window in which it was seen, where the level does not say it.
    pub window: Option<Duration>,
    /// Kelvin per minute, where the detector knows better than the trend of the device.
    pub rate: Option<f64>,
    /// Time until the critical limit, at least and at most.
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

    /// The same with the change that was seen, in kelvin.
    #[must_use]
    pub fn by(self, change: f64) -> Self {
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
    /// The rule has an open episode on this device.
    pub is_open: bool,
}

/// The result of a detector for one observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// There is a finding, or there is none.
    Made(Option<Finding>),
    /// The detector decides once it has seen what it [needs](Spec::NEEDS).
    Asks,
    /// This reading decides nothing.
    Undecided,
}

/// The inputs that a detector needs beside its own device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No input beside the device itself.
    Nothing,
    /// The newest temperatures of the other devices in the rack: [`Neighbours`].
    Neighbours,
    /// The states that the same detector keeps for all devices of the rack. Of several devices
    /// only one has an episode.
    Peers,
}

/// The properties of a device when rules are matched and planned.
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
    /// A sensor without a described step is assumed to show tenths.
    const USUAL_STEP: Kelvin = Kelvin(0.1);
    /// A sensor with such a step, in kelvin, is coarse: the difference of two of its readings can be
    /// off by a whole step, which must not look like a change.
    const COARSE: f64 = 0.5;

    /// Returns the smallest step of the device's readings.
    pub fn step(&self) -> Kelvin {
        self.resolution.unwrap_or(Self::USUAL_STEP)
    }

    /// Returns the kelvin by which quantisation alone can change a difference, for coarse sensors.
    pub fn coarse_error(&self) -> f64 {
        let step = self.resolution.map_or(0.0, |step| step.0);
        if step >= Self::COARSE { step } else { 0.0 }
    }
}

/// A detector: a kind of anomaly that rules can configure.
pub trait Detector: AnomalyKind {
    /// The configuration keys of its rules.
    type Keys: Keys;
    /// Its numbers for one device.
    type Spec: Spec;
    /// A worse level has the lower threshold.
    const WORSE_IS_LOWER: bool = false;

    /// Returns the numbers for `device`, or `None` where the rule does not apply to it: every level is
    /// off, or its hardware has no limits.
    ///
    /// `lasting` is the rule's `for`.
    fn spec(
        keys: &Self::Keys,
        lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<Self::Spec>;

    /// Returns how long a finding on `device` must last before it fires.
    fn lasting(
        _keys: &Self::Keys,
        lasting: Option<Duration>,
        _device: &DeviceTraits<'_>,
    ) -> Duration {
        lasting.unwrap_or_default()
    }
}

/// The numbers of a detector for one device. Devices with equal numbers share them.
///
/// Pure and O(1) a reading. A finding is a function of the readings alone; [`crate::episode`] decides
/// when it becomes an alert.
pub trait Spec: Clone + Debug + PartialEq {
    /// The memory of one device. Idle, it allocates nothing. Its JSON is short and independent of
    /// field names: there is one for each rule and device in a snapshot.
    type State: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned;
    /// Counts up when the JSON of a state changes its meaning: states of another version start cold.
    const STATE_VERSION: u32 = 1;
    /// The inputs that it needs beside its own device.
    const NEEDS: Needs = Needs::Nothing;
    /// Its state knows how fast the temperature changes, so that the device needs no trend of its own.
    const KNOWS_RATE: bool = false;

    /// It decides about readings that failed, too.
    const SEES_FAULTS: bool = false;

    /// Writes every number to `to`, always in the same order: saved state is taken over only by a spec
    /// with the same fingerprint.
    fn fingerprint(&self, to: &mut SpecFingerprint);

    /// Returns the threshold of `severity`, in the unit of the kind; `None` where the level is off.
    /// `lasting` is how long a finding must last before it fires.
    fn threshold(&self, severity: Severity, lasting: Duration) -> Option<f64>;

    /// Returns the window of `severity`, for detectors that look at changes.
    fn window(&self, _severity: Severity) -> Option<Duration> {
        None
    }

    /// Takes in the device's own critical limit, which another rule sets.
    fn set_critical_limit(&mut self, _limit: Option<Celsius>) {}

    /// Takes in the next reading.
    fn observe(&self, state: &mut Self::State, now: &Observation) -> Decision;

    /// Decides with the neighbours, for detectors that need them; whether this one or another of the
    /// device asked.
    fn observe_neighbours(
        &self,
        _state: &mut Self::State,
        _now: &Observation,
        _neighbours: &Neighbours,
    ) -> Option<Finding> {
        None
    }

    /// Decides with the states of the rack's devices, its own among them, for detectors that need them.
    fn observe_peers(
        &self,
        _now: &Observation,
        _peers: &[(&Self, &Self::State)],
    ) -> Option<Finding> {
        None
    }

    /// Decides about a reading that failed, for detectors that see faults.
    fn observe_fault(&self, _state: &Self::State) -> Option<Finding> {
        None
    }

    /// Returns kelvin per minute up to this reading, for detectors that know the rate.
    fn rate(&self, _state: &Self::State, _at: Timestamp, _value: Celsius) -> Option<f64> {
        None
    }
}
