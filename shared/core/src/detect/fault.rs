//! Faults that last: a device that has read well and cannot be read any more.
//!
//! How long is a matter of the rule's dwell. A device that never read well is absent rather than
//! broken: a slot without a module, a probe that was never plugged in.

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;

/// The numbers of a lasting fault.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// How bad it is.
    pub severity: Severity,
}

/// What is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    has_read: bool,
}

impl FaultState {
    /// It could be read.
    pub fn read(&mut self) {
        self.has_read = true;
    }

    /// It could not be read.
    pub fn failed(&self, spec: &FaultSpec) -> Option<Finding> {
        self.has_read.then(|| Finding::of(spec.severity))
    }
}
