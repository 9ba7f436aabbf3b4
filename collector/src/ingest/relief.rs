//! Memory for a Redis that has none left: entries of the raw stream that no restart needs.
//!
//! A Redis at its `maxmemory` refuses writes, but still trims. Trimming after a save alone would never free
//! memory then, since the save is a write.

use std::sync::{Mutex, PoisonError};

use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{Connection, is_out_of_memory};
use redis::RedisError;

/// The raw stream of a partition, and the part of it that may go.
#[derive(Debug)]
pub struct Relief {
    stream: String,
    /// The last entry that is committed and that every slice of detector state stands for.
    covered: Mutex<StreamId>,
}

impl Relief {
    /// Creates a relief that deletes nothing yet.
    pub fn new(stream: String) -> Self {
        Self {
            stream,
            covered: Mutex::new(StreamId::ZERO),
        }
    }

    /// Lets entries up to `covered` go.
    pub(super) fn cover(&self, covered: StreamId) {
        *self.covered.lock().unwrap_or_else(PoisonError::into_inner) = covered;
    }

    /// Deletes covered entries, even those that `stream.keep` would keep, if `error` says that Redis is out of
    /// memory. Returns whether it says so. A failure of the deletion is of no concern: the caller's write
    /// fails again, and is repeated.
    pub(super) async fn relieve(&self, connection: &mut Connection, error: &RedisError) -> bool {
        if !is_out_of_memory(error) {
            return false;
        }
        let covered = *self.covered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trim = redis::cmd("XTRIM");
        trim.arg(&self.stream)
            .arg(&["MINID", "="])
            .arg(covered.to_string());
        match trim.query_async::<u64>(connection).await {
            Ok(0) => {}
            Ok(entries) => tracing::warn!(
                stream = self.stream,
                entries,
                "redis is out of memory, deleted evaluated entries; raise maxmemory, or shorten \
                 series.raw_retention"
            ),
            Err(error) => tracing::debug!(stream = self.stream, %error, "trim failed"),
        }
        true
    }
}
