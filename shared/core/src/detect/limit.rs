//! Limits: up to three levels, each a Schmitt trigger. A level is crossed by the first reading
//! beyond it, and cleared by the first that is inside it by the hysteresis.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{Decision, Detector, DeviceTraits, Finding, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{Flag, Level, NumberRange, RawValue, keys};
use super::kind::{AlertFacts, AnomalyKind, Family, KindInfo, NoPayload, Peak, Phrase, Side};
use crate::severity::Severity;
use crate::units::{Celsius, Kelvin};

keys! {
    /// The keys of `high_temp` and `low_temp`.
    pub struct LimitKeys {
        INFO, WARNING, CRITICAL: LimitLevel;
        /// Kelvin inside a crossed limit at which it clears.
        hysteresis: f64 = NumberRange { least: 0.0, most: 20.0, unit: " kelvin" }, default 0.0;
        /// Whether the hardware's own limits may tighten these; they never loosen them.
        tighten: bool = Flag, default false
    }
}

/// The level of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitLevel {
    /// The limit of the hardware itself.
    Hardware,
    /// A temperature, in °C.
    Degrees(f64),
}

impl Level for LimitLevel {
    const EXPECTED: &'static str = "-60 to 200 °C, \"hardware\"";

    fn read(raw: &RawValue) -> Option<Result<Self, String>> {
        match raw {
            RawValue::Text(word) if word == "hardware" => Some(Ok(Self::Hardware)),
            RawValue::Number(degrees) if (-60.0..=200.0).contains(degrees) => {
                Some(Ok(Self::Degrees(*degrees)))
            }
            _ => None,
        }
    }

    fn rank(&self) -> Option<f64> {
        match self {
            Self::Degrees(degrees) => Some(*degrees),
            Self::Hardware => None,
        }
    }
}

/// `high_temp`: above a limit.
#[derive(Clone, Copy, Debug)]
pub struct HighTemp;

/// `low_temp`: below a limit.
#[derive(Clone, Copy, Debug)]
pub struct LowTemp;

impl AnomalyKind for HighTemp {
    const INFO: KindInfo = KindInfo {
        rank: 2,
        peak: Peak::Highest,
        side: Some(Side::Above),
        ..KindInfo::new("high_temp", "too hot", Family::Heat)
    };

    type Payload = NoPayload;

    fn phrase(_payload: Option<&NoPayload>, facts: &AlertFacts) -> Phrase {
        format!(" > {:.1}", facts.threshold).into()
    }
}

impl AnomalyKind for LowTemp {
    const INFO: KindInfo = KindInfo {
        rank: 2,
        peak: Peak::Lowest,
        side: Some(Side::Below),
        ..KindInfo::new("low_temp", "too cold", Family::Cold)
    };

    type Payload = NoPayload;

    fn phrase(_payload: Option<&NoPayload>, facts: &AlertFacts) -> Phrase {
        format!(" < {:.1}", facts.threshold).into()
    }
}

impl Detector for HighTemp {
    type Keys = LimitKeys;
    type Spec = LimitSpec;

