//! Rules as config files say them, and the check that turns them into rules.

use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::Rule;
use crate::alert::{AlertKind, Severity};
use crate::device::Role;
use crate::units::Kelvin;

/// One `[[rules]]` table of a config file. What is left out is taken from the rules before it that
/// have the same name and match the same device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawRule {
    /// The name in alert records; the type where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `high_temp`, `low_temp`, `spike`, `drop`, `drift`, `runaway`, `outlier`,
    /// `stuck_sensor`, `sensor_fault` or `no_data`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Only devices of these roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
    /// Only devices in racks that match one of these globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rack: Vec<String>,
    /// Only devices whose id matches one of these globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<String>,
    /// From where on it is an `info`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<RawLevel>,
    /// From where on it is a `warning`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<RawLevel>,
    /// From where on it is `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<RawLevel>,
    /// Kelvin inside the limit at which it is cleared; 0 to 20. Limits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hysteresis: Option<f64>,
    /// How long it must stay beyond before it speaks, as `60s`; at most a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dwell: Option<String>,
    /// How long it must stay clear before it is resolved, as `15m`; at most a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Whether the hardware's own limits may tighten these (never loosen them). Limits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tighten: Option<bool>,
    /// How unusual a difference must be, in its usual sizes; 1 to 20. Drift only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Time constant of the fast average, as `3h`; a minute to 90 days. Drift only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast: Option<String>,
    /// Time constant of the slow average, as `14d`; longer than that of the fast one. Drift only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<String>,
    /// How long a device must be known before its drift is spoken of, as `4d`. Drift only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<String>,
    /// At most one drift of a device begins in this time, as `24h`. Drift only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<String>,
    /// Kelvin per minute from which on it is a runaway; 0.2 to 20. Runaway only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// One level of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawLevel {
    /// A limit in °C, or for `drift`, `runaway` and `outlier` a difference in kelvin.
    Limit(f64),
    /// A change within a window: `{ by = 2.0, within = "5m" }`.
    Swing {
        /// Kelvin.
        by: f64,
        /// Length of the window, as `5m`; 10 s to a day.
        within: String,
    },
    /// `"off"`, `"hardware"` for the hardware's own limit, or `"on"` where there is nothing to cross.
    Word(String),
}

/// A checked level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Level {
    Off,
    On,
    Hardware,
    Limit(f64),
    Swing { by: Kelvin, within: Duration },
}

/// Checked settings; `None` means as before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) levels: [Option<Level>; 3],
    pub(crate) hysteresis: Option<f64>,
    pub(crate) dwell: Option<Duration>,
    pub(crate) hold: Option<Duration>,
    pub(crate) tighten: Option<bool>,
    pub(crate) score: Option<f64>,
    pub(crate) fast: Option<Duration>,
    pub(crate) slow: Option<Duration>,
    pub(crate) warm_up: Option<Duration>,
    pub(crate) cool_down: Option<Duration>,
    pub(crate) rate: Option<f64>,
}

impl Settings {
    pub(crate) fn lay_over(&mut self, over: &Self) {
        for (level, over) in self.levels.iter_mut().zip(over.levels) {
            *level = over.or(*level);
        }
        self.hysteresis = over.hysteresis.or(self.hysteresis);
        self.dwell = over.dwell.or(self.dwell);
        self.hold = over.hold.or(self.hold);
        self.tighten = over.tighten.or(self.tighten);
        self.score = over.score.or(self.score);
        self.fast = over.fast.or(self.fast);
        self.slow = over.slow.or(self.slow);
        self.warm_up = over.warm_up.or(self.warm_up);
        self.cool_down = over.cool_down.or(self.cool_down);
        self.rate = over.rate.or(self.rate);
    }
}

/// A rule that says what cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules[{index}].{key} = {value}: {why}")]
pub struct RuleError {
    /// Which rule, from 0.
    pub index: usize,
    /// Which key of it.
    pub key: String,
    /// The value seen.
    pub value: String,
    /// What is expected.
    pub why: String,
}

