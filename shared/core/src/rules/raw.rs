//! Rules as a configuration file has them, and the check that makes rules of them.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, RuleTiming};
use crate::detect::keys::{Check, DurationRange};
use crate::detect::{AlertKind, RawValue, RuleSettings};
use crate::device::Role;
use crate::words::list;

/// One `[[rules]]` table of a configuration file. A key that is left out keeps the value of the rules
/// before it that have the same name and match the same device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RawRule {
    /// The name in alert records; the type where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of its alerts, by the word on the wire.
    #[serde(rename = "type")]
    pub kind: String,
    /// Only devices of these roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Vec<Role>>,
    /// Only devices in racks that match one of these globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<Vec<String>>,
    /// Only devices with an id that matches one of these globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Vec<String>>,
    /// All other keys: `for` and `keep_firing_for`, which every rule may have, and those of its type.
    #[serde(flatten)]
    pub keys: BTreeMap<String, RawValue>,
}

/// The keys that rules of every type have.
const COMMON_KEYS: [&str; 7] = [
    "name",
    "type",
    "role",
    "rack",
    "device",
    "for",
    "keep_firing_for",
];

/// An error in one key of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules[{index}].{key} = {value}: {why}")]
pub struct RuleError {
    /// The kind of the error.
    pub fault: RuleFault,
    /// The rule, from 0.
    pub index: usize,
    /// The key that is wrong.
    pub key: String,
    /// The value of the key.
    pub value: String,
    /// The fault of the value, and the values expected.
    pub why: String,
}

/// The kind of a [`RuleError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFault {
    /// The key is missing.
    Missing,
    /// The key is unknown, or belongs to rules of other types.
    Key,
    /// The value is wrong.
    Value,
}

impl RuleError {
    pub(super) fn new(index: usize, key: &str, value: &dyn ToString) -> Self {
        Self {
            fault: RuleFault::Value,
            index,
            key: key.to_owned(),
            value: value.to_string(),
            why: String::new(),
        }
    }

    fn of(mut self, fault: RuleFault) -> Self {
        self.fault = fault;
        self
    }

    pub(super) fn because(mut self, why: &str) -> Self {
        why.clone_into(&mut self.why);
        self
    }
}

impl RawRule {
    /// Checks rule number `index`.
    pub(super) fn check(&self, index: usize) -> Result<Rule, RuleError> {
        let wrong = |key: &str, value: &dyn ToString, why: &str| {
            Err(RuleError::new(index, key, value).because(why))
        };
        let expected = || format!("expected {}", AlertKind::rule_names());
        if self.kind.is_empty() {
            let missing = RuleError::new(index, "type", &"\"\"").of(RuleFault::Missing);
            return Err(missing.because(&expected()));
        }
        let kind = AlertKind::from_name(&self.kind);
        let known = kind.and_then(|kind| Some((kind, RuleSettings::new(kind)?)));
        let Some((kind, mut settings)) = known else {
            return wrong("type", &self.kind, &expected());
        };
        let name = self.name.as_ref().unwrap_or(&self.kind);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return wrong("name", name, "expected 1 to 64 of A-Z a-z 0-9 . _ -");
        }
        let is_reserved =
            |kind: &AlertKind| kind.name() == name && !AlertKind::RULES.contains(kind);
        if AlertKind::ALL.iter().any(is_reserved) {
            return wrong("name", name, "reserved for alerts that need no rule");
        }
        let mut timing = RuleTiming::default();
        for (key, value) in &self.keys {
            let checked = match key.as_str() {
                "for" => duration(value, &mut timing.pending_for),
                "keep_firing_for" => duration(value, &mut timing.keep_firing_for),
                key => settings.set(key, value).ok_or_else(|| {
                    let error = RuleError::new(index, key, value).of(RuleFault::Key);
                    error.because(&misplaced(key, kind))
                })?,
            };
            if let Err(why) = checked {
                return wrong(key, value, &why);
            }
        }
        if let Some((severity, value)) = settings.misplaced_level() {
            let why = "a worse level must lie beyond the milder one";
            return wrong(severity.name(), &value, why);
        }
        if self.role.as_ref().is_some_and(Vec::is_empty) {
            return wrong("role", &"[]", NO_ITEM);
        }
        Ok(Rule {
            name: name.clone(),
            kind,
            roles: self.role.clone().unwrap_or_default(),
            racks: globs(index, "rack", self.rack.as_deref())?,
            devices: globs(index, "device", self.device.as_deref())?,
            timing,
            settings,
        })
    }
}

fn duration(value: &RawValue, to: &mut Option<Duration>) -> Result<(), String> {
    *to = Some(DurationRange::UP_TO_A_DAY.read(value)?);
    Ok(())
}

/// Returns what is wrong with a key that rules of `kind` do not have.
fn misplaced(key: &str, kind: AlertKind) -> String {
    let having = AlertKind::RULES.into_iter();
    let having = having.filter(|other| other.key_names().contains(&key));
    let having: Vec<_> = having.map(AlertKind::name).collect();
    if having.is_empty() {
        let known: Vec<_> = COMMON_KEYS
            .iter()
            .chain(kind.key_names())
            .copied()
            .collect();
        return format!("unknown key, {kind} rules have only {}", known.join(", "));
    }
    format!("a key of {} rules, not of {kind}", list(&having, "and"))
}

/// The requirement that an empty list fails. It could mean all devices or none.
const NO_ITEM: &str = "expected at least one item: remove the key to match all";

fn globs(index: usize, key: &str, texts: Option<&[String]>) -> Result<Vec<GlobMatcher>, RuleError> {
    if texts.is_some_and(<[_]>::is_empty) {
        return Err(RuleError::new(index, key, &"[]").because(NO_ITEM));
    }
    let compile = |text: &String| {
        let glob = Glob::new(text)
            .map_err(|e| RuleError::new(index, key, text).because(&format!("not a glob: {e}")))?;
        Ok(glob.compile_matcher())
    };
    texts.unwrap_or_default().iter().map(compile).collect()
}
