//! Saved state, from which an owner goes on where the last one stopped: slices of detector state,
//! open episodes, and the loss ledger.

use std::collections::HashMap;

use rackwatch_core::clock_offsets::{ClockOffsets, SenderOffsets};
use rackwatch_core::engine::Slice;
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::loss_ledger::Runs;
use rackwatch_core::stored::{DecodeError, Refusal, StoredValues, decode, encode};
use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{Connection, RequestError, Session};
use redis::{RedisResult, Script, ScriptInvocation};

use super::super::{Restore, Resume, SliceNumber};
use crate::fencing::Fence;
use crate::incidents::lost_episodes;
use crate::optional_key::{is_wrong_type, unless_wrong_type};
use crate::stored::log_refusals;

/// The state that the last owner left.
pub(super) struct SavedState {
    /// The number of the last commit.
    pub(super) commit: u64,
    pub(super) resume: Resume,
    pub(super) offsets: ClockOffsets,
}

/// Reads the state that the last owner left; none if a newer epoch than `epoch` exists.
pub(super) async fn load(
    connection: &mut Connection,
    keys: &PartitionKeys,
    epoch: u64,
    restore: &mut Restore<'_>,
) -> RedisResult<Option<SavedState>> {
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
    let saved = read_slices(connection, keys, restore).await?;
    let episodes: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
        .arg(&keys.episodes)
        .query_async(connection)
        .await?;
    let agents: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
        .arg(&keys.loss_ledger)
        .query_async(connection)
        .await?;
    let offsets = redis::cmd("HGETALL")
        .arg(&keys.clocks)
        .query_async::<HashMap<String, Vec<u8>>>(connection)
        .await;
    // Wrong clocks show again in the readings, so that evaluation goes on without these.
    let offsets = unless_wrong_type(offsets)?;
    let episodes = StoredValues::<Episode>::from_hash(episodes);
    log_refusals::<Episode>(&keys.episodes, &episodes.refusals);
    let agents = StoredValues::<Runs>::from_hash(agents);
    log_refusals::<Runs>(&keys.loss_ledger, &agents.refusals);
    let offsets = StoredValues::<SenderOffsets>::from_hash(offsets);
    log_refusals::<SenderOffsets>(&keys.clocks, &offsets.refusals);
    let episodes: Vec<_> = episodes.into_values().collect();
    let lost = lost(connection, keys, &episodes).await?;
    let resume = Resume {
        saved,
        agents: agents.values,
        episodes,
        lost,
        done: done
            .and_then(|id| id.parse().ok())
            .unwrap_or(StreamId::ZERO),
    };
    Ok(Some(SavedState {
        commit: commit.unwrap_or(0),
        resume,
        offsets: ClockOffsets::resume(offsets.values),
    }))
}

/// Returns the episodes that are lost. Nothing else of the state needs the alerts of incidents, so that a key of the
/// wrong type among them stops nothing here.
async fn lost(
    connection: &mut Connection,
    keys: &PartitionKeys,
    open: &[Episode],
) -> RedisResult<Vec<Episode>> {
    match lost_episodes::of_partition(connection, keys, open).await {
        Err(error) if is_wrong_type(&error) => {
            tracing::warn!(
                stream = keys.raw, %error,
                "whether episodes were lost is unknown, since the alerts of incidents are unreadable"
            );
            Ok(Vec::new())
        }
        found => found,
    }
}

/// Passes each slice to `restore`; returns the oldest position that one of them stands for.
async fn read_slices(
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

/// Prepares a call that writes a slice over the last one of its number; it answers false if the
/// fence refuses. One slice a call, so that none stalls Redis.
pub(super) fn save<'s>(
    script: &'s Script,
    keys: &PartitionKeys,
    fence: Fence,
    number: SliceNumber,
    slice: &Slice,
) -> ScriptInvocation<'s> {
    let mut call = script.prepare_invoke();
    call.key(&keys.snapshot).key(&keys.fence);
    let SliceNumber { number, of } = number;
    call.arg(fence.epoch)
        .arg(fence.commit)
        .arg(format!("{number}/{of}"))
        .arg(encode(slice));
    call
}

/// Deletes slices that belong to another count than `slices`.
pub(super) async fn delete_others(
    session: &mut Session,
    keys: &PartitionKeys,
    slices: usize,
) -> Result<(), RequestError> {
    let mut list = redis::cmd("HKEYS");
    list.arg(&keys.snapshot);
    let names: Vec<String> = session.query(&list).await?;
    let current = format!("/{slices}");
    for name in names.iter().filter(|name| !name.ends_with(&current)) {
        let mut delete = redis::cmd("HDEL");
        delete.arg(&keys.snapshot).arg(name);
        session.query::<()>(&delete).await?;
    }
    Ok(())
}
