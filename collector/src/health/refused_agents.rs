//! Agents whose every entry is refused, so that nothing of theirs is stored or evaluated.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::clock_offsets::{ClockOffsets, SenderOffsets};
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::stored::StoredValues;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::{self, field};
use rackwatch_runtime::redis::{Connection, RawEntry, entries, scan_hash};
use serde::Serialize;

/// Newest entries that are looked at, for each partition.
const MAX_ENTRIES: usize = 1000;
/// Newest entries of an agent that decide.
const DECIDING: usize = 3;

/// An agent whose newest entries are all refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RefusedAgent {
    pub(crate) agent: String,
    /// The reason for its newest entry.
    pub(crate) reason: String,
}

/// Reads the newest entries of a raw stream, and returns the agents with refused ones only.
pub(super) async fn refused_agents(
    connection: &mut Connection,
    keys: &PartitionKeys,
    (now, max_future): (Timestamp, Duration),
) -> anyhow::Result<Vec<RefusedAgent>> {
    let mut read = redis::cmd("XREVRANGE");
    read.arg(&keys.raw).arg("+").arg("-");
    read.arg("COUNT").arg(MAX_ENTRIES);
    let newest = entries(read.query_async(connection).await?)?;
    // Readings of a wrong clock are corrected, and not refused.
    let clocks =
        StoredValues::<SenderOffsets>::from_hash(scan_hash(connection, &keys.clocks).await?);
    let clocks = ClockOffsets::resume(clocks.values);
    let mut agents: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for entry in newest {
        let Some((agent, refusal)) = refusal(entry, &clocks, (now, max_future)) else {
            continue;
        };
        let newest = agents.entry(agent).or_default();
        if newest.len() < DECIDING {
            newest.push(refusal);
        }
    }
    let refused = agents.into_iter().filter_map(|(agent, newest)| {
        let reasons: Option<Vec<String>> = newest.into_iter().collect();
        let reason = reasons?.into_iter().next()?;
        Some(RefusedAgent { agent, reason })
    });
    Ok(refused.collect())
}

/// Returns the agent of an entry, and the reason if nothing of it is taken; `None` for a plain client.
fn refusal(
    entry: RawEntry,
    clocks: &ClockOffsets,
    (now, max_future): (Timestamp, Duration),
) -> Option<(String, Option<String>)> {
    let fields = entry.fields?;
    let agent = fields
        .iter()
        .find(|(name, _)| name == field::AGENT.as_bytes());
    let agent = String::from_utf8_lossy(&agent?.1).into_owned();
    // Ids ahead of Redis' clock are no arrival.
    let arrived = Timestamp::from_millis(entry.id.0).unwrap_or(Timestamp::MAX);
    let id = StreamId {
        ms: entry.id.0,
        seq: entry.id.1,
    };
    let mut decoded = wire::decode(&fields);
    let ahead = decoded.sender().and_then(|sender| clocks.at(sender, id));
    decoded.correct(ahead.unwrap_or(0));
    let decoded = decoded.without_future(arrived.min(now), max_future);
    let is_refused = decoded.readings.is_empty();
    let reason = decoded.reject.filter(|_| is_refused);
    Some((agent, reason.map(|reject| reject.reason.to_string())))
}
