//! Rules: which detector watches which devices, with which numbers.
//!
//! [`raw`] is what a config file says, [`profile`] the rules that hold where it says nothing, and
//! [`plan`] what both come to for one device. Rules of one name are laid over each other in order,
//! key by key, for the devices they match: so `warning = 30` for one rack leaves its critical limit
//! as it was.

pub mod plan;
pub mod profile;
pub mod raw;

use std::time::Duration;

use globset::GlobMatcher;

pub use plan::{Plan, PlannedRule, Subject};
pub use profile::Profile;
pub use raw::{RawRule, RuleError};

use crate::alert::{AlertKind, Severity};
use crate::detect::Detector;
use crate::device::Role;
use crate::units::Celsius;

/// Checked rules, in order: the defaults, then the operator's own.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    flap: Duration,
}

/// One checked rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    name: String,
    kind: AlertKind,
    roles: Vec<Role>,
    racks: Vec<GlobMatcher>,
    devices: Vec<GlobMatcher>,
    settings: raw::Settings,
}

impl Rule {
    /// An empty list matches everything.
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let rack = subject.rack.unwrap_or_default();
        (self.roles.is_empty() || self.roles.contains(&subject.role))
            && (self.racks.is_empty() || self.racks.iter().any(|g| g.is_match(rack)))
            && (self.devices.is_empty()
                || self
                    .devices
                    .iter()
                    .any(|g| g.is_match(subject.device.as_str())))
    }
}

impl RuleSet {
    /// The default rules with `own` laid over them.
    pub fn with_defaults(own: &[RawRule]) -> Result<Self, RuleError> {
        Self::of_profile(Profile::Default, own)
    }

    /// The default rules with the limits of `profile`, and `own` laid over them.
    pub fn of_profile(profile: Profile, own: &[RawRule]) -> Result<Self, RuleError> {
        let mut rules = Self::only(&profile::default_rules(profile))?.rules;
        rules.extend(Self::only(own)?.rules);
        let flap = Self::FLAP;
        Self { rules, flap }.checked()
    }

    /// These rules and no others.
    pub fn only(raw: &[RawRule]) -> Result<Self, RuleError> {
        let rules = raw
            .iter()
            .enumerate()
            .map(|(index, rule)| rule.check(index));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            flap: Self::FLAP,
        })
    }

    /// What flaps is damped for so long unless said otherwise.
    pub const FLAP: Duration = Duration::from_mins(30);

    /// The same with another damping of what flaps; zero is none.
    #[must_use]
    pub fn damped(self, flap: Duration) -> Self {
        Self { flap, ..self }
    }

    /// Only the rules of these kinds.
    #[must_use]
    pub fn of(mut self, kinds: &[AlertKind]) -> Self {
        self.rules.retain(|rule| kinds.contains(&rule.kind));
        self
    }

    /// One name must be of one kind: rules are laid over each other by name.
    fn checked(self) -> Result<Self, RuleError> {
        for (index, rule) in self.rules.iter().enumerate() {
            let first = self.rules.iter().find(|r| r.name == rule.name);
            if let Some(first) = first.filter(|first| first.kind != rule.kind) {
                return Err(RuleError::new(index, "name", &rule.name).because(&format!(
                    "a rule of this name is already of type {}",
                    first.kind
                )));
            }
        }
        Ok(self)
    }

    /// What all these rules come to for one device.
    pub fn plan(&self, subject: &Subject<'_>) -> Plan {
        let mut layers: Vec<(&str, AlertKind, raw::Settings)> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.matches(subject)) {
            match layers.iter_mut().find(|(name, ..)| *name == rule.name) {
                Some((.., settings)) => settings.lay_over(&rule.settings),
                None => layers.push((&rule.name, rule.kind, rule.settings.clone())),
            }
        }
        let planned = layers.into_iter().filter_map(|(name, kind, settings)| {
            PlannedRule::new(name, kind, &settings, subject, self.flap)
        });
        let mut rules: Vec<PlannedRule> = planned.collect();
        // A runaway tells how long it is until the limit that holds for the same device.
        let critical = rules
            .iter()
            .filter(|rule| rule.kind == AlertKind::HighTemp)
            .find_map(|rule| rule.threshold(Severity::Critical));
        for rule in &mut rules {
            if let Detector::Runaway(spec) = &mut rule.detector {
                spec.critical = critical.and_then(|degrees| Celsius::new(degrees).ok());
            }
        }
        Plan::new(rules)
    }
}
