//! Rules as a configuration file has them, and the check that makes rules of them.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, RuleTiming};
use crate::detect::keys::{Check, DurationRange};
use crate::detect::{AlertKind, RawValue, RuleSettings};
use crate::device::Role;

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
    /// Only devices in racks that match one of these globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rack: Vec<String>,
    /// Only devices with an id that matches one of these globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<String>,
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
    /// The rule, from 0.
    pub index: usize,
    /// The key that is wrong.
    pub key: String,
    /// The value of the key.
    pub value: String,
    /// The fault of the value, and the values expected.
    pub why: String,
}

impl RuleError {
    pub(super) fn new(index: usize, key: &str, value: &dyn ToString) -> Self {
        Self {
            index,
            key: key.to_owned(),
            value: value.to_string(),
            why: String::new(),
        }
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
        let kind = AlertKind::from_name(&self.kind);
        let known = kind.and_then(|kind| Some((kind, RuleSettings::new(kind)?)));
        let Some((kind, mut settings)) = known else {
            let why = format!("expected {}", AlertKind::rule_names());
            return wrong("type", &self.kind, &why);
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
                key => match settings.set(key, value) {
                    Some(checked) => checked,
                    None => Err(misplaced(key, kind)),
                },
            };
            if let Err(why) = checked {
                return wrong(key, value, &why);
            }
        }
        if let Some((severity, value)) = settings.misplaced_level() {
            let why = "a worse level must lie beyond the milder one";
            return wrong(severity.name(), &value, why);
        }
        Ok(Rule {
            name: name.clone(),
            kind,
            roles: self.role.clone(),
            racks: globs(index, "rack", &self.rack)?,
            devices: globs(index, "device", &self.device)?,
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
    format!("a key of {} rules, not of {kind}", having.join(" and "))
}

fn globs(index: usize, key: &str, texts: &[String]) -> Result<Vec<GlobMatcher>, RuleError> {
    let compile = |text: &String| {
        let glob = Glob::new(text)
            .map_err(|e| RuleError::new(index, key, text).because(&format!("not a glob: {e}")))?;
        Ok(glob.compile_matcher())
    };
    texts.iter().map(compile).collect()
}