impl RuleError {
    pub(crate) fn new(index: usize, key: &str, value: &dyn ToString) -> Self {
        Self {
            index,
            key: key.to_owned(),
            value: value.to_string(),
            why: String::new(),
        }
    }

    pub(crate) fn because(mut self, why: &str) -> Self {
        why.clone_into(&mut self.why);
        self
    }
}

/// Windows, dwells and holds are at most a day: state is kept for so long.
const LONGEST: Duration = Duration::from_hours(24);
/// Windows shorter than this would be a single reading of most sensors.
const SHORTEST_WINDOW: Duration = Duration::from_secs(10);
/// What a drift is measured by.
const SHORTEST_AVERAGE: Duration = Duration::from_mins(1);
const LONGEST_AVERAGE: Duration = Duration::from_hours(90 * 24);

impl RawRule {
    pub(crate) fn check(&self, index: usize) -> Result<Rule, RuleError> {
        let wrong = |key: &str, value: &dyn ToString, why: &str| {
            Err(RuleError::new(index, key, value).because(why))
        };
        let kinds = AlertKind::RULES;
        let Some(kind) = kinds.into_iter().find(|kind| kind.name() == self.kind) else {
            return wrong(
                "type",
                &self.kind,
                "expected high_temp, low_temp, spike, drop, drift, runaway, outlier, stuck_sensor, sensor_fault or no_data",
            );
        };
        let name = self.name.clone().unwrap_or_else(|| self.kind.clone());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return wrong("name", &name, "expected 1 to 64 of A-Z a-z 0-9 . _ -");
        }
        if name == AlertKind::ClockSkew.name() {
            return wrong("name", &name, "the engine watches clocks by that name");
        }
        if let Some(h) = self.hysteresis.filter(|h| !(0.0..=20.0).contains(h)) {
            return wrong("hysteresis", &h, "expected 0 to 20 kelvin");
        }
        if let Some(score) = self.score.filter(|score| !(1.0..=20.0).contains(score)) {
            return wrong("score", &score, "expected 1 to 20");
        }
        if let Some(rate) = self.rate.filter(|rate| !(0.2..=20.0).contains(rate)) {
            return wrong("rate", &rate, "expected 0.2 to 20 kelvin per minute");
        }
        Ok(Rule {
            name,
            kind,
            roles: self.role.clone(),
            racks: globs(index, "rack", &self.rack)?,
            devices: globs(index, "device", &self.device)?,
            settings: self.settings(index, kind)?,
        })
    }

    fn settings(&self, index: usize, kind: AlertKind) -> Result<Settings, RuleError> {
        let mut levels = [None; 3];
        let raw = [&self.info, &self.warning, &self.critical];
        for ((level, raw), severity) in levels.iter_mut().zip(raw).zip(Severity::ALL) {
            if let Some(raw) = raw {
                *level = Some(raw.check(index, severity.name(), kind)?);
            }
        }
        let length = |key: &str, text: &Option<String>| {
            text.as_deref()
                .map(|t| duration(index, key, t, Duration::ZERO, LONGEST))
                .transpose()
        };
        let average = |key: &str, text: &Option<String>| {
            text.as_deref()
                .map(|t| duration(index, key, t, SHORTEST_AVERAGE, LONGEST_AVERAGE))
                .transpose()
        };
        in_order(index, kind, &levels)?;
        Ok(Settings {
            levels,
            hysteresis: self.hysteresis,
            dwell: length("dwell", &self.dwell)?,
            hold: length("hold", &self.hold)?,
            tighten: self.tighten,
            score: self.score,
            fast: average("fast", &self.fast)?,
            slow: average("slow", &self.slow)?,
            warm_up: average("warm_up", &self.warm_up)?,
            cool_down: average("cool_down", &self.cool_down)?,
            rate: self.rate,
        })
    }
}

