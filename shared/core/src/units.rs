//! Temperatures and temperature differences as types of their own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A temperature in degrees Celsius: finite, between [`Celsius::MIN`] and [`Celsius::MAX`].
///
/// The range covers every kind of sensor in a data centre. It is wider than plausible values: 200 °C is a
/// temperature, 3,892,314 °C is not.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Celsius(f64);

/// The reason why a number is not a temperature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATemperature {
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// The number is infinite (as `1e999` is once parsed), or not a number.
    #[error("not finite")]
    NotFinite,
    /// The number is below absolute zero or above 1,000 °C.
    #[error("outside -273.15 to 1000 °C")]
    OutOfRange,
}

impl Celsius {
    /// The lowest temperature, absolute zero.
    pub const MIN: Self = Self(-273.15);
    /// The zero of the scale.
    pub const ZERO: Self = Self(0.0);
    /// The highest temperature, far beyond any sensor in a rack.
    pub const MAX: Self = Self(1_000.0);

    /// Returns a temperature of `degrees` °C.
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

    /// Returns the number of degrees Celsius.
    pub fn degrees(self) -> f64 {
        self.0
    }

    /// Returns the difference from `other`; positive if this is warmer.
    pub fn above(self, other: Self) -> Kelvin {
        Kelvin(self.0 - other.0)
    }

    /// Returns the temperature `by` warmer, clamped to the range.
    pub fn plus(self, by: Kelvin) -> Self {
        Self((self.0 + by.0).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Returns the warmer of two.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Returns the colder of two.
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
    /// Returns the larger of two.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Returns the difference in the other direction.
    pub fn negated(self) -> Self {
        Self(-self.0)
    }
}

impl fmt::Display for Kelvin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns hundredths of a degree, the form that detectors store in two bytes. Values beyond ±327 °C, which no rule
/// evaluates, become the nearest.
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
    fn written_temperatures_read_back_the_same() {
        for degrees in [20.1, -0.0, 21.0, 1.0 / 3.0, -273.15, 1000.0] {
            let temperature = Celsius::new(degrees).unwrap();
            assert_eq!(Celsius::parse(&temperature.to_string()), Ok(temperature));
        }
    }
}
