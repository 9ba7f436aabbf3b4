//! The hash of a reader that holds something else, so that this reader cannot go on. The others do not depend on it.

use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{Connection, is_wrong_type};
use redis::RedisResult;

/// The field of the position in the reader's hash.
pub(super) const POSITION: &str = "position";
/// Most characters of a value that are shown.
const SHOWN: usize = 40;

/// Returns a line about the hash `key` of a reader, with what to do, unless it can be used or is missing.
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn damage(connection: &mut Connection, key: &str) -> RedisResult<Option<String>> {
    let mut get = redis::cmd("HGET");
    get.arg(key).arg(POSITION);
    match get.query_async::<Option<Vec<u8>>>(connection).await {
        Ok(stored) => Ok(stored.and_then(|stored| garbage(key, &stored))),
        Err(error) if is_wrong_type(&error) => {
            let found: String = redis::cmd("TYPE").arg(key).query_async(connection).await?;
            Ok(Some(format!(
                "{key} is a {found}, expected a hash: look at what wrote it, then delete or rename it; Rackwatch makes \
                 the key again, and sends what waited"
            )))
        }
        Err(error) => Err(error),
    }
}

/// Returns a position, unless it is no id of an entry.
pub(super) fn position(stored: &[u8]) -> Option<StreamId> {
    std::str::from_utf8(stored).ok()?.parse().ok()
}

/// Returns a line about a position that is no id of an entry.
fn garbage(key: &str, stored: &[u8]) -> Option<String> {
    if position(stored).is_some() {
        return None;
    }
    let text: String = String::from_utf8_lossy(stored)
        .chars()
        .take(SHOWN)
        .collect();
    Some(format!(
        "{key} holds {POSITION} = {text:?}, expected the id of an entry: delete that field (HDEL {key} {POSITION}); \
         Rackwatch makes it again, and sends what waited"
    ))
}
