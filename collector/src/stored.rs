//! Versioned values in Redis: what this program understands is read, the rest is logged and left alone.

use rackwatch_core::stored::{DecodeError, Refusal, StoredValue, StoredValues, decode};
use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::{AsyncCommands as _, RedisResult};
use serde::Serialize;

/// Fields in one HDEL, so that Redis is busy for less than a millisecond.
const DELETED_AT_ONCE: usize = 500;

/// Reads a hash from ids to versioned JSON. Values of another version are logged, and stay in Redis.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read_hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<(String, T)>> {
    let decoded = StoredValues::from_hash(scan_hash(connection, key).await?);
    log_refusals::<T>(key, &decoded.refusals);
    Ok(decoded.values)
}

/// Reads a hash of state that Rackwatch itself derives. Values of older versions are logged and deleted, since they would
/// stay for ever. Values of newer versions are logged, and stay in Redis.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn take_over_hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<(String, T)>> {
    let decoded = StoredValues::from_hash(scan_hash(connection, key).await?);
    log_refusals::<T>(key, &decoded.refusals);
    let outdated = decoded.refusals.iter();
    for refusal in outdated.filter(|refusal| refusal.error.is_outdated()) {
        for ids in refusal.ids.chunks(DELETED_AT_ONCE) {
            let _deleted: u64 = connection.hdel(key, ids).await?;
        }
    }
    Ok(decoded.values)
}

/// Reads the only value of a key. A value of another version is logged, and stays in Redis.
pub fn read_one<T: StoredValue>(key: &str, json: &[u8]) -> Option<T> {
    match decode(json) {
        Ok(value) => Some(value),
        Err(error) => {
            log_refusal::<T>(key, "", 1, &error);
            None
        }
    }
}

/// Logs one line for each reason why values of `key` were refused.
pub fn log_refusals<T: StoredValue>(key: &str, refusals: &[Refusal]) {
    for refusal in refusals {
        let first = refusal.ids.first().map_or("", String::as_str);
        log_refusal::<T>(key, first, refusal.ids.len(), &refusal.error);
    }
}

fn log_refusal<T: StoredValue>(key: &str, first: &str, count: usize, error: &DecodeError) {
    tracing::warn!(
        key,
        first,
        count,
        value = T::NAME,
        found = error.found(),
        understood = T::VERSION,
        error = chain(error),
        "stored state refused"
    );
}

/// Values of operators that this program does not understand. They have no effect, and stay in Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedState {
    /// The key in Redis.
    pub key: &'static str,
    /// The number of values.
    pub count: usize,
    /// The reason, which names the versions.
    pub reason: String,
}

impl RefusedState {
    /// Finds the refused values of a key, without logging them.
    pub fn find<T: StoredValue>(
        key: &'static str,
        values: impl IntoIterator<Item = (impl AsRef<str>, Vec<u8>)>,
    ) -> Vec<Self> {
        let decoded = StoredValues::<T>::from_hash(values);
        let refused = decoded.refusals.into_iter().map(|refusal| Self {
            key,
            count: refusal.ids.len(),
            reason: refusal.error.to_string(),
        });
        refused.collect()
    }
}
