//! What the rules come to for one device: the detectors that watch it, with their numbers.

use std::time::Duration;

use super::raw::{Level, Settings};
use crate::alert::{AlertKind, Severity};
use crate::detect::Detector;
use crate::detect::drift::DriftSpec;
use crate::detect::fault::FaultSpec;
use crate::detect::limit::{LimitSpec, Side};
use crate::detect::outlier::OutlierSpec;
use crate::detect::runaway::RunawaySpec;
use crate::detect::stuck::StuckSpec;
use crate::detect::swing::{Direction, SwingLevel, SwingSpec};
use crate::device::{DeviceId, HardwareLimits, Role};
use crate::episode::Timing;
use crate::hash::fnv1a;
use crate::units::{Celsius, Kelvin};

/// What rules look at when they decide whether they hold for a device.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The device.
    pub device: &'a DeviceId,
    /// What it measures.
    pub role: Role,
    /// Where it stands.
    pub rack: Option<&'a str>,
    /// What its hardware calls too hot or too cold, as read.
    pub limits: HardwareLimits,
    /// The smallest step of its readings.
    pub resolution: Option<Kelvin>,
    /// How often it is read; zero where that is not known.
    pub interval: Duration,
}

/// All that watches one device. Devices with equal plans share one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The rules that hold for the device, each name once.
    pub rules: Vec<PlannedRule>,
    /// Which of them looks for silence: it is asked of every device again and again.
    silence: Option<usize>,
    /// What saved state is told by.
    names: Vec<RuleName>,
}

/// The name of a rule, and a number that is another whenever the rule means something else: state of another
/// rule must not be taken for this one's.
pub type RuleName = (String, u64);

impl Plan {
    /// A plan of these rules.
    pub(super) fn new(rules: Vec<PlannedRule>) -> Self {
        let silence = |rule: &PlannedRule| matches!(rule.detector, Detector::Silence(_));
        Self {
            silence: rules.iter().position(silence),
            names: rules.iter().map(PlannedRule::named).collect(),
            rules,
        }
    }

    /// The rules by what saved state of them is told by.
    pub fn names(&self) -> &[RuleName] {
        &self.names
    }

    /// The rule that looks for silence.
    pub fn silence(&self) -> Option<&PlannedRule> {
        self.rules.get(self.silence?)
    }
}

/// One rule for one device.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRule {
    /// The name in alert records.
    pub name: String,
    /// What its alerts are called.
    pub kind: AlertKind,
    /// When a finding becomes an episode, and when that ends.
    pub timing: Timing,
    /// The detector with its numbers.
    pub detector: Detector,
}

impl PlannedRule {
    /// The rule for `subject`, or none where it comes to nothing (every level off, or hardware
    /// limits that are not there).
    pub(super) fn new(
        name: &str,
        kind: AlertKind,
        settings: &Settings,
        subject: &Subject<'_>,
        flap: Duration,
    ) -> Option<Self> {
        let detector = match kind {
            AlertKind::HighTemp => Detector::Limit(limit(Side::Above, settings, subject)?),
            AlertKind::LowTemp => Detector::Limit(limit(Side::Below, settings, subject)?),
            AlertKind::Spike => Detector::Swing(swing(Direction::Rise, settings, subject)?),
            AlertKind::Drop => Detector::Swing(swing(Direction::Fall, settings, subject)?),
            AlertKind::Drift => Detector::Drift(drift(settings, subject)?),
            AlertKind::Runaway => Detector::Runaway(runaway(settings, subject)?),
            AlertKind::Outlier => Detector::Outlier(outlier(settings, subject)?),
            AlertKind::StuckSensor => Detector::Stuck(StuckSpec {
                severity: on(settings)?,
                least: settings.dwell.unwrap_or(STUCK),
                resolution: subject.resolution.unwrap_or(Kelvin(USUAL_STEP)),
            }),
            AlertKind::NoData => Detector::Silence(on(settings)?),
            AlertKind::SensorFault => Detector::Fault(FaultSpec {
                severity: on(settings)?,
            }),
            // No rule is of this kind: the engine watches clocks itself.
            AlertKind::ClockSkew => return None,
        };
        let dwell = match kind {
            // It looks at how long it is itself.
            AlertKind::StuckSensor => Duration::ZERO,
            // A sensor that is read seldom fails three times before that is spoken of.
            AlertKind::SensorFault | AlertKind::NoData => {
                (settings.dwell.unwrap_or_default()).max(subject.interval * 3)
            }
            // Its hardware's limits mean what its hardware means by them.
            AlertKind::HighTemp | AlertKind::LowTemp if is_of_hardware(settings) => {
                (settings.dwell.unwrap_or_default()).max(subject.limits.plausible().dwell)
            }
            _ => settings.dwell.unwrap_or_default(),
        };
        let timing = Timing {
            dwell,
            hold: settings.hold.unwrap_or(Duration::ZERO),
            flap,
        };
        Some(Self {
            name: name.to_owned(),
            kind,
            timing,
            detector,
        })
    }

    /// What has to be crossed for `severity`: °C for limits, kelvin for the others; none where the
    /// level is off.
    pub fn threshold(&self, severity: Severity) -> Option<f64> {
        match &self.detector {
            Detector::Limit(spec) => spec.levels[severity as usize].map(Celsius::degrees),
            Detector::Swing(spec) => spec.levels[severity as usize].as_ref().map(|l| l.by.0),
            Detector::Drift(spec) => spec.levels[severity as usize].map(|level| level.0),
            Detector::Outlier(spec) => spec.levels[severity as usize].map(|level| level.0),
            Detector::Runaway(spec) => (severity == Severity::Critical).then_some(spec.rise.0),
            Detector::Stuck(spec) => {
                (severity == spec.severity).then_some(spec.least.as_secs_f64())
            }
            Detector::Silence(at) => (severity == *at).then_some(self.timing.dwell.as_secs_f64()),
            Detector::Fault(spec) => {
                (severity == spec.severity).then_some(self.timing.dwell.as_secs_f64())
            }
        }
    }

