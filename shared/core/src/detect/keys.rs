//! The configuration keys of a detector: their names, checks and defaults.
//!
//! `keys!` declares them as a struct of its own for each detector; a key of another detector has no
//! place in it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::severity::Severity;
use crate::time::format_duration;

/// The value of a key as a configuration file has it, before it is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawValue {
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<RawValue>),
    /// A table.
    Table(BTreeMap<String, RawValue>),
}

impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::List(_) => f.write_str("[…]"),
            Self::Table(table) => {
                f.write_str("{ ")?;
                for (index, (key, value)) in table.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// The check of one key.
pub trait Check {
    /// The type of its value.
    type Value;

    /// Returns the checked value, or what is wrong with it.
    fn read(&self, raw: &RawValue) -> Result<Self::Value, String>;

    /// Returns the value as a configuration file would have it.
    fn show(&self, value: &Self::Value) -> String;

    /// Returns what is expected, such as `0 to 20 kelvin`.
    fn expected(&self) -> String;
}

/// A number within a range.
#[derive(Clone, Copy, Debug)]
pub struct NumberRange {
    /// The least that is allowed.
    pub least: f64,
    /// The most that is allowed.
    pub most: f64,
    /// The unit, with a space before it; empty where there is none.
    pub unit: &'static str,
}

impl Check for NumberRange {
    type Value = f64;

    fn read(&self, raw: &RawValue) -> Result<f64, String> {
        match raw {
            RawValue::Number(number) if (self.least..=self.most).contains(number) => Ok(*number),
            _ => Err(format!("expected {}", self.expected())),
        }
    }

    fn show(&self, value: &f64) -> String {
        format!("{value:?}")
    }

    fn expected(&self) -> String {
        format!("{} to {}{}", self.least, self.most, self.unit)
    }
}

/// A key that is `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub struct Flag;

impl Check for Flag {
    type Value = bool;

    fn read(&self, raw: &RawValue) -> Result<bool, String> {
        match raw {
            RawValue::Flag(flag) => Ok(*flag),
            _ => Err(format!("expected {}", self.expected())),
        }
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn expected(&self) -> String {
        "true or false".to_owned()
    }
}

/// A duration within a range, written as `5m`.
#[derive(Clone, Copy, Debug)]
pub struct DurationRange {
    /// The shortest that is allowed.
    pub least: Duration,
    /// The longest that is allowed.
    pub most: Duration,
}

impl DurationRange {
    /// Up to a day: state is kept for that long.
    pub const UP_TO_A_DAY: Self = Self {
        least: Duration::ZERO,
        most: Duration::from_hours(24),
    };
}

impl Check for DurationRange {
    type Value = Duration;

    fn read(&self, raw: &RawValue) -> Result<Duration, String> {
        let RawValue::Text(text) = raw else {
            return Err("not a duration such as 90s or 5m: put it in quotes".to_owned());
        };
        let parsed = humantime::parse_duration(text)
            .map_err(|error| format!("not a duration such as 90s or 5m: {error}"))?;
        if parsed < self.least || parsed > self.most {
            return Err(format!("expected {}", self.expected()));
        }
        Ok(parsed)
    }

    fn show(&self, value: &Duration) -> String {
        format!("\"{}\"", format_duration(*value))
    }

    fn expected(&self) -> String {
        format!(
            "{} to {}",
            format_duration(self.least),
            format_duration(self.most)
        )
    }
}

/// The threshold of one severity, as a rule sets it.
pub trait Level: Copy + fmt::Debug + PartialEq {
    /// The values expected beside `"off"`.
    const EXPECTED: &'static str;

    /// Returns the checked level, or what is wrong with it; `None` where it is of another form altogether.
    fn read(raw: &RawValue) -> Option<Result<Self, String>>;

    /// Returns the number by which levels are ordered, where there is one.
    fn rank(&self) -> Option<f64> {
        None
    }
}

/// A level that is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Switch<L> {
    /// Switched off by `"off"`.
    Off,
    /// Switched on at this threshold.
    At(L),
}

/// A difference in kelvin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KelvinLevel(pub f64);

impl Level for KelvinLevel {
    const EXPECTED: &'static str = "0.1 to 100 kelvin";

    fn read(raw: &RawValue) -> Option<Result<Self, String>> {
        match raw {
            RawValue::Number(kelvin) if (0.1..=100.0).contains(kelvin) => Some(Ok(Self(*kelvin))),
            _ => None,
        }
    }

    fn rank(&self) -> Option<f64> {
        Some(self.0)
    }
}

/// `"on"`, for detectors without a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct On;

impl Level for On {
    const EXPECTED: &'static str = "\"on\"";

    fn read(raw: &RawValue) -> Option<Result<Self, String>> {
        matches!(raw, RawValue::Text(word) if word == "on").then_some(Ok(Self))
    }
}

/// The levels of a rule, from info to critical; `None` where the rule does not set one.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels<L>([Option<Switch<L>>; 3]);

impl<L> Default for Levels<L> {
    fn default() -> Self {
        Self([const { None }; 3])
    }
}

impl<L: Level> Levels<L> {
    /// Checks and sets the level of `severity`.
    pub fn set(&mut self, severity: Severity, raw: &RawValue) -> Result<(), String> {
        let level = match raw {
            RawValue::Text(word) if word == "off" => Switch::Off,
            raw => match L::read(raw) {
                Some(level) => Switch::At(level?),
                None => return Err(format!("expected {} or \"off\"", L::EXPECTED)),
            },
        };
        self.0[severity as usize] = Some(level);
        Ok(())
    }

    /// Takes over every level that `over` sets.
    pub fn lay_over(&mut self, over: &Self) {
        for (level, over) in self.0.iter_mut().zip(&over.0) {
            *level = over.or(*level);
        }
    }

    /// Returns the levels that are switched on.
    pub fn active(&self) -> [Option<L>; 3] {
        self.0.map(|level| match level {
            Some(Switch::At(level)) => Some(level),
            Some(Switch::Off) | None => None,
        })
    }

    /// Returns the numbers by which the levels are ordered.
    pub fn ranks(&self) -> [Option<f64>; 3] {
        self.active()
            .map(|level| level.and_then(|level| level.rank()))
    }
}

impl Levels<On> {
    /// Returns the worst severity that is switched on.
    pub fn severity(&self) -> Option<Severity> {
        let active = self.active();
        let on = active.iter().zip(Severity::ALL);
        on.filter_map(|(level, severity)| level.map(|_| severity))
            .max()
    }
}

/// The keys of one detector, each set or not.
pub trait Keys: Clone + fmt::Debug + Default + PartialEq {
    /// The names of all its keys.
    const NAMES: &'static [&'static str];

    /// Checks and sets a key; `None` where there is no such key, else what is wrong with the value.
    fn set(&mut self, name: &str, value: &RawValue) -> Option<Result<(), String>>;

    /// Takes over every key that `over` sets.
    fn lay_over(&mut self, over: &Self);

    /// Returns the numbers by which levels are ordered, from info to critical.
    fn ranks(&self) -> [Option<f64>; 3];

    /// Describes every key for the reference.
    fn describe() -> Vec<KeyInfo>;
}

