//! Rules whose keys were checked.

use std::time::Duration;

use globset::GlobMatcher;

use crate::detect::{AlertKind, DeviceTraits, RuleSettings};
use crate::device::Role;

/// A rule whose keys were checked.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) kind: AlertKind,
    pub(super) roles: Vec<Role>,
    pub(super) racks: Vec<GlobMatcher>,
    pub(super) devices: Vec<GlobMatcher>,
    pub(super) timing: RuleTiming,
    pub(super) settings: RuleSettings,
}

/// The durations of a rule; `None` where it does not set them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RuleTiming {
    /// `for`: how long a level must stay crossed before the rule fires.
    pub(super) pending_for: Option<Duration>,
    /// `keep_firing_for`: how long all levels must stay clear before it resolves.
    pub(super) keep_firing_for: Option<Duration>,
}

impl RuleTiming {
    /// Takes over every duration that `over` sets.
    pub(super) fn lay_over(&mut self, over: Self) {
        self.pending_for = over.pending_for.or(self.pending_for);
        self.keep_firing_for = over.keep_firing_for.or(self.keep_firing_for);
    }
}

impl Rule {
    /// Returns whether the rule is for this device. An empty list matches everything.
    pub(super) fn matches(&self, device: &DeviceTraits<'_>) -> bool {
        let any = |globs: &[GlobMatcher], text: &str| {
            globs.is_empty() || globs.iter().any(|glob| glob.is_match(text))
        };
        (self.roles.is_empty() || self.roles.contains(&device.role))
            && any(&self.racks, device.rack.unwrap_or_default())
            && any(&self.devices, device.device.as_str())
    }
}
