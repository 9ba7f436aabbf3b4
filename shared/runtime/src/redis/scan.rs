//! Large hashes, read in pages: HGETALL of 100,000 fields stalls Redis for 60 ms.

use std::collections::BTreeMap;

use redis::RedisResult;
use redis::aio::ConnectionLike;

/// Fields of one page, roughly: Redis takes it as a hint.
const PAGE: usize = 1_000;

/// Reads all fields of the hash `key`; empty if there is no such key.
///
/// # Errors
///
/// When Redis does not answer, or `key` is of another type.
pub async fn scan_hash(
    connection: &mut impl ConnectionLike,
    key: &str,
) -> RedisResult<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut pages = HashPages::new(key);
    while let Some(page) = pages.next(connection).await? {
        all.extend(page);
    }
    Ok(all)
}

/// The pages of a hash, for hashes that memory should not hold twice. A field may come twice.
#[derive(Debug)]
pub struct HashPages<'k> {
    key: &'k str,
    /// Cursor of the next page; none after the last.
    cursor: Option<u64>,
}

impl<'k> HashPages<'k> {
    /// Starts before the first page of the hash `key`.
    pub fn new(key: &'k str) -> Self {
        Self {
            key,
            cursor: Some(0),
        }
    }

    /// Reads the next page, which may be empty; none after the last.
    ///
    /// # Errors
    ///
    /// As [`scan_hash`].
    pub async fn next(
        &mut self,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<Option<Vec<(String, Vec<u8>)>>> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let (next, page): (u64, _) = redis::cmd("HSCAN")
            .arg(self.key)
            .arg(cursor)
            .arg("COUNT")
            .arg(PAGE)
            .query_async(connection)
            .await?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(page))
    }
}
