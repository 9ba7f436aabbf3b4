//! Temperatures and temperature differences: what a number means is in its type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A temperature in degrees Celsius: finite, between [`Celsius::MIN`] and [`Celsius::MAX`].
///
/// The range is what a sensor of any kind in a data centre could be said to report. It is wider
/// than what is plausible: a reading of 200 °C is a temperature, of 3,892,314 °C is not.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Celsius(f64);

/// Why a number is not a temperature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATemperature {
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// Not a number, or infinite (as `1e999` is once read).
    #[error("not finite")]
    NotFinite,
    /// Colder than absolute zero or hotter than 1,000 °C.
    #[error("outside -273.15 to 1000 °C")]
    OutOfRange,
}

impl Celsius {
    /// Absolute zero.
    pub const MIN: Self = Self(-273.15);
    /// Where water freezes: the zero of the scale.
    pub const ZERO: Self = Self(0.0);
    /// Far beyond any sensor used in a rack.
    pub const MAX: Self = Self(1_000.0);

    /// A temperature of `degrees` °C.
    pub fn new(degrees: f64) -> Result<Self, NotATemperature> {
        if !degrees.is_finite() {
            return Err(NotATemperature::NotFinite);
        }
        if !(Self::MIN.0..=Self::MAX.0).contains(&degrees) {
            return Err(NotATemperature::OutOfRange);
        }
        // Adding zero turns -0.0 into 0.0, so that equal temperatures also print alike.
        Ok(Self(degrees + 0.0))
    }

    /// Reads decimal text as on the wire (`23.4`, `-5`, `2.34e1`).
    pub fn parse(text: &str) -> Result<Self, NotATemperature> {
        let degrees: f64 = text.parse().map_err(|_| NotATemperature::NotANumber)?;
        Self::new(degrees)
    }

    /// The number of degrees.
    pub fn degrees(self) -> f64 {
        self.0
    }

    /// How much warmer this is than `other`.
    pub fn above(self, other: Self) -> Kelvin {
        Kelvin(self.0 - other.0)
    }

    /// The temperature `by` warmer; kept within the range of temperatures.
    pub fn plus(self, by: Kelvin) -> Self {
        Self((self.0 + by.0).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The warmer of two.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The colder of two.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

/// Written with as many decimals as needed to read the same number back.
impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<f64> for Celsius {
    type Error = NotATemperature;

    fn try_from(degrees: f64) -> Result<Self, NotATemperature> {
        Self::new(degrees)
    }
}

impl From<Celsius> for f64 {
    fn from(temperature: Celsius) -> Self {
        temperature.0
    }
}

/// A difference of temperatures, in kelvin.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kelvin(pub f64);

impl Kelvin {
    /// The larger of two.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The same difference the other way.
    pub fn negated(self) -> Self {
        Self(-self.0)
    }
}

impl fmt::Display for Kelvin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Degrees in hundredths: what detectors keep, in two bytes. What is beyond ±327 °C is no temperature that any
/// rule judges, and becomes the nearest.
#[expect(clippy::cast_possible_truncation, reason = "clamped to its range")]
pub(crate) fn hundredths(degrees: f64) -> i16 {
    (degrees * 100.0)
        .round()
        .clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_in_range_are_temperatures() {
        for (text, why) in [
            ("NaN", NotATemperature::NotFinite),
            ("inf", NotATemperature::NotFinite),
            ("1e999", NotATemperature::NotFinite),
            ("3892314", NotATemperature::OutOfRange),
            ("-300", NotATemperature::OutOfRange),
            ("", NotATemperature::NotANumber),
            ("23,4", NotATemperature::NotANumber),
            (" 23", NotATemperature::NotANumber),
        ] {
            assert_eq!(Celsius::parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for degrees in [20.1, -0.0, 21.0, 1.0 / 3.0, -273.15, 1000.0] {
            let temperature = Celsius::new(degrees).unwrap();
            assert_eq!(Celsius::parse(&temperature.to_string()), Ok(temperature));
        }
    }
}
