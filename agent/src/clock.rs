//! The wall clock: the one place where the agent asks for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use rackwatch_core::time::Timestamp;

/// Now, by this host's clock; 1970 where that is set to before it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().plus(since.unwrap_or_default())
}
