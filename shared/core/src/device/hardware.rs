//! Reports of the hardware about a sensor: limits, range and verdict. None of it is trusted blindly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Celsius;

/// The limits that the hardware reports for a sensor (hwmon `_max`, `_crit`; thresholds of a BMC), unchecked. See
/// [`HardwareLimits::plausible`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HardwareLimits {
    /// The lower critical limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_critical: Option<Celsius>,
    /// The upper warning limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_warning: Option<Celsius>,
    /// The upper critical limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_critical: Option<Celsius>,
    /// The time for which a limit must be exceeded (Redfish `DwellTime`), the longest of all limits.
    #[serde(
        rename = "dwell_ms",
        with = "crate::time::millis",
        skip_serializing_if = "Duration::is_zero"
    )]
    pub lasting: Duration,
}

impl HardwareLimits {
    /// Longest such time that is plausible: a longer one would delay an alert until the damage is done.
    const MAX_LASTING: Duration = Duration::from_mins(10);

    /// Returns whether no limit is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the plausible limits. Drivers report 0, -273.15 or 65261.85 for "not set", and some boards have the
    /// warning limit above the critical one. Such limits are dropped.
    pub fn plausible(self) -> Self {
        let sane = |limit: Option<Celsius>| {
            limit.filter(|l| (0.0..=150.0).contains(&l.degrees()) && l.degrees() > 0.0)
        };
        let high_critical = sane(self.high_critical);
        let mut high_warning = sane(self.high_warning);
        if let (Some(warning), Some(critical)) = (high_warning, high_critical)
            && warning >= critical
        {
            high_warning = None;
        }
        let low_critical = sane(self.low_critical).filter(|low| {
            high_critical
                .or(high_warning)
                .is_none_or(|high| *low < high)
        });
        Self {
            low_critical,
            high_warning,
            high_critical,
            lasting: Some(self.lasting)
                .filter(|lasting| *lasting <= Self::MAX_LASTING)
                .unwrap_or_default(),
        }
    }
}

/// The state of a sensor as its own board reports it (IPMI `nc`, `cr`, `nr`; Redfish `Status.Health`). It is shown beside
/// our severity, and causes no alert: boards report states of missing probes and of limits that were never set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within all limits of the board.
    Ok,
    /// Beyond a warning limit.
    Warning,
    /// Beyond a critical limit.
    Critical,
}

impl Verdict {
    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The measuring range of a sensor, as its hardware reports it (Redfish `ReadingRangeMin` and `ReadingRangeMax`),
/// unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The lowest possible reading.
    pub least: Celsius,
    /// The highest possible reading.
    pub most: Celsius,
}

impl Range {
    /// Returns the range, unless it is empty or inverted.
    pub fn plausible(self) -> Option<Self> {
        (self.least < self.most).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn celsius(degrees: f64) -> Celsius {
        Celsius::new(degrees).unwrap()
    }

    #[test]
    fn implausible_hardware_limits_are_dropped() {
        let limits = HardwareLimits {
            low_critical: Some(celsius(-40.0)),
            high_warning: Some(celsius(90.0)),
            high_critical: Some(celsius(85.0)),
            lasting: Duration::from_hours(1),
        };
        let plausible = limits.plausible();
        assert_eq!(plausible.low_critical, None);
        assert_eq!(plausible.high_warning, None, "inverted");
        assert_eq!(plausible.high_critical, Some(celsius(85.0)));
        assert_eq!(plausible.lasting, Duration::ZERO, "too long");
        let unset = HardwareLimits {
            high_critical: Some(celsius(255.0)),
            ..HardwareLimits::default()
        };
        assert!(unset.plausible().is_empty());
    }
}
