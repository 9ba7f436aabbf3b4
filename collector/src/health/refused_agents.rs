//! Agents whose every entry is refused, so that nothing of theirs is stored or evaluated.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::{self, field};
use rackwatch_runtime::redis::{Connection, RawEntry, entries};
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
    stream: &str,
    (now, max_future): (Timestamp, Duration),
) -> anyhow::Result<Vec<RefusedAgent>> {
    let mut read = redis::cmd("XREVRANGE");
    read.arg(stream).arg("+").arg("-");
    read.arg("COUNT").arg(MAX_ENTRIES);
    let newest = entries(read.query_async(connection).await?)?;
    let mut agents: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for entry in newest {
        let Some((agent, refusal)) = refusal(entry, now, max_future) else {
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
    now: Timestamp,
    max_future: Duration,
) -> Option<(String, Option<String>)> {
    let fields = entry.fields?;
    let agent = fields
        .iter()
        .find(|(name, _)| name == field::AGENT.as_bytes());
    let agent = String::from_utf8_lossy(&agent?.1).into_owned();
    // Ids ahead of Redis' clock are no arrival.
    let arrived = Timestamp::from_millis(entry.id.0).unwrap_or(Timestamp::MAX);
    let decoded = wire::decode(&fields).without_future(arrived.min(now), max_future);
    let is_refused = decoded.readings.is_empty();
    let reason = decoded.reject.filter(|_| is_refused);
    Some((agent, reason.map(|reject| reject.reason.to_string())))
}