impl RawLevel {
    fn check(&self, index: usize, key: &str, kind: AlertKind) -> Result<Level, RuleError> {
        let wrong = |value: &dyn ToString, why| Err(RuleError::new(index, key, value).because(why));
        let swing = matches!(kind, AlertKind::Spike | AlertKind::Drop);
        let quality = matches!(
            kind,
            AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData
        );
        let drift = matches!(
            kind,
            AlertKind::Drift | AlertKind::Runaway | AlertKind::Outlier
        );
        match self {
            Self::Word(word) if word == "off" => Ok(Level::Off),
            Self::Word(word) if word == "on" && quality => Ok(Level::On),
            _ if quality => wrong(&"another", expected(kind)),
            Self::Word(word) if word == "hardware" && !swing && !drift => Ok(Level::Hardware),
            Self::Limit(kelvin) if drift && (0.1..=100.0).contains(kelvin) => {
                Ok(Level::Limit(*kelvin))
            }
            Self::Limit(limit) if !swing && !drift && (-60.0..=200.0).contains(limit) => {
                Ok(Level::Limit(*limit))
            }
            Self::Swing { by, within } if swing => {
                if !(0.1..=100.0).contains(by) {
                    return wrong(by, "expected a change of 0.1 to 100 kelvin");
                }
                let within = duration(index, key, within, SHORTEST_WINDOW, LONGEST)?;
                Ok(Level::Swing {
                    by: Kelvin(*by),
                    within,
                })
            }
            Self::Limit(value) => wrong(value, expected(kind)),
            Self::Word(value) => wrong(value, expected(kind)),
            Self::Swing { within, .. } => wrong(within, expected(kind)),
        }
    }
}

fn expected(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Spike | AlertKind::Drop => {
            "expected { by = <kelvin>, within = \"<duration>\" } or \"off\""
        }
        AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData => {
            "expected \"on\" or \"off\""
        }
        AlertKind::Drift | AlertKind::Runaway | AlertKind::Outlier => {
            "expected 0.1 to 100 kelvin or \"off\""
        }
        _ => "expected -60 to 200 °C, \"hardware\" or \"off\"",
    }
}

/// A worse level must lie further out, or the milder one could never be seen.
fn in_order(index: usize, kind: AlertKind, levels: &[Option<Level>; 3]) -> Result<(), RuleError> {
    let limits = levels
        .iter()
        .zip(Severity::ALL)
        .filter_map(|(level, severity)| match level {
            Some(Level::Limit(limit)) => Some((*limit, severity)),
            _ => None,
        });
    let mut milder: Option<f64> = None;
    for (limit, severity) in limits {
        let ordered = milder.is_none_or(|milder| match kind {
            AlertKind::LowTemp => limit < milder,
            _ => limit > milder,
        });
        if !ordered {
            return Err(RuleError::new(index, severity.name(), &limit)
                .because("a worse level must lie beyond the milder one"));
        }
        milder = Some(limit);
    }
    Ok(())
}

fn duration(
    index: usize,
    key: &str,
    text: &str,
    least: Duration,
    most: Duration,
) -> Result<Duration, RuleError> {
    let wrong = |why: String| RuleError::new(index, key, &text).because(&why);
    let parsed = humantime::parse_duration(text)
        .map_err(|e| wrong(format!("not a duration such as 90s or 5m: {e}")))?;
    if parsed < least || parsed > most {
        let (least, most) = (
            humantime::format_duration(least),
            humantime::format_duration(most),
        );
        return Err(wrong(format!("expected {least} to {most}")));
    }
    Ok(parsed)
}

fn globs(index: usize, key: &str, texts: &[String]) -> Result<Vec<GlobMatcher>, RuleError> {
    let compile = |text: &String| {
        let glob = Glob::new(text)
            .map_err(|e| RuleError::new(index, key, text).because(&format!("not a glob: {e}")))?;
        Ok(glob.compile_matcher())
    };
    texts.iter().map(compile).collect()
}
