//! The rules that hold where the operator says nothing. They must be right on the first day.
//!
//! Inlet numbers follow the recommended (18 to 27 °C) and allowable (class A1: 15 to 32 °C)
//! envelopes of ASHRAE TC 9.9, Thermal Guidelines for Data Processing Environments, 5th edition
//! (2021): one kelvin of grace above recommended, so that a room run at its edge is quiet. The
//! swings of 5 °C in 15 minutes and 20 °C in an hour are the same edition's limits for equipment
//! without tape, which it defines as the largest difference within any such window; 2 °C in
//! 5 minutes finds labelled heat events in public sensor traces without false alarms.

use serde::Deserialize;

use super::raw::{RawLevel, RawRule};
use crate::device::Role;
use crate::indices::Envelope;

/// Whose limits hold for the air that equipment takes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Class A1 with a kelvin of grace, and no warning for a cold aisle of 16 °C: what most rooms are.
    #[default]
    Default,
    /// Class A1 as it is written: allowable 15 to 32 °C.
    AshraeA1,
    /// Class A2: allowable 10 to 35 °C.
    AshraeA2,
    /// Class A3: allowable 5 to 40 °C.
    AshraeA3,
    /// Class A4: allowable 5 to 45 °C.
    AshraeA4,
    /// Class H1, high density: recommended 18 to 22 °C, allowable 5 to 25 °C.
    AshraeH1,
}

impl Profile {
    /// Its limits, or those of class A1 where the operator has named no class: ASHRAE TC 9.9, 5th edition
    /// (2021).
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
}

const RECOMMENDED: (f64, f64) = (18.0, 27.0);

/// The default rules, with the limits of a profile.
pub fn default_rules(profile: Profile) -> Vec<RawRule> {
    let (mut high, mut low) = (high_air(), low_air());
    if profile != Profile::Default {
        let Envelope {
            recommended,
            allowable,
            ..
        } = profile.envelope();
        high.warning = Some(RawLevel::Limit(recommended.1));
        high.critical = Some(RawLevel::Limit(allowable.1));
        low.info = None;
        low.warning = Some(RawLevel::Limit(recommended.0));
        low.critical = Some(RawLevel::Limit(allowable.0));
    }
    let mut rules = vec![high, low];
    rules.extend(of_every_profile());
    rules
}

fn of_every_profile() -> Vec<RawRule> {
    vec![
        high_exhaust(),
        hardware_only(
            vec![Role::Return, Role::Other],
            Some(RawLevel::Word("hardware".into())),
        ),
        hardware_only(vec![Role::Cpu, Role::Gpu, Role::Memory, Role::Disk], None),
        swing("spike"),
        swing("drop"),
        warm_swing("spike"),
        warm_swing("drop"),
        drift(cold_air(), 1.0, 3.0),
        // The same work at other hours is no fault.
        drift(vec![Role::Exhaust, Role::Return], 3.0, 8.0),
        runaway(),
        outlier(),
        quality("stuck_sensor", cold_air(), "30m"),
        quality("sensor_fault", Vec::new(), "60s"),
        quality("no_data", Vec::new(), "60s"),
    ]
}

/// Roles judged by the inlet's numbers.
fn cold_air() -> Vec<Role> {
    vec![Role::Inlet, Role::Ambient, Role::Supply]
}

fn high_air() -> RawRule {
    RawRule {
        kind: "high_temp".into(),
        role: cold_air(),
        warning: Some(RawLevel::Limit(28.0)),
        critical: Some(RawLevel::Limit(32.0)),
        hysteresis: Some(0.5),
        tighten: Some(true),
        ..RawRule::default()
    }
}

/// A cold aisle of 16 °C is normal in many rooms: below recommended is only worth a note.
fn low_air() -> RawRule {
    RawRule {
        kind: "low_temp".into(),
        role: cold_air(),
        info: Some(RawLevel::Limit(18.0)),
        warning: Some(RawLevel::Limit(15.0)),
        critical: Some(RawLevel::Limit(10.0)),
        hysteresis: Some(0.5),
        ..RawRule::default()
    }
}

fn high_exhaust() -> RawRule {
    RawRule {
        role: vec![Role::Exhaust],
        warning: Some(RawLevel::Limit(50.0)),
        critical: Some(RawLevel::Limit(60.0)),
        ..high_air()
    }
}

/// Components know their own limits; one minute of dwell lets a turbo burst pass.
fn hardware_only(role: Vec<Role>, warning: Option<RawLevel>) -> RawRule {
    RawRule {
        kind: "high_temp".into(),
        role,
        warning,
        critical: Some(RawLevel::Word("hardware".into())),
        hysteresis: Some(2.0),
        dwell: Some("60s".into()),
        ..RawRule::default()
    }
}

fn swing(kind: &str) -> RawRule {
    let level = |by, within: &str| {
        Some(RawLevel::Swing {
            by,
            within: within.into(),
        })
    };
    RawRule {
        kind: kind.into(),
        role: cold_air(),
        info: level(2.0, "5m"),
        warning: level(5.0, "15m"),
        critical: level(20.0, "1h"),
        hold: Some("15m".into()),
        ..RawRule::default()
    }
}

/// Air behind equipment follows its load: by 10 to 20 K between idle and full, within minutes. That
/// is work, not trouble; more than that within an hour is.
fn warm_swing(kind: &str) -> RawRule {
    let level = |by, within: &str| {
        Some(RawLevel::Swing {
            by,
            within: within.into(),
        })
    };
    RawRule {
        role: vec![Role::Exhaust, Role::Return],
        info: level(5.0, "5m"),
        warning: None,
        critical: level(20.0, "1h"),
        ..swing(kind)
    }
}

/// A kelvin is worth a note, three are work for this week: a clogged filter, a fan that gives up.
fn drift(role: Vec<Role>, info: f64, warning: f64) -> RawRule {
    let text = |length: &str| Some(length.to_owned());
    RawRule {
        kind: "drift".into(),
        role,
        info: Some(RawLevel::Limit(info)),
        warning: Some(RawLevel::Limit(warning)),
        score: Some(3.0),
        fast: text("3h"),
        slow: text("14d"),
        warm_up: text("4d"),
        cool_down: text("24h"),
        hold: text("6h"),
        ..RawRule::default()
    }
}

/// Exhaust and return air rise with the load of the equipment, and say nothing of cooling.
fn runaway() -> RawRule {
    RawRule {
        kind: "runaway".into(),
        role: cold_air(),
        critical: Some(RawLevel::Limit(1.8)),
        rate: Some(1.0),
        hold: Some("15m".into()),
        ..RawRule::default()
    }
}

/// A blanking panel that was left off, a blocked server, a sensor that lost its calibration: work for this
/// week where it is much. The air behind equipment follows the work of each, and says nothing.
fn outlier() -> RawRule {
    RawRule {
        kind: "outlier".into(),
        role: cold_air(),
        info: Some(RawLevel::Limit(2.0)),
        warning: Some(RawLevel::Limit(4.0)),
        dwell: Some("10m".into()),
        hold: Some("1h".into()),
        ..RawRule::default()
    }
}

/// Who cannot be believed is worth a look this week.
fn quality(kind: &str, role: Vec<Role>, dwell: &str) -> RawRule {
    RawRule {
        kind: kind.into(),
        role,
        warning: Some(RawLevel::Word("on".into())),
        dwell: Some(dwell.into()),
        ..RawRule::default()
    }
}
