//! The last reading of each agent that writes a device.

use super::super::duplicates::Writer;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The last reading of one of the writers of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine) struct WriterReading {
    pub(super) writer: Writer,
    pub(super) at: Timestamp,
    /// The temperature; none where it could not be read.
    pub(super) value: Option<Celsius>,
}
