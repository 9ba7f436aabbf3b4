//! Detectors: each looks at one device's readings and says how bad they are, reading by reading.
//!
//! Pure and O(1) a reading. What a detector says is a function of the readings alone; when a
//! finding becomes an alert is decided by [`crate::episode`].

pub mod drift;
pub mod fault;
pub mod limit;
pub mod outlier;
pub mod runaway;
pub mod stuck;
pub mod swing;
pub mod trend;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// A detector with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Detector {
    /// Beyond a limit.
    Limit(limit::LimitSpec),
    /// Changed by much within a window.
    Swing(swing::SwingSpec),
    /// Crept away from what is usual.
    Drift(drift::DriftSpec),
    /// Warms so fast, with others of its rack, that cooling must be lost.
    Runaway(runaway::RunawaySpec),
    /// Cannot be read any more.
    Fault(fault::FaultSpec),
    /// Says the same while its neighbours move.
    Stuck(stuck::StuckSpec),
    /// Is no more where its neighbours are.
    Outlier(outlier::OutlierSpec),
    /// Says nothing any more. The engine looks for it: who is silent has no reading to be judged.
    Silence(Severity),
}

/// What a detector sees in a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The worst level that is crossed.
    pub severity: Severity,
    /// The change that was seen: of swings its size, of drifts and outliers with its sign.
    pub change: Option<Kelvin>,
    /// What its rack does together: runaways only.
    pub runaway: Option<runaway::Runaway>,
}

impl Finding {
    /// One that is all there is to say.
    pub fn of(severity: Severity) -> Self {
        Self {
            severity,
            change: None,
            runaway: None,
        }
    }

    /// With the change that was seen.
    #[must_use]
    pub fn by(self, change: f64) -> Self {
        Self {
            change: Some(Kelvin(change)),
            ..self
        }
    }
}

/// The memory of one detector on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorState {
    /// Of a limit.
    Limit(limit::LimitState),
    /// Of a swing.
    Swing(swing::SwingState),
    /// Of a drift.
    Drift(drift::DriftState),
    /// Of a runaway.
    Runaway(Box<runaway::RunawayState>),
    /// Of a lasting fault.
    Fault(fault::FaultState),
    /// Of a stuck sensor.
    Stuck(stuck::StuckState),
    /// Of an outlier.
    Outlier(outlier::OutlierState),
    /// Of silence there is nothing to remember here.
    Silence,
}

impl DetectorState {
    /// Nothing seen yet.
    pub fn new(detector: &Detector) -> Self {
        match detector {
            Detector::Limit(_) => Self::Limit(limit::LimitState::default()),
            Detector::Swing(_) => Self::Swing(swing::SwingState::default()),
            Detector::Drift(_) => Self::Drift(drift::DriftState::default()),
            Detector::Runaway(_) => Self::Runaway(Box::default()),
            Detector::Fault(_) => Self::Fault(fault::FaultState::default()),
            Detector::Stuck(_) => Self::Stuck(stuck::StuckState::default()),
            Detector::Outlier(_) => Self::Outlier(outlier::OutlierState::default()),
            Detector::Silence(_) => Self::Silence,
        }
    }

    /// Takes the next reading, which must be newer than the last by `gap`. What needs the other devices of
    /// the rack is for the engine to find: it has them.
    pub fn observe(
        &mut self,
        by: &Detector,
        at: Timestamp,
        gap: Duration,
        value: Celsius,
    ) -> Option<Finding> {
        match (self, by) {
            (Self::Limit(state), Detector::Limit(spec)) => state.observe(spec, value),
            (Self::Swing(state), Detector::Swing(spec)) => state.observe(spec, at, gap, value),
            (Self::Drift(state), Detector::Drift(spec)) => state.observe(spec, at, value),
            (Self::Runaway(state), Detector::Runaway(spec)) => {
                state.observe(spec, at, value);
                None
            }
            (Self::Fault(state), Detector::Fault(_)) => {
                state.read();
                None
            }
            (Self::Stuck(state), Detector::Stuck(spec)) => {
                state.observe(at, value);
                state.finding(spec, at)
            }
            (Self::Outlier(state), Detector::Outlier(spec)) => state.finding(spec, at),
            (Self::Silence, Detector::Silence(_)) => None,
            // State is made from its detector, so the two agree; were they not to, start cold.
            (state, detector) => {
                *state = Self::new(detector);
                None
            }
        }
    }
}
