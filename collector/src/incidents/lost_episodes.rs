//! Open alerts of incidents whose episodes were lost: refused, or deleted with the key that holds them.
//!
//! No engine knows such an alert, so no reading would ever end it. Its records show how it stands: they are written in
//! the same step as the episode. An alert whose newest record is its end is only waiting for the correlator.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertRecord, AlertState};
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::{Member, StoredMember};
use rackwatch_core::keys::{PartitionKeys, incidents};
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::{Connection, Partitioning, entries};
use redis::{ErrorKind, RedisError, RedisResult};

use super::episodes;
use crate::stored::read_foreign_hash;

/// Alert records per read, about half a megabyte.
const PAGE: usize = 1000;
/// Margin for the clocks of several servers, and for the time until the correlator reads a record.
const MARGIN: Duration = Duration::from_mins(1);

/// Returns the open alerts of incidents.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn open_members(connection: &mut Connection) -> RedisResult<BTreeMap<AlertId, Member>> {
    let members = read_foreign_hash::<StoredMember>(connection, incidents::MEMBERS).await?;
    let open = members.into_iter().filter(|(_, stored)| stored.member.open);
    Ok(open
        .map(|(alert, stored)| (AlertId::from_wire(&alert), stored.member))
        .collect())
}

/// Returns the lost episodes of a partition; `open` are the stored ones.
///
/// # Errors
///
/// Fails if Redis does not answer, and if the members of incidents are unreadable.
pub async fn of_partition(
    connection: &mut Connection,
    keys: &PartitionKeys,
    open: &[Episode],
) -> RedisResult<Vec<Episode>> {
    let mut members = open_members(connection).await?;
    remove(&mut members, open);
    let partitions = Partitioning::read(connection).await?.partitions();
    if !members.is_empty() {
        for other in partitions.all().map(PartitionKeys::of) {
            // Alerts of others are not in our stream: without their episodes the search is only longer.
            if other != *keys
                && let Ok(open) = episodes::of_partition(connection, &other).await
            {
                remove(&mut members, &open);
            }
        }
    }
    let newest = newest_records(connection, keys, &members).await?;
    // An alert without a record, since the stream was deleted, may be of any partition: a person ends it.
    let firing = newest.values().filter(|record| is_firing(record));
    let mut lost: Vec<_> = firing.map(Episode::of_record).collect();
    // A rule has one episode at a time on a subject, and the stored one is the newest.
    let mut taken: HashSet<_> = open.iter().map(|one| (&one.subject, &one.rule)).collect();
    lost.sort_by_key(|episode| std::cmp::Reverse(episode.started));
    let is_first: Vec<bool> = lost
        .iter()
        .map(|episode| taken.insert((&episode.subject, &episode.rule)))
        .collect();
    let lost = lost.into_iter().zip(is_first);
    Ok(lost
        .filter_map(|(episode, first)| first.then_some(episode))
        .collect())
}

/// Returns the lost episodes among open alerts of incidents, each with the keys of the partition that wrote its records.
/// `open` are the episodes of all partitions.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn among(
    connection: &mut Connection,
    mut members: BTreeMap<AlertId, Member>,
    open: &BTreeSet<AlertId>,
) -> RedisResult<Vec<(PartitionKeys, Episode)>> {
    members.retain(|alert, _| !open.contains(alert));
    let mut lost = Vec::new();
    if members.is_empty() {
        return Ok(lost);
    }
    let partitions = Partitioning::read(connection).await?.partitions();
    for keys in partitions.all().map(PartitionKeys::of) {
        for (id, record) in newest_records(connection, &keys, &members).await? {
            members.remove(&id);
            if is_firing(&record) {
                lost.push((keys.clone(), Episode::of_record(&record)));
            }
        }
    }
    // Any partition can write the end of the others: there is no record that it could contradict.
    if let Some(any) = partitions.all().next().map(PartitionKeys::of) {
        let rest = members.iter();
        lost.extend(rest.map(|(id, member)| (any.clone(), member.episode(id))));
    }
    Ok(lost)
}

fn remove(members: &mut BTreeMap<AlertId, Member>, open: &[Episode]) {
    for episode in open {
        members.remove(&episode.id);
    }
}

fn is_firing(record: &AlertRecord) -> bool {
    record.state() == AlertState::Firing
}

/// Returns the newest record of each alert that has one in the stream of a partition.
async fn newest_records(
    connection: &mut Connection,
    keys: &PartitionKeys,
    members: &BTreeMap<AlertId, Member>,
) -> RedisResult<HashMap<AlertId, AlertRecord>> {
    let mut newest = HashMap::new();
    // An alert that was grouped again was seen after its first record.
    let first_seen = |member: &Member| member.seen.min(member.started);
    let Some(from) = members.values().map(first_seen).min() else {
        return Ok(newest);
    };
    let from: Timestamp = from.minus(MARGIN);
    let mut to = "+".to_owned();
    while newest.len() < members.len() {
        let mut read = redis::cmd("XREVRANGE");
        read.arg(&keys.alerts).arg(&to).arg(from.millis());
        read.arg("COUNT").arg(PAGE);
        let page = entries(read.query_async(connection).await?).map_err(|error| {
            RedisError::from((ErrorKind::Parse, "unexpected reply", error.to_string()))
        })?;
        let Some(last) = page.last() else { break };
        to = format!("({}-{}", last.id.0, last.id.1);
        let fields = page.iter().filter_map(|entry| entry.fields.as_ref());
        for record in fields.filter_map(|fields| alert::decode(fields).ok()) {
            if members.contains_key(&record.id) {
                newest.entry(record.id.clone()).or_insert(record);
            }
        }
    }
    Ok(newest)
}
