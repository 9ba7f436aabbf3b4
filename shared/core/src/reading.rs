//! Readings: what a device said at one instant, a temperature or the reason why there is none.

use std::borrow::Cow;
use std::fmt;

use crate::device::DeviceId;
use crate::time::Timestamp;
use crate::units::Celsius;

/// One attempt to read one device. (device, at) identifies it: the same pair twice is one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which device.
    pub device: DeviceId,
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// What it said, or why it could not be read. A failed read is never a gap and never 0 °C.
    pub value: Result<Celsius, Fault>,
}

/// Everything that was read at one tick, in the order of reading: what travels from the sampler to
/// the publisher.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The tick: the timestamp of its readings.
    pub at: Timestamp,
    /// What was read.
    pub readings: Vec<Reading>,
}

/// Why a device has no temperature, in one word: 1 to 32 of `a-z 0-9 _`, starting with a letter.
///
/// The set is open: other agents may know more reasons.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault(Cow<'static, str>);

impl Fault {
    /// The device answered that it has no reading.
    pub const NO_READING: Self = Self(Cow::Borrowed("no_reading"));
    /// It did not answer before the deadline.
    pub const TIMEOUT: Self = Self(Cow::Borrowed("timeout"));
    /// What is asked for it cannot be reached, or says no.
    pub const UNREACHABLE: Self = Self(Cow::Borrowed("unreachable"));
    /// It is switched off.
    pub const DISABLED: Self = Self(Cow::Borrowed("disabled"));
    /// It answered with what cannot be a temperature of this device.
    pub const OUT_OF_RANGE: Self = Self(Cow::Borrowed("out_of_range"));
    /// It jumped, and was elsewhere again when it was read once more at once.
    pub const UNCONFIRMED: Self = Self(Cow::Borrowed("unconfirmed"));
    /// The hardware itself says that the sensor is broken.
    pub const SENSOR_FAULT: Self = Self(Cow::Borrowed("sensor_fault"));
    /// Its answer could not be understood.
    pub const GARBLED: Self = Self(Cow::Borrowed("garbled"));
    /// Reading failed with an I/O error.
    pub const IO_ERROR: Self = Self(Cow::Borrowed("io_error"));
    /// The device that was there is there no more.
    pub const VANISHED: Self = Self(Cow::Borrowed("vanished"));

    /// The longest reason, in bytes.
    pub const MAX_LEN: usize = 32;

    /// Takes a word from the wire; none if it is not such a word.
    pub fn new(word: &str) -> Option<Self> {
        let well_formed = (1..=Self::MAX_LEN).contains(&word.len())
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        well_formed.then(|| Self(Cow::Owned(word.to_owned())))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It is what was asked for the device that gave no answer: that may be so for all its devices.
    pub fn is_of_target(&self) -> bool {
        *self == Self::TIMEOUT || *self == Self::UNREACHABLE
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
