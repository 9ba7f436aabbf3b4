//! Taking the stream over, and the state that makes it possible to go on.

use rackwatch_core::engine::Slice;
use rackwatch_core::keys;
use rackwatch_core::time::StreamId;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::super::script::Fence;
use super::super::{Restore, Resume, SliceNumber};

/// What a new owner gets.
pub(super) struct Taken {
    pub(super) fence: Fence,
    pub(super) resume: Resume,
}

/// Counts the epoch up, so that whoever had the stream before can commit no more, and then reads
/// what that owner left.
pub(super) async fn take_over(
    connection: &mut MultiplexedConnection,
    restore: &mut Restore<'_>,
) -> RedisResult<Taken> {
    let epoch: u64 = redis::cmd("HINCRBY")
        .arg(keys::FENCE)
        .arg("epoch")
        .arg(1)
        .query_async(connection)
        .await?;
    let (commit, done): (Option<u64>, Option<String>) = redis::cmd("HMGET")
        .arg(keys::FENCE)
        .arg("commit")
        .arg("done")
        .query_async(connection)
        .await?;
    let saved = slices(connection, restore).await?;
    let episodes: Vec<Vec<u8>> = redis::cmd("HVALS")
        .arg(keys::EPISODES)
        .query_async(connection)
        .await?;
    Ok(Taken {
        fence: Fence {
            epoch,
            commit: commit.unwrap_or(0),
        },
        resume: Resume {
            saved,
            episodes: episodes
                .iter()
                .filter_map(|json| known("episode", serde_json::from_slice(json)))
                .collect(),
            done: done
                .and_then(|id| id.parse().ok())
                .unwrap_or(StreamId::ZERO),
        },
    })
}

/// Reads the slices one by one; says what the oldest stands for.
async fn slices(
    connection: &mut MultiplexedConnection,
    restore: &mut Restore<'_>,
) -> RedisResult<Option<StreamId>> {
    let names: Vec<String> = redis::cmd("HKEYS")
        .arg(keys::SNAPSHOT)
        .query_async(connection)
        .await?;
    let mut oldest: Option<StreamId> = None;
    for name in names {
        let json: Option<Vec<u8>> = redis::cmd("HGET")
            .arg(keys::SNAPSHOT)
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

/// Writes the slices if this owner's epoch still holds; one slice a call, so that none stalls Redis.
const SAVE: &str = r"
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
";

/// Stores a slice in the place of the last one of its number; false where another owner has the
/// stream.
pub(super) async fn save(
    connection: &mut MultiplexedConnection,
    fence: Fence,
    number: SliceNumber,
    slice: &Slice,
) -> RedisResult<bool> {
    let script = redis::Script::new(SAVE);
    let mut call = script.prepare_invoke();
    call.key(keys::SNAPSHOT).key(keys::FENCE);
    let SliceNumber { number, of } = number;
    call.arg(fence.epoch)
        .arg(format!("{number}/{of}"))
        .arg(slice.to_json());
    Ok(call.invoke_async::<u8>(connection).await? == 1)
}

/// Removes slices of another count than there are now.
pub(super) async fn forget(
    connection: &mut MultiplexedConnection,
    slices: usize,
) -> RedisResult<()> {
    let names: Vec<String> = redis::cmd("HKEYS")
        .arg(keys::SNAPSHOT)
        .query_async(connection)
        .await?;
    let now = format!("/{slices}");
    let surplus = |name: &&String| !name.ends_with(&now);
    for name in names.iter().filter(surplus) {
        redis::cmd("HDEL")
            .arg(keys::SNAPSHOT)
            .arg(name)
            .exec_async(connection)
            .await?;
    }
    Ok(())
}
