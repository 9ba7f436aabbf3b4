//! Plans: the detectors that watch one device, with their numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::RuleTiming;
use crate::detect::{AlertKind, DetectorSpec, DeviceTraits, RuleSettings};
use crate::episode::Timing;
use crate::severity::Severity;

/// All rules for one device. Devices with equal plans share one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The rules for the device, each name once.
    pub rules: Vec<PlannedRule>,
    /// The index of the rule for missing data, which the engine checks for every device on each tick.
    absence: Option<usize>,
    keys: Vec<RuleKey>,
}

impl Plan {
    /// Creates a plan of these rules.
    pub(super) fn new(rules: Vec<PlannedRule>) -> Self {
        let is_absence = |rule: &PlannedRule| rule.kind == AlertKind::NoData;
        Self {
            absence: rules.iter().position(is_absence),
            keys: rules.iter().map(RuleKey::of).collect(),
            rules,
        }
    }

    /// Returns the keys of saved state, one for each rule.
    pub fn keys(&self) -> &[RuleKey] {
        &self.keys
    }

    /// Returns the rule for missing data.
    pub fn absence(&self) -> Option<&PlannedRule> {
        self.rules.get(self.absence?)
    }
}

/// One rule for one device.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRule {
    /// The name in alert records.
    pub name: String,
    /// The kind of its alerts.
    pub kind: AlertKind,
    /// When a finding becomes an episode, and when that ends.
    pub timing: Timing,
    /// The detector with its parameters.
    pub detector: DetectorSpec,
}

impl PlannedRule {
    /// Creates the rule for `device`, or `None` if it does not apply: every level is off, or the hardware has no
    /// limits.
    pub(super) fn new(
        name: &str,
        timing: RuleTiming,
        settings: &RuleSettings,
        device: &DeviceTraits<'_>,
        flap: Duration,
    ) -> Option<Self> {
        let (detector, pending_for) = settings.plan(timing.pending_for, device)?;
        Some(Self {
            name: name.to_owned(),
            kind: detector.kind(),
            timing: Timing {
                pending_for,
                keep_firing_for: timing.keep_firing_for.unwrap_or_default(),
                flap,
            },
            detector,
        })
    }

    /// Returns the threshold of `severity`, in the unit of the kind; `None` where the level is off.
    pub fn threshold(&self, severity: Severity) -> Option<f64> {
        self.detector.threshold(severity, self.timing.pending_for)
    }

    /// Returns the window of `severity`, for detectors that look at changes.
    pub fn window(&self, severity: Severity) -> Option<Duration> {
        self.detector.window(severity)
    }
}

/// The key of a rule's saved state: state is taken over only by a rule with an equal key.
///
/// In JSON an array of the name, the version of the state and the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleKey(String, u32, u64);

impl RuleKey {
    fn of(rule: &PlannedRule) -> Self {
        Self(
            rule.name.clone(),
            rule.detector.state_version(),
            rule.detector.fingerprint(),
        )
    }

    /// Returns the name of the rule.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns the version of the JSON of its states.
    pub fn version(&self) -> u32 {
        self.1
    }

    /// Returns the fingerprint of its detector.
    pub fn fingerprint(&self) -> u64 {
        self.2
    }
}
