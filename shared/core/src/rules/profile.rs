//! The rules that apply without any configuration. They must suit most rooms as they are.
//!
//! They are TOML, as an operator would write them: `default.toml` has the rules, and for ASHRAE classes
//! `ashrae.toml` overrides them, with the limits of the class filled in.

use serde::Deserialize;

use super::raw::{RawRule, RuleError};
use crate::indices::Envelope;

const DEFAULT: &str = include_str!("default.toml");
const ASHRAE: &str = include_str!("ashrae.toml");

/// The standard that inlet limits follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// ASHRAE class A1, but with warnings above 28 instead of 27 °C, and below 15 instead of 18 °C.
    /// Right for most rooms.
    #[default]
    Default,
    /// ASHRAE class A1 as written.
    AshraeA1,
    /// ASHRAE class A2.
    AshraeA2,
    /// ASHRAE class A3.
    AshraeA3,
    /// ASHRAE class A4.
    AshraeA4,
    /// ASHRAE class H1, high density.
    AshraeH1,
}

/// Recommended inlet temperatures of classes A1 to A4, in °C.
const RECOMMENDED: (f64, f64) = (18.0, 27.0);

impl Profile {
    /// Every profile, the default first.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::AshraeA1,
        Self::AshraeA2,
        Self::AshraeA3,
        Self::AshraeA4,
        Self::AshraeH1,
    ];

    /// Returns the name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AshraeA1 => "ashrae-a1",
            Self::AshraeA2 => "ashrae-a2",
            Self::AshraeA3 => "ashrae-a3",
            Self::AshraeA4 => "ashrae-a4",
            Self::AshraeH1 => "ashrae-h1",
        }
    }

    /// Returns the limits of the class in ASHRAE TC 9.9, 5th edition (2021); the default profile has
    /// those of class A1.
    pub fn envelope(self) -> Envelope {
        let (class, recommended, allowable) = match self {
            Self::Default | Self::AshraeA1 => ("A1", RECOMMENDED, (15.0, 32.0)),
            Self::AshraeA2 => ("A2", RECOMMENDED, (10.0, 35.0)),
            Self::AshraeA3 => ("A3", RECOMMENDED, (5.0, 40.0)),
            Self::AshraeA4 => ("A4", RECOMMENDED, (5.0, 45.0)),
            Self::AshraeH1 => ("H1", (18.0, 22.0), (5.0, 25.0)),
        };
        Envelope {
            class,
            recommended,
            allowable,
        }
    }

    /// Returns the rules of the profile as TOML with comments.
    pub fn rules_toml(self) -> String {
        if self == Self::Default {
            return DEFAULT.to_owned();
        }
        let Envelope {
            class,
            recommended,
            allowable,
        } = self.envelope();
        let mut toml = format!("{DEFAULT}\n{ASHRAE}").replace("{class}", class);
        for (name, limit) in [
            ("{recommended_low}", recommended.0),
            ("{recommended_high}", recommended.1),
            ("{allowable_low}", allowable.0),
            ("{allowable_high}", allowable.1),
        ] {
            toml = toml.replace(name, &format!("{limit:?}"));
        }
        toml
    }

    /// Returns the rules of the profile.
    pub fn rules(self) -> Result<Vec<RawRule>, RuleError> {
        parse(&self.rules_toml()).map_err(|error| {
            RuleError::new(0, "defaults", &"built-in rules").because(error.message())
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rules: Vec<RawRule>,
}

/// Parses TOML with `[[rules]]` and nothing else.
pub fn parse(toml: &str) -> Result<Vec<RawRule>, toml::de::Error> {
    Ok(toml::from_str::<RulesFile>(toml)?.rules)
}
