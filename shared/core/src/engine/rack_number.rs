//! The number by which a device knows its rack.

use std::num::NonZeroU32;

/// The engine's number for a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RackNumber(NonZeroU32);

impl RackNumber {
    /// Returns the number of the rack at `index`.
    pub(super) fn of_index(index: usize) -> Self {
        let number = u32::try_from(index).unwrap_or(u32::MAX - 1);
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    /// Returns the index of the rack.
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}
