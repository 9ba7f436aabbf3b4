//! Large hashes, read in pieces: a large one at once would stall Redis.

use std::collections::BTreeMap;

use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

/// Fields of one piece, about.
const SCAN: usize = 1_000;

/// All fields of a hash.
pub async fn scan(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut cursor = 0_u64;
    loop {
        let (next, part): (u64, Vec<(String, Vec<u8>)>) = redis::cmd("HSCAN")
            .arg(key)
            .arg(cursor)
            .arg("COUNT")
            .arg(SCAN)
            .query_async(connection)
            .await?;
        all.extend(part);
        if next == 0 {
            return Ok(all);
        }
        cursor = next;
    }
}
