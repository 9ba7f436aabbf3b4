//! Resolving alerts by hand: of a sensor that is gone, no reading ever will.
//!
//! In: the id of an alert or of an incident. Out: a request for each open alert, beside the state of its partition. The
//! owner of the partition takes requests in with its next step, and deletes them in the commit that has the records. A
//! request that no owner takes in expires after an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rackwatch_core::alert::AlertId;
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::StoredMember;
use rackwatch_core::keys::{PartitionKeys, incidents};
use rackwatch_core::stored::encode;
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::{AsyncCommands as _, RedisResult};
use tokio::time::{Instant, sleep};

use super::operator_actions::{ActionError, checked_prefix, find_incidents, only_match};
use super::resolve_request::ResolveRequest;
use super::{episodes, lost_episodes};
use crate::stored::read_hash;

/// Requests in one command, so that none stalls Redis.
const PAGE: usize = 500;
/// Interval of looks whether requests were carried out.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The person who resolves alerts, and when and why.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// The name of the person.
    pub by: String,
    /// The time of the request.
    pub at: Timestamp,
    /// A remark, which may be empty.
    pub note: String,
}

/// Requests that were written.
#[derive(Clone, Debug, Default)]
pub struct Requested {
    /// The incident, if the alerts of one were to be resolved.
    pub incident: Option<String>,
    /// The ids of the alerts by the key of their requests.
    alerts: BTreeMap<String, Vec<String>>,
    /// Open alerts without a request, since too many wait.
    pub left: usize,
}

impl Requested {
    /// Creates the requests about alerts of an incident of the demo, which has no Redis.
    pub(crate) fn of_incident(incident: String, alerts: Vec<String>) -> Self {
        Self {
            incident: Some(incident),
            alerts: BTreeMap::from([(String::new(), alerts)]),
            left: 0,
        }
    }

    /// Returns the number of requests.
    pub fn alerts(&self) -> usize {
        self.alerts.values().map(Vec::len).sum()
    }
}

/// An open alert with the key for requests about it.
#[derive(Debug)]
struct OpenAlert {
    key: String,
    id: AlertId,
    subject: Subject,
    /// The episode, if it was lost.
    lost: Option<Box<Episode>>,
}

impl Resolver {
    /// Returns the request of this person for one alert.
    pub fn request(&self, subject: Subject) -> ResolveRequest {
        ResolveRequest {
            subject,
            by: self.by.clone(),
            at: self.at,
            note: self.note.clone(),
            lost: None,
        }
    }
}

/// Requests the end of the open alert whose id begins with `prefix`.
///
/// # Errors
///
/// Fails if the prefix matches no open alert or several, or if Redis does not answer.
pub async fn resolve_alert(
    connection: &mut Connection,
    prefix: &str,
    resolver: &Resolver,
) -> Result<Requested, ActionError> {
    let prefix = checked_prefix(prefix)?;
    let mut open = open_alerts(connection).await?;
    open.retain(|alert| alert.id.as_str().starts_with(&prefix));
    let ids: BTreeSet<String> = open.iter().map(|open| open.id.to_string()).collect();
    if ids.is_empty() {
        return Err(ActionError::NoAlert(prefix));
    }
    only_match(&prefix, ids)?;
    request(connection, open, resolver).await
}

/// Requests the end of all open alerts of the incident whose id, or an alert's id, begins with `prefix`.
///
/// # Errors
///
/// Fails if the prefix matches no open incident or several, if none of its alerts is open, or if Redis does not answer.
pub async fn resolve_incident(
    connection: &mut Connection,
    prefix: &str,
    resolver: &Resolver,
) -> Result<Requested, ActionError> {
    let prefix = checked_prefix(prefix)?;
    let incident = only_match(&prefix, find_incidents(connection, &prefix).await?)?;
    let members = read_hash::<StoredMember>(connection, incidents::MEMBERS).await?;
    let members = members
        .into_iter()
        .filter(|(_, member)| member.incident.as_str() == incident);
    let members: BTreeSet<String> = members.map(|(alert, _)| alert).collect();
    let mut open = open_alerts(connection).await?;
    open.retain(|alert| members.contains(alert.id.as_str()));
    if open.is_empty() {
        return Err(ActionError::NothingOpen(incident));
    }
    let requested = request(connection, open, resolver).await?;
    Ok(Requested {
        incident: Some(incident),
        ..requested
    })
}

