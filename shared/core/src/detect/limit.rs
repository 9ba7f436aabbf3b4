//! Limits: up to three levels, each a Schmitt trigger. A level is crossed by the first reading
//! beyond it, and cleared by the first that is inside it by the hysteresis.

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;
use crate::units::{Celsius, Kelvin};

/// Which side of the limit is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Too hot.
    Above,
    /// Too cold.
    Below,
}

impl Side {
    /// `value` is strictly beyond `limit`: 28.0 is not above 28.0.
    pub fn beyond(self, value: Celsius, limit: Celsius) -> bool {
        match self {
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }
}

/// The numbers of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSpec {
    /// Which side is bad.
    pub side: Side,
    /// The limit of each severity, from info to critical; none where it is off.
    pub levels: [Option<Celsius>; 3],
    /// How far inside a crossed limit a reading must be to clear it.
    pub hysteresis: Kelvin,
}

/// Which levels are crossed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitState {
    crossed: [bool; 3],
}

impl LimitState {
    /// Takes the next reading.
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
