//! The state that makes it possible to go on where the last owner stopped.

use std::collections::HashMap;

use rackwatch_core::engine::Slice;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::super::script::Fence;
use super::super::{Restore, Resume, SliceNumber};

/// Reads what the last owner left; none where `epoch` is not the newest any more. Says the number
/// of the last commit too.
pub(super) async fn load(
    connection: &mut Connection,
    keys: &PartitionKeys,
    epoch: u64,
    restore: &mut Restore<'_>,
) -> RedisResult<Option<(u64, Resume)>> {
    let (newest, commit, done): (Option<u64>, Option<u64>, Option<String>) = redis::cmd("HMGET")
        .arg(&keys.fence)
        .arg("epoch")
        .arg("commit")
        .arg("done")
        .query_async(connection)
        .await?;
    if newest != Some(epoch) {
        return Ok(None);
    }
    let saved = slices(connection, keys, restore).await?;
    let episodes: Vec<Vec<u8>> = redis::cmd("HVALS")
        .arg(&keys.episodes)
        .query_async(connection)
        .await?;
    let agents: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
        .arg(&keys.ledger)
        .query_async(connection)
        .await?;
    let runs = |(agent, json): (String, Vec<u8>)| {
        let runs = known("ledger entry", serde_json::from_slice(&json))?;
        Some((agent, runs))
    };
    let resume = Resume {
        saved,
        agents: agents.into_iter().filter_map(runs).collect(),
        episodes: episodes
            .iter()
            .filter_map(|json| known("episode", serde_json::from_slice(json)))
            .collect(),
        done: done
            .and_then(|id| id.parse().ok())
            .unwrap_or(StreamId::ZERO),
    };
    Ok(Some((commit.unwrap_or(0), resume)))
}

/// Reads the slices one by one; says what the oldest stands for.
async fn slices(
    connection: &mut Connection,
    keys: &PartitionKeys,
    restore: &mut Restore<'_>,
) -> RedisResult<Option<StreamId>> {
    let names: Vec<String> = redis::cmd("HKEYS")
        .arg(&keys.snapshot)
        .query_async(connection)
        .await?;
    let mut oldest: Option<StreamId> = None;
    for name in names {
        let json: Option<Vec<u8>> = redis::cmd("HGET")
            .arg(&keys.snapshot)
            .arg(name)
            .query_async(connection)
            .await?;
        let slice = json.and_then(|json| known("slice", Slice::from_json(&json)));
        let Some(slice) = slice else { continue };
        oldest = Some(oldest.map_or(slice.through, |oldest| oldest.min(slice.through)));
        restore(slice);
    }
    Ok(oldest)
}

/// What another version wrote may not be readable: the detectors then start cold.
fn known<T>(what: &str, read: Result<T, serde_json::Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(what, %error, "saved state cannot be read, ignored"))
        .ok()
}

/// Writes a slice if this owner's last commit is the last of all: a Redis that went back behind it
/// must not get state of readings that it will be given again. One slice a call, so that none stalls
/// Redis.
const SAVE: &str = r"
local fence = redis.call('HMGET', KEYS[2], 'epoch', 'commit')
if fence[1] ~= ARGV[1] or (fence[2] or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 1
";

/// Stores a slice in the place of the last one of its number; false where another owner has the
/// stream.
pub(super) async fn save(
    connection: &mut Connection,
    keys: &PartitionKeys,
    fence: Fence,
    number: SliceNumber,
    slice: &Slice,
) -> RedisResult<bool> {
    let script = redis::Script::new(SAVE);
    let mut call = script.prepare_invoke();
    call.key(&keys.snapshot).key(&keys.fence);
    let SliceNumber { number, of } = number;
    call.arg(fence.epoch)
        .arg(fence.commit)
        .arg(format!("{number}/{of}"))
        .arg(slice.to_json());
    Ok(call.invoke_async::<u8>(connection).await? == 1)
}

/// Removes slices of another count than there are now.
pub(super) async fn forget(
    connection: &mut Connection,
    keys: &PartitionKeys,
    slices: usize,
) -> RedisResult<()> {
    let names: Vec<String> = redis::cmd("HKEYS")
        .arg(&keys.snapshot)
        .query_async(connection)
        .await?;
    let now = format!("/{slices}");
    let surplus = |name: &&String| !name.ends_with(&now);
    for name in names.iter().filter(surplus) {
        redis::cmd("HDEL")
            .arg(&keys.snapshot)
            .arg(name)
            .exec_async(connection)
            .await?;
    }
    Ok(())
}
