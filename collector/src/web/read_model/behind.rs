//! Readings that arrive, and are older than their device's last one: no rule looks at them.

use std::time::Duration;

use rackwatch_core::time::Timestamp;

/// The least number of such readings, and the time that they last, until a device's clock counts as set back. The same as in
/// the engine.
const SET_BACK: (u32, Duration) = (3, Duration::from_secs(10));

/// The time for which such readings come until a device is no longer live.
const LASTING: Duration = Duration::from_secs(2);

/// The readings of a device that came since its last newer one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    since: Timestamp,
    readings: u32,
}

impl Behind {
    /// Returns none yet, from `now` on.
    pub(super) fn begin(now: Timestamp) -> Self {
        Self {
            since: now,
            readings: 0,
        }
    }

    /// Counts a reading. Returns whether the device's clock was set back, so that a new time begins with it.
    pub(super) fn count(&mut self, now: Timestamp) -> bool {
        self.readings = self.readings.saturating_add(1);
        let (readings, time) = SET_BACK;
        self.readings >= readings && now.since(self.since) >= time
    }

    /// Returns whether they have come for long enough that the last value is not the present one.
    pub(super) fn is_lasting(self, now: Timestamp) -> bool {
        self.readings > 1 && now.since(self.since) >= LASTING
    }
}
