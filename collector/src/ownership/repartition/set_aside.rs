//! Sets the old keys aside, and empties the old raw streams of what is committed.

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::StreamId;
use redis::RedisResult;

use super::{Repartition, RepartitionError, aside, redistributed};
use crate::failpoint;

/// Renames a key, but never onto one that is aside already. A stream that is empty was made by a reader that looked for
/// its group meanwhile. Returns 0 if another key is in the way.
const SET_ASIDE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('RENAME', KEYS[1], KEYS[2])
  return 1
end
if redis.call('TYPE', KEYS[1]).ok == 'stream' and redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[1])
  return 1
end
return 0";

/// Deletes entries below an id, and the stream if none is left.
const TRIM: &str = r"
if ARGV[1] ~= '' then redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[1])
end";

impl Repartition {
    /// Renames all keys to redistribute. What is aside already stays as it is.
    pub(super) async fn set_aside(&mut self, from: Partitions) -> Result<(), RepartitionError> {
        let script = redis::Script::new(SET_ASIDE);
        for keys in from.all().map(PartitionKeys::of) {
            for key in redistributed(&keys) {
                let mut call = script.key(key);
                call.key(aside(key));
                let is_aside: bool = call.invoke_async(&mut self.connection).await?;
                if !is_aside {
                    let key = key.clone();
                    return Err(RepartitionError::InTheWay { key });
                }
                failpoint::pass("resize key set aside");
            }
        }
        Ok(())
    }

    /// Deletes the readings that are committed: what came later stays, and is moved.
    pub(super) async fn trim_committed(&mut self, from: Partitions) -> RedisResult<()> {
        for keys in from.all().map(PartitionKeys::of) {
            let done: Option<String> = redis::cmd("HGET")
                .arg(aside(&keys.fence))
                .arg("done")
                .query_async(&mut self.connection)
                .await?;
            let done: Option<StreamId> = done.and_then(|id| id.parse().ok());
            let keep = done.map_or_else(String::new, |id| id.next().to_string());
            self.trim(&keys.raw, &keep).await?;
        }
        Ok(())
    }

    /// Deletes the entries of a stream below `keep`, if that is not empty, and the stream if none is left.
    pub(super) async fn trim(&mut self, stream: &str, keep: &str) -> RedisResult<()> {
        let script = redis::Script::new(TRIM);
        let mut call = script.key(stream);
        call.arg(keep);
        call.invoke_async(&mut self.connection).await
    }
}