    fn spec(
        keys: &LimitKeys,
        _pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<LimitSpec> {
        LimitSpec::new(Side::Above, keys, device)
    }

    fn pending_for(
        keys: &LimitKeys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Duration {
        keys.pending_for(pending_for, device)
    }
}

impl Detector for LowTemp {
    type Keys = LimitKeys;
    type Spec = LimitSpec;
    const WORSE_IS_LOWER: bool = true;

    fn spec(
        keys: &LimitKeys,
        _pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<LimitSpec> {
        LimitSpec::new(Side::Below, keys, device)
    }

    fn pending_for(
        keys: &LimitKeys,
        pending_for: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Duration {
        keys.pending_for(pending_for, device)
    }
}

impl LimitKeys {
    /// Limits of the hardware fire no sooner than the hardware itself would.
    fn pending_for(&self, pending_for: Option<Duration>, device: &DeviceTraits<'_>) -> Duration {
        let pending_for = pending_for.unwrap_or_default();
        let active = self.levels.active();
        let mut levels = active.iter().flatten();
        if levels.all(|level| *level == LimitLevel::Hardware) {
            pending_for.max(device.limits.plausible().lasting)
        } else {
            pending_for
        }
    }
}

/// The parameters of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSpec {
    /// Which side is bad.
    pub side: Side,
    /// The limit of each severity, from info to critical; `None` where it is off.
    pub levels: [Option<Celsius>; 3],
    /// Distance inside a crossed limit at which a reading clears it.
    pub hysteresis: Kelvin,
}

impl LimitSpec {
    fn new(side: Side, keys: &LimitKeys, device: &DeviceTraits<'_>) -> Option<Self> {
        let hardware = device.limits.plausible();
        let own = match side {
            Side::Above => [None, hardware.high_warning, hardware.high_critical],
            Side::Below => [None, None, hardware.low_critical],
        };
        let mut levels = [None; 3];
        for ((level, setting), own) in levels.iter_mut().zip(keys.levels.active()).zip(own) {
            *level = match setting {
                Some(LimitLevel::Hardware) => own,
                Some(LimitLevel::Degrees(limit)) => {
                    let limit = Celsius::new(limit).ok();
                    let is_tighter = |own: &Celsius| limit.is_some_and(|l| side.beyond(l, *own));
                    own.filter(|own| keys.tighten() && is_tighter(own))
                        .or(limit)
                }
                None => None,
            };
        }
        levels.iter().any(Option::is_some).then_some(Self {
            side,
            levels,
            hysteresis: Kelvin(keys.hysteresis()),
        })
    }
}

impl Spec for LimitSpec {
    type State = LimitState;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.numbers(self.levels.map(|level| level.map(Celsius::degrees)));
        to.number(self.hysteresis.0);
    }

    fn threshold(&self, severity: Severity, _pending_for: Duration) -> Option<f64> {
        self.levels[severity as usize].map(Celsius::degrees)
    }

    fn observe(&self, state: &mut LimitState, now: &Observation) -> Decision {
        Decision::Decided(state.observe(self, now.value))
    }
}

/// The levels that are crossed. In JSON a number: the sum of 1 for info, 2 for warning and 4 for critical.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct LimitState {
    crossed: [bool; 3],
}

impl From<LimitState> for u8 {
    fn from(state: LimitState) -> Self {
        let [info, warning, critical] = state.crossed.map(Self::from);
        info | warning << 1 | critical << 2
    }
}

impl From<u8> for LimitState {
    fn from(bits: u8) -> Self {
        Self {
            crossed: [0, 1, 2].map(|level| bits >> level & 1 == 1),
        }
    }
}

impl LimitState {
    /// No level is crossed.
    pub(super) const CLEAR: Self = Self {
        crossed: [false; 3],
    };

    /// Takes in the next reading.
    pub fn observe(&mut self, spec: &LimitSpec, value: Celsius) -> Option<Finding> {
        let inside = match spec.side {
            Side::Above => spec.hysteresis.negated(),
            Side::Below => spec.hysteresis,
        };
        let mut worst = None;
        for ((crossed, limit), severity) in
            self.crossed.iter_mut().zip(spec.levels).zip(Severity::ALL)
        {
            *crossed = limit.is_some_and(|limit| {
                let line = if *crossed { limit.plus(inside) } else { limit };
                spec.side.beyond(value, line)
            });
            if *crossed {
                worst = Some(severity);
            }
        }
        worst.map(Finding::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn celsius(degrees: f64) -> Celsius {
        Celsius::new(degrees).unwrap()
    }

    fn inlet() -> LimitSpec {
        LimitSpec {
            side: Side::Above,
            levels: [None, Some(celsius(28.0)), Some(celsius(32.0))],
            hysteresis: Kelvin(0.5),
        }
    }

    #[test]
    fn crossed_above_and_cleared_half_a_kelvin_inside() {
        let mut state = LimitState::default();
        let mut see = |t| state.observe(&inlet(), celsius(t)).map(|f| f.severity);
        assert_eq!(see(28.0), None);
        assert_eq!(see(28.1), Some(Severity::Warning));
        assert_eq!(see(27.6), Some(Severity::Warning));
        assert_eq!(see(33.0), Some(Severity::Critical));
        assert_eq!(see(31.6), Some(Severity::Critical));
        assert_eq!(see(31.5), Some(Severity::Warning));
        assert_eq!(see(27.5), None);
        assert_eq!(see(27.9), None);
    }
}