    /// The window of `severity`, for swings and drifts.
    pub fn window(&self, severity: Severity) -> Option<Duration> {
        match &self.detector {
            Detector::Limit(_)
            | Detector::Runaway(_)
            | Detector::Outlier(_)
            | Detector::Stuck(_)
            | Detector::Silence(_)
            | Detector::Fault(_) => None,
            Detector::Swing(spec) => spec.levels[severity as usize].as_ref().map(|l| l.within),
            Detector::Drift(spec) => Some(spec.slow),
        }
    }

    fn named(&self) -> RuleName {
        // The debug form shows every number.
        let fingerprint = fnv1a([format!("{self:?}").as_bytes()]);
        (self.name.clone(), fingerprint)
    }
}

/// Whether all its levels are the hardware's own.
fn is_of_hardware(settings: &Settings) -> bool {
    let mut levels = settings.levels.iter().flatten();
    levels.all(|level| matches!(level, Level::Hardware | Level::Off))
}

fn limit(side: Side, settings: &Settings, subject: &Subject<'_>) -> Option<LimitSpec> {
    let hardware = subject.limits.plausible();
    let own = match side {
        Side::Above => [None, hardware.high_warning, hardware.high_critical],
        Side::Below => [None, None, hardware.low_critical],
    };
    let tighten = settings.tighten.unwrap_or(false);
    let mut levels = [None; 3];
    for ((level, setting), own) in levels.iter_mut().zip(settings.levels).zip(own) {
        *level = match setting {
            Some(Level::Hardware) => own,
            Some(Level::Limit(limit)) => {
                let limit = Celsius::new(limit).ok();
                let tighter =
                    own.filter(|own| tighten && limit.is_some_and(|l| side.beyond(l, *own)));
                tighter.or(limit)
            }
            _ => None,
        };
    }
    let hysteresis = Kelvin(settings.hysteresis.unwrap_or(0.0));
    levels.iter().any(Option::is_some).then_some(LimitSpec {
        side,
        levels,
        hysteresis,
    })
}

/// A change of fewer than three steps of the sensor is noise of its quantisation.
const LEAST_STEPS: f64 = 3.0;
/// A sensor with such a step, in kelvin, is coarse: the difference of two of its readings is off by up to a
/// step, which must not make a change out of what is none.
const COARSE: f64 = 0.5;

fn swing(direction: Direction, settings: &Settings, subject: &Subject<'_>) -> Option<SwingSpec> {
    let step = subject.resolution.map_or(0.0, |step| step.0);
    let least = Kelvin(step * LEAST_STEPS);
    let error = if step >= COARSE { step } else { 0.0 };
    let levels = settings.levels.map(|setting| match setting {
        Some(Level::Swing { by, within }) => {
            Some(SwingLevel::new(Kelvin(by.0 + error).max(least), within))
        }
        _ => None,
    });
    levels
        .iter()
        .any(Option::is_some)
        .then_some(SwingSpec { direction, levels })
}

fn outlier(settings: &Settings, subject: &Subject<'_>) -> Option<OutlierSpec> {
    let step = subject.resolution.map_or(0.0, |step| step.0);
    let error = if step >= COARSE { step } else { 0.0 };
    let levels = settings.levels.map(|setting| match setting {
        Some(Level::Limit(limit)) => Some(Kelvin(limit + error)),
        _ => None,
    });
    let is_on = levels.iter().any(Option::is_some);
    is_on.then_some(OutlierSpec { levels })
}

/// The severity at which a rule is switched on; the worst of several.
fn on(settings: &Settings) -> Option<Severity> {
    let levels = settings.levels.iter().zip(Severity::ALL);
    let on = levels.filter(|(level, _)| matches!(level, Some(Level::On)));
    on.map(|(_, severity)| severity).max()
}

/// A sensor is still for so long before it is looked at as stuck.
const STUCK: Duration = Duration::from_mins(30);

/// A sensor that does not say its step is taken to show tenths.
const USUAL_STEP: f64 = 0.1;

fn runaway(settings: &Settings, subject: &Subject<'_>) -> Option<RunawaySpec> {
    let Some(Level::Limit(rise)) = settings.levels[Severity::Critical as usize] else {
        return None;
    };
    Some(RunawaySpec {
        rise: Kelvin(rise),
        rate: settings.rate.unwrap_or(1.0),
        resolution: subject.resolution.unwrap_or(Kelvin(USUAL_STEP)),
        critical: None,
    })
}

/// A usual difference of less than a tenth of a kelvin is that of a sensor that shows no tenths.
const LEAST_USUAL: f64 = 0.1;

fn drift(settings: &Settings, subject: &Subject<'_>) -> Option<DriftSpec> {
    let hours = Duration::from_hours;
    let levels = settings.levels.map(|setting| match setting {
        Some(Level::Limit(limit)) => Some(Kelvin(limit)),
        _ => None,
    });
    let step = subject.resolution.map_or(0.0, |step| step.0 / 3.0);
    levels.iter().any(Option::is_some).then_some(DriftSpec {
        levels,
        score: settings.score.unwrap_or(3.0),
        fast: settings.fast.unwrap_or(hours(3)),
        slow: settings.slow.unwrap_or(hours(14 * 24)),
        warm_up: settings.warm_up.unwrap_or(hours(4 * 24)),
        cool_down: settings.cool_down.unwrap_or(hours(24)),
        least: Kelvin(step.max(LEAST_USUAL)),
    })
}
