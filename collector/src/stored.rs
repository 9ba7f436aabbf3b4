//! Versioned values in Redis: what this program understands is read, the rest is logged and left alone.

use std::error::Error as _;

use rackwatch_core::stored::{DecodeError, Decoded, Refusal, StoredValue, decode};
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use crate::scan::scan;

/// Reads a hash from ids to versioned JSON. Values of another version are logged, and stay in Redis.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read_hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<(String, T)>> {
    let decoded = Decoded::from_hash(scan(connection, key).await?);
    log_refusals::<T>(key, &decoded.refusals);
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
        log_refusal::<T>(key, &refusal.first, refusal.count, &refusal.error);
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
        %error,
        cause = error.source().map(tracing::field::display),
        "stored state refused"
    );
}
