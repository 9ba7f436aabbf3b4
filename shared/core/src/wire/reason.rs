//! Reasons for rejected entries.

use std::time::Duration;

use crate::device::{DeviceId, DeviceIdError};
use crate::name::printable;
use crate::time::Timestamp;
use crate::units::NotATemperature;
use crate::words::count;

/// The longest field that is decoded, in bytes: a frame of some 15,000 readings.
pub const MAX_FIELD: usize = 1 << 20;

/// The greatest number of fields in an entry.
pub const MAX_FIELDS: usize = 64;

/// The reason why an entry was rejected, as the dead letters show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A required field is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// Two fields have the same name.
    #[error("field {0} is there twice")]
    Twice(&'static str),
    /// A field has an empty value.
    #[error("field {0} is empty")]
    Empty(&'static str),
    /// A field is not UTF-8 text.
    #[error("field {0} is not UTF-8 text")]
    NotText(&'static str),
    /// A field is longer than [`MAX_FIELD`].
    #[error("field {} has {len} bytes, more than {MAX_FIELD}", printable(name))]
    TooLong {
        /// The name of the field.
        name: String,
        /// The length in bytes.
        len: usize,
    },
    /// The entry has more than [`MAX_FIELDS`] fields.
    #[error("{0} fields, more than {MAX_FIELDS}")]
    TooManyFields(usize),
    /// The device id is invalid.
    #[error("device_id is not a device id: {0}")]
    BadDevice(DeviceIdError),
    /// The temperature is invalid.
    #[error("temperature is {0}")]
    BadTemperature(NotATemperature),
    /// The fault is not a word.
    #[error("fault is not a word of a-z 0-9 _")]
    BadFault,
    /// The entry has both a temperature and a fault.
    #[error("both temperature and fault are there")]
    ValueAndFault,
    /// The timestamp is not a number of milliseconds since 1970.
    #[error("timestamp is not whole milliseconds between 1970 and 9999")]
    BadTimestamp,
    /// The timestamp lies in the future.
    #[error(
        "timestamp {timestamp} is more than {} after the entry came, at {arrived}: set the clock of \
         who wrote it",
        humantime::format_duration(*limit)
    )]
    Future {
        /// The time of the reading.
        timestamp: Timestamp,
        /// The arrival of the entry.
        arrived: Timestamp,
        /// The greatest allowed lead.
        limit: Duration,
    },
    /// The device is new, and its partition has as many devices as it may.
    #[error(
        "device {device} is new, and the partition already has partition.max_devices = {limit} devices: forget devices \
         that are gone, or raise the limit ({} refused in this entry)",
        count(readings, "reading")
    )]
    TooManyDevices {
        /// The device of the first refused reading.
        device: DeviceId,
        /// The most devices of a partition.
        limit: usize,
        /// The number of refused readings in the entry.
        readings: usize,
    },
    /// The agent's name is invalid.
    #[error("agent is not a name of 1 to 128 visible characters")]
    BadAgent,
    /// The sequence number is not `<run>-<n>`.
    #[error("seq is not <run>-<number>")]
    BadSeq,
    /// A pair of a frame is not `device=value`.
    #[error("pair {number} of readings: {why}")]
    BadPair {
        /// The number of the pair, from 1.
        number: usize,
        /// The fault of the pair.
        why: Box<Reason>,
    },
    /// A pair has no `=`.
    #[error("no = in it")]
    NoEquals,
    /// A frame contains one device twice.
    #[error("the device is there twice")]
    DeviceTwice,
}
