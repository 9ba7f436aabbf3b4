//! Rules: which detector watches which devices, with which numbers.
//!
//! [`raw`] is the form in a configuration file, [`profile`] holds the default rules, and [`plan`] is the
//! result of both for one device. Later rules override earlier ones of the same name, key by key, for
//! the devices that they match: `warning = 30` for one rack leaves its critical limit unchanged.

pub mod plan;
pub mod profile;
pub mod raw;
mod rule;

use std::time::Duration;

pub use plan::{Plan, PlannedRule, RuleKey};
pub use profile::{Profile, parse};
pub use raw::{RawRule, RuleError, RuleFault};

pub use crate::detect::DeviceTraits;

use self::rule::{Rule, RuleTiming};
use crate::detect::{AlertKind, RuleSettings, Side};
use crate::severity::Severity;
use crate::units::Celsius;

/// Checked rules, in order: the defaults, then the operator's own.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    flap: Duration,
    stale_after: Duration,
}

impl RuleSet {
    /// Creates the default rules, overridden by `own`.
    pub fn with_defaults(own: &[RawRule]) -> Result<Self, RuleError> {
        Self::of_profile(Profile::Default, own)
    }

    /// Creates the default rules with the limits of `profile`, overridden by `own`.
    pub fn of_profile(profile: Profile, own: &[RawRule]) -> Result<Self, RuleError> {
        let mut rules = Self::only(&profile.rules()?)?.rules;
        for (index, rule) in Self::only(own)?.rules.into_iter().enumerate() {
            // Rules override each other by name, so one name must be of one kind.
            let mut others = rules.iter().filter(|known| known.name == rule.name);
            if let Some(other) = others.find(|known| known.kind != rule.kind) {
                let why = format!("a rule of this name is already of type {}", other.kind);
                return Err(RuleError::new(index, "name", &rule.name).because(&why));
            }
            rules.push(rule);
        }
        Ok(Self {
            rules,
            flap: Self::FLAP,
            stale_after: Self::STALE_AFTER,
        })
    }

    /// Creates a set of these rules, without the default rules.
    pub fn only(raw: &[RawRule]) -> Result<Self, RuleError> {
        let rules = raw
            .iter()
            .enumerate()
            .map(|(index, rule)| rule.check(index));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            flap: Self::FLAP,
            stale_after: Self::STALE_AFTER,
        })
    }

    /// Damping of rules that flap, unless configured otherwise.
    pub const FLAP: Duration = Duration::from_mins(30);

    /// Returns the same rules with another damping; zero switches it off.
    #[must_use]
    pub fn damped(self, flap: Duration) -> Self {
        Self { flap, ..self }
    }

    /// Time without data after which an episode ends, unless configured otherwise.
    pub const STALE_AFTER: Duration = Duration::from_hours(24);

    /// Returns the same rules with another time without data after which an episode ends.
    #[must_use]
    pub fn with_stale_after(self, stale_after: Duration) -> Self {
        Self {
            stale_after,
            ..self
        }
    }

    /// Returns the time without data after which an episode ends.
    pub fn stale_after(&self) -> Duration {
        self.stale_after
    }

    /// Returns only the rules of these kinds.
    #[must_use]
    pub fn of(mut self, kinds: &[AlertKind]) -> Self {
        self.rules.retain(|rule| kinds.contains(&rule.kind));
        self
    }

    /// Returns whether a rule has this name, whichever devices it matches.
    pub fn has(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.name == name)
    }

    /// Returns the result of all rules for one device.
    pub fn plan(&self, device: &DeviceTraits<'_>) -> Plan {
        let mut layers: Vec<(&str, RuleTiming, RuleSettings)> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.matches(device)) {
            match layers.iter_mut().find(|(name, ..)| *name == rule.name) {
                Some((_, timing, settings)) => {
                    timing.lay_over(rule.timing);
                    settings.lay_over(&rule.settings);
                }
                None => layers.push((&rule.name, rule.timing, rule.settings.clone())),
            }
        }
        let planned = layers.into_iter().filter_map(|(name, timing, settings)| {
            PlannedRule::new(name, timing, &settings, device, self.flap)
        });
        let mut rules: Vec<PlannedRule> = planned.collect();
        // A detector may need the limit that another rule sets for the same device.
        let critical = rules
            .iter()
            .filter(|rule| rule.kind.info().side == Some(Side::Above))
            .find_map(|rule| rule.threshold(Severity::Critical));
        let critical = critical.and_then(|degrees| Celsius::new(degrees).ok());
        for rule in &mut rules {
            rule.detector.set_critical_limit(critical);
        }
        Plan::new(rules)
    }
}
