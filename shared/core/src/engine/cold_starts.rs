//! Saved state of rules that was not taken over.

use std::collections::BTreeMap;
use std::fmt;

/// The reason why the saved state of a rule was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColdStart {
    /// The numbers of the rule are different now.
    RuleChanged,
    /// The detector saves its state in another version of its format.
    OtherVersion,
    /// The state contradicts its version.
    Malformed,
    /// A rule of that name exists, and no longer applies to the device.
    RuleNotApplicable,
    /// No rule has that name any more.
    RuleRemoved,
}

impl fmt::Display for ColdStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RuleChanged => "rule changed",
            Self::OtherVersion => "state has another version",
            Self::Malformed => "state is malformed",
            Self::RuleNotApplicable => "rule no longer applies to the device",
            Self::RuleRemoved => "rule removed",
        })
    }
}

/// Counts of devices whose saved state was not taken over, by rule and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColdStarts(BTreeMap<(String, ColdStart), usize>);

impl ColdStarts {
    /// Counts a device whose rule starts cold.
    pub(super) fn add(&mut self, rule: &str, reason: ColdStart) {
        *self.0.entry((rule.to_owned(), reason)).or_default() += 1;
    }

    /// Adds the counts of another slice.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    /// Returns rule, reason and count.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ColdStart, usize)> {
        self.0
            .iter()
            .map(|((rule, reason), count)| (rule.as_str(), *reason, *count))
    }
}
