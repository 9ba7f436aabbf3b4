//! The state that makes it possible to go on where the last owner stopped.

use std::collections::HashMap;

use rackwatch_core::engine::Slice;
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::ledger::Runs;
use rackwatch_core::stored::{DecodeError, Refusal, StoredValues, decode, encode};
use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::super::script::Fence;
use super::super::{Restore, Resume, SliceNumber};
use crate::stored::log_refusals;

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
    let episodes: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
        .arg(&keys.episodes)
        .query_async(connection)
        .await?;
    let agents: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
        .arg(&keys.ledger)
        .query_async(connection)
        .await?;
    let episodes = StoredValues::<Episode>::from_hash(episodes);
    log_refusals::<Episode>(&keys.episodes, &episodes.refusals);
    let agents = StoredValues::<Runs>::from_hash(agents);
    log_refusals::<Runs>(&keys.ledger, &agents.refusals);
    let resume = Resume {
        saved,
        agents: agents.values,
        episodes: episodes.into_values().collect(),
        done: done
            .and_then(|id| id.parse().ok())
            .unwrap_or(StreamId::ZERO),
    };
    Ok(Some((commit.unwrap_or(0), resume)))
}

/// Reads the slices one by one. Returns the oldest position that one of them stands for.
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
    let mut refusals: Vec<Refusal> = Vec::new();
    for name in names {
        let json: Option<Vec<u8>> = redis::cmd("HGET")
            .arg(&keys.snapshot)
            .arg(&name)
            .query_async(connection)
            .await?;
        let Some(json) = json else { continue };
        match decode::<Slice>(&json) {
            Ok(slice) => {
                let through = slice.through;
                oldest = Some(oldest.map_or(through, |oldest| oldest.min(through)));
                restore(slice);
            }
            Err(error) => refuse(&mut refusals, name, error),
        }
    }
    log_refusals::<Slice>(&keys.snapshot, &refusals);
    Ok(oldest)
}

/// Adds a refused slice to those that were refused for the same reason.
fn refuse(refusals: &mut Vec<Refusal>, name: String, error: DecodeError) {
    let reason = error.to_string();
    let same = |known: &&mut Refusal| known.error.to_string() == reason;
    match refusals.iter_mut().find(same) {
        Some(known) => known.ids.push(name),
        None => refusals.push(Refusal {
            error,
            ids: vec![name],
        }),
    }
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
        .arg(encode(slice));
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