/// Waits until the requests are carried out, for at most `patience`. Returns whether they are.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn wait_carried_out(
    connection: &mut Connection,
    requested: &Requested,
    patience: Duration,
) -> RedisResult<bool> {
    let end = Instant::now() + patience;
    while is_waiting(connection, requested).await? {
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(true)
}

async fn is_waiting(connection: &mut Connection, requested: &Requested) -> RedisResult<bool> {
    for (key, alerts) in &requested.alerts {
        for some in alerts.chunks(PAGE) {
            let mut get = redis::cmd("HMGET");
            get.arg(key).arg(some);
            let waiting: Vec<Option<Vec<u8>>> = get.query_async(connection).await?;
            if waiting.iter().any(Option::is_some) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Returns the open alerts of all partitions, with those of incidents whose episodes were lost.
async fn open_alerts(connection: &mut Connection) -> RedisResult<Vec<OpenAlert>> {
    // Before the episodes: an alert that ends meanwhile has a record of it.
    let members = lost_episodes::open_members(connection).await?;
    let partitioning = Partitioning::read(connection).await?;
    let mut open = Vec::new();
    for keys in partitioning.partitions().all().map(PartitionKeys::of) {
        let episodes = episodes::of_partition(connection, &keys).await?;
        open.extend(episodes.into_iter().map(|episode| OpenAlert {
            key: keys.resolutions.clone(),
            id: episode.id,
            subject: episode.subject,
            lost: None,
        }));
    }
    let known = open.iter().map(|alert| alert.id.clone()).collect();
    let lost = lost_episodes::among(connection, members, &known).await?;
    open.extend(lost.into_iter().map(|(keys, episode)| OpenAlert {
        key: keys.resolutions,
        id: episode.id.clone(),
        subject: episode.subject.clone(),
        lost: Some(Box::new(episode)),
    }));
    Ok(open)
}

/// Writes a request for each of these alerts, as many as may wait.
async fn request(
    connection: &mut Connection,
    open: Vec<OpenAlert>,
    resolver: &Resolver,
) -> Result<Requested, ActionError> {
    let mut by_key: BTreeMap<String, Vec<OpenAlert>> = BTreeMap::new();
    for alert in open {
        by_key.entry(alert.key.clone()).or_default().push(alert);
    }
    let mut requested = Requested::default();
    for (key, mut alerts) in by_key {
        let waiting: usize = connection.hlen(&key).await?;
        let room = ResolveRequest::MAX_WAITING.saturating_sub(waiting);
        requested.left += alerts.len().saturating_sub(room);
        alerts.truncate(room);
        for some in alerts.chunks(PAGE) {
            let values = some.iter().map(|alert| {
                let request = ResolveRequest {
                    lost: alert.lost.clone(),
                    ..resolver.request(alert.subject.clone())
                };
                (alert.id.as_str(), encode(&request))
            });
            let values: Vec<_> = values.collect();
            let life = ResolveRequest::LIFE.as_secs();
            let mut write = redis::pipe();
            write.hset_multiple(&key, &values).ignore();
            write.cmd("EXPIRE").arg(&key).arg(life).ignore();
            write.exec_async(connection).await?;
        }
        if !alerts.is_empty() {
            let ids = alerts.iter().map(|alert| alert.id.to_string());
            requested.alerts.insert(key, ids.collect());
        }
    }
    if requested.alerts.is_empty() {
        return Err(ActionError::TooManyWaiting);
    }
    Ok(requested)
}
