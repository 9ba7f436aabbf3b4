//! The wall clock: the one place where programs ask for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use rackwatch_core::time::Timestamp;

/// Returns the time of day by this host's clock, or 1970 if the clock is set before that.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().plus(since.unwrap_or_default())
}
