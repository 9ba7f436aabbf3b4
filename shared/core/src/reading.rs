//! Readings: the temperature of a device at one instant, or the reason for a missing one.

use std::borrow::Cow;
use std::fmt;

use crate::device::DeviceId;
use crate::time::Timestamp;
use crate::units::Celsius;

/// One attempt to read a device. (device, at) identifies it: the same pair twice is one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The device that was read.
    pub device: DeviceId,
    /// The time of the attempt, by the agent's clock.
    pub at: Timestamp,
    /// The temperature, or the fault. A failed read is never a gap and never 0 °C.
    pub value: Result<Celsius, Fault>,
}

/// All readings of one tick, in the order of reading: the unit that the sampler hands to the publisher.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The time of the tick, and of its readings.
    pub at: Timestamp,
    /// The readings of the tick.
    pub readings: Vec<Reading>,
}

/// The reason for a missing temperature: one word of 1 to 32 of `a-z 0-9 _` that starts with a letter.
///
/// The set is open: other agents may have more reasons.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault(Cow<'static, str>);

impl Fault {
    /// The device reported that it has no reading.
    pub const NO_READING: Self = Self(Cow::Borrowed("no_reading"));
    /// The device did not answer before the deadline.
    pub const TIMEOUT: Self = Self(Cow::Borrowed("timeout"));
    /// The target cannot be reached, or refuses.
    pub const UNREACHABLE: Self = Self(Cow::Borrowed("unreachable"));
    /// The device is switched off.
    pub const DISABLED: Self = Self(Cow::Borrowed("disabled"));
    /// The value cannot be a temperature of this device.
    pub const OUT_OF_RANGE: Self = Self(Cow::Borrowed("out_of_range"));
    /// The value jumped, and a second read right after that did not confirm it.
    pub const UNCONFIRMED: Self = Self(Cow::Borrowed("unconfirmed"));
    /// The hardware itself reports a broken sensor.
    pub const SENSOR_FAULT: Self = Self(Cow::Borrowed("sensor_fault"));
    /// The answer could not be decoded.
    pub const GARBLED: Self = Self(Cow::Borrowed("garbled"));
    /// The read failed with an I/O error.
    pub const IO_ERROR: Self = Self(Cow::Borrowed("io_error"));
    /// The device is no longer there.
    pub const VANISHED: Self = Self(Cow::Borrowed("vanished"));

    /// The length of the longest reason, in bytes.
    pub const MAX_LEN: usize = 32;

    /// Returns the fault for a word from the wire; none if the word is malformed.
    pub fn new(word: &str) -> Option<Self> {
        let well_formed = (1..=Self::MAX_LEN).contains(&word.len())
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        well_formed.then(|| Self(Cow::Owned(word.to_owned())))
    }

    /// Returns the word on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the target failed to answer, which may concern all its devices.
    pub fn is_of_target(&self) -> bool {
        *self == Self::TIMEOUT || *self == Self::UNREACHABLE
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