/// A key, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The name, as in a rule.
    pub name: &'static str,
    /// A sentence on its effect.
    pub summary: &'static str,
    /// The values that it takes.
    pub expected: String,
    /// The value where no rule sets it; `None` where the key then has no effect.
    pub default: Option<String>,
}

/// Declares the keys of a detector: the severities that it knows and the form of their levels, then
/// each key with its type, check and default. Each key's accessor returns the value or the default.
macro_rules! keys {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($severity:ident),+: $level:ty
            $(; #[doc = $summary:literal] $key:ident: $value:ty = $check:expr, default $default:expr)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            /// The threshold of each severity.
            pub levels: $crate::detect::keys::Levels<$level>,
            $(#[doc = $summary] $key: Option<$value>,)*
        }

        impl $name {
            $(
                #[doc = $summary]
                fn $key(&self) -> $value {
                    self.$key.unwrap_or($default)
                }
            )*
        }

        impl $crate::detect::keys::Keys for $name {
            const NAMES: &'static [&'static str] = &[
                $($crate::detect::keys::severity::$severity.1,)+
                $(stringify!($key),)*
            ];

            fn set(
                &mut self,
                name: &str,
                value: &$crate::detect::keys::RawValue,
            ) -> Option<Result<(), String>> {
                $(if name == $crate::detect::keys::severity::$severity.1 {
                    let severity = $crate::detect::keys::severity::$severity.0;
                    return Some(self.levels.set(severity, value));
                })+
                $(if name == stringify!($key) {
                    let read = $crate::detect::keys::Check::read(&$check, value);
                    return Some(read.map(|read| self.$key = Some(read)));
                })*
                None
            }

            fn lay_over(&mut self, over: &Self) {
                self.levels.lay_over(&over.levels);
                $(self.$key = over.$key.or(self.$key);)*
            }

            fn ranks(&self) -> [Option<f64>; 3] {
                self.levels.ranks()
            }

            fn describe() -> Vec<$crate::detect::keys::KeyInfo> {
                use $crate::detect::keys::{KeyInfo, Level, severity};
                vec![
                    $(KeyInfo {
                        name: severity::$severity.1,
                        summary: severity::$severity.2,
                        expected: format!("{} or \"off\"", <$level as Level>::EXPECTED),
                        default: None,
                    },)+
                    $(KeyInfo {
                        name: stringify!($key),
                        summary: $summary.trim_ascii(),
                        expected: $crate::detect::keys::Check::expected(&$check),
                        default: Some($crate::detect::keys::Check::show(&$check, &$default)),
                    },)*
                ]
            }
        }
    };
}
pub(super) use keys;

/// Severities as [`keys!`] names them, with the names and the summaries of their keys.
pub(super) mod severity {
    use crate::severity::Severity;

    pub(in crate::detect) const INFO: (Severity, &str, &str) =
        (Severity::Info, "info", "Threshold of an info alert.");
    pub(in crate::detect) const WARNING: (Severity, &str, &str) =
        (Severity::Warning, "warning", "Threshold of a warning.");
    pub(in crate::detect) const CRITICAL: (Severity, &str, &str) = (
        Severity::Critical,
        "critical",
        "Threshold of a critical alert.",
    );
}
