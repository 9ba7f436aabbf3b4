//! Follows Redis for the view, while somebody looks.
//!
//! In: the raw streams, alerts, incidents, descriptions, the site and silences, read as anybody may read them: no
//! group, nothing acknowledged. Out: changes of the [`View`]. It asks ten times a second, in one pipeline for
//! everything. After any trouble it begins anew: the picture is made from what Redis has.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::indices::Envelope;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored::StoredValues;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::{self, alert, incident};
use rackwatch_runtime::redis::{
    self as reply, Connection, Connector, Partitioning, Purpose, RawEntry, ReplyError,
    RequestError, recover, scan_hash,
};
use redis::{RedisError, RedisResult, Value};
use tokio_util::sync::CancellationToken;

use super::View;
use super::picture::{Change, Picture};
use crate::incidents::correlate::time;
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;

/// How often is asked.
const EVERY: Duration = Duration::from_millis(100);
/// What seldom changes is asked for so often.
const SELDOM: Duration = Duration::from_secs(1);
/// All descriptions are read again no more often.
const DESCRIPTIONS_EVERY: Duration = Duration::from_secs(5);
/// Entries of a stream in one answer.
const MOST: usize = 500;
/// Readings of so far back are looked at in the beginning: those of sensors that are read every five minutes.
const BACK: Duration = Duration::from_mins(6);
/// So many entries of a stream at most: many agents have written since.
const MOST_BACK: usize = 200_000;
/// So many records of alerts and of incidents are looked back at.
const RECORDS_BACK: usize = 2_000;

/// Why it cannot go on as it is.
enum Broken {
    Redis(RedisError),
    Reply(ReplyError),
}

impl From<RedisError> for Broken {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<ReplyError> for Broken {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

/// Keeps `view` up to date until told to stop, while somebody looks.
pub async fn run(
    view: Arc<View>,
    connector: Connector,
    rules: Arc<RuleSet>,
    envelope: Envelope,
    stop: CancellationToken,
) {
    while view.until_wanted(&stop).await {
        let Some(mut connection) = connector.open_until(Purpose::Commands, &stop).await else {
            return;
        };
        let picture = Picture::new(Arc::clone(&rules), envelope);
        let followed = follow(&view, &mut connection, picture, &stop).await;
        view.set_ready(false);
        let error = match followed {
            Ok(()) => continue,
            Err(Broken::Redis(error)) => error,
            Err(Broken::Reply(error)) => {
                tracing::warn!(%error, "what the dashboard shows cannot be understood, tried again");
                stop.run_until_cancelled(tokio::time::sleep(SELDOM)).await;
                continue;
            }
        };
        connector.refused(&error);
        match recover(&error, &stop).await {
            Err(RequestError::Stopped) => return,
            Ok(()) => {}
            Err(RequestError::Refused(_)) => {
                tracing::warn!(%error, "redis refuses what the dashboard shows, tried again in a while");
                stop.run_until_cancelled(tokio::time::sleep(DESCRIPTIONS_EVERY))
                    .await;
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// What is followed, and how far.
struct Follower {
    partitions: Partitions,
    /// Each raw stream, the alerts of each partition, incidents.
    raw: Vec<(String, String)>,
    alerts: Vec<(String, String)>,
    incidents: String,
    site: SiteReader,
    revision: Option<u64>,
    described: Instant,
    /// Descriptions, by a hash of each: their text would be a second picture.
    known: BTreeMap<String, u64>,
}

/// From loading until nobody looks any more, the stop, or another layout.
async fn follow(
    view: &View,
    connection: &mut Connection,
    mut picture: Picture,
    stop: &CancellationToken,
) -> Result<(), Broken> {
    let mut follower = Follower::load(connection, &mut picture).await?;
    view.replace(picture);
    let mut asked = Instant::now();
    while view.is_wanted() && !stop.is_cancelled() {
        let (mut changes, more) = follower.read(connection).await?;
        if asked.elapsed() >= SELDOM {
            asked = Instant::now();
            match follower.ask_seldom(connection).await? {
                Some(seldom) => changes.extend(seldom),
                None => return Ok(()),
            }
        }
        view.take(changes);
        if !more {
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    }
    Ok(())
}

impl Follower {
    /// Reads all there is.
    async fn load(connection: &mut Connection, picture: &mut Picture) -> Result<Self, Broken> {
        let partitions = Partitioning::read(connection).await?.partitions();
        let now = time(connection).await?;
        let from = format!("{}-0", now.minus(BACK).millis());
        let each = partitions.all().map(PartitionKeys::of);
        let (raw, alerts) = each
            .map(|keys| ((keys.raw, from.clone()), (keys.alerts, String::new())))
            .unzip();
        let mut follower = Self {
            partitions,
            raw,
            alerts,
            incidents: String::new(),
            site: SiteReader::default(),
            revision: None,
            described: Instant::now(),
            known: BTreeMap::new(),
        };
        follower.site.refresh(connection).await?;
        picture.take(Change::Site(follower.site.site().clone()));
        follower.revision = revision(connection).await?;
        for change in follower.descriptions(connection).await? {
            picture.take(change);
        }
        follower.past(connection, picture).await?;
        picture.take(Change::Open(episodes::all(connection).await?));
        picture.take(Change::Silences(silences(connection).await?));
        let mut read = 0;
        loop {
            let (changes, more) = follower.read(connection).await?;
            read += changes.len();
            for change in changes {
                picture.take(change);
            }
            if !more || read >= MOST_BACK {
                break;
            }
        }
        Ok(follower)
    }

    /// The last records of alerts and of incidents; what comes after them is followed.
    async fn past(
        &mut self,
        connection: &mut Connection,
        picture: &mut Picture,
    ) -> Result<(), Broken> {
        let mut records = Vec::new();
        for (stream, at) in &mut self.alerts {
            let entries = newest(connection, stream).await?;
            *at = last(&entries);
            let known = entries.iter().filter_map(|entry| entry.fields.as_ref());
            records.extend(known.filter_map(|fields| alert::decode(fields).ok()));
        }
        records.sort_by_key(|record| record.at);
        for record in records {
            picture.take(Change::Alert(Box::new(record)));
        }
        let entries = newest(connection, keys::INCIDENTS).await?;
        self.incidents = last(&entries);
        for entry in entries {
            let record = entry.fields.as_ref().map(incident::decode);
            if let Some(Ok(record)) = record {
                picture.take(Change::Incident(Box::new(record)));
            }
        }
        Ok(())
    }

    /// What has come since; whether there is more.
    async fn read(&mut self, connection: &mut Connection) -> Result<(Vec<Change>, bool), Broken> {
        let mut pipeline = redis::pipe();
        let streams = self.raw.iter().chain(&self.alerts);
        let incidents = (keys::INCIDENTS.to_owned(), self.incidents.clone());
        for (stream, from) in streams.chain([&incidents]) {
            pipeline
                .cmd("XREAD")
                .arg("COUNT")
                .arg(MOST)
                .arg("STREAMS")
                .arg(stream)
                .arg(from);
        }
        let answers: Vec<Value> = pipeline.query_async(connection).await?;
        let (mut changes, mut more) = (Vec::new(), false);
        let (raw, alerts) = (self.raw.len(), self.alerts.len());
        for (index, answer) in answers.into_iter().enumerate() {
            for (_, entries) in reply::streams(answer)? {
                more |= entries.len() == MOST;
                let from = match index {
                    index if index < raw => &mut self.raw[index].1,
                    index if index < raw + alerts => &mut self.alerts[index - raw].1,
                    _ => &mut self.incidents,
                };
                if !entries.is_empty() {
                    *from = last(&entries);
                }
                for entry in entries {
                    let Some(fields) = &entry.fields else {
                        continue;
                    };
                    if index < raw {
                        let arrived = StreamId {
                            ms: entry.id.0,
                            seq: entry.id.1,
                        };
                        changes.extend(readings(arrived, fields));
                    } else if index < raw + alerts {
                        let record = alert::decode(fields).ok();
                        changes.extend(record.map(|record| Change::Alert(Box::new(record))));
                    } else {
                        let record = incident::decode(fields).ok();
                        changes.extend(record.map(|record| Change::Incident(Box::new(record))));
                    }
                }
            }
        }
        Ok((changes, more))
    }

    /// What seldom changes; none where there is another layout.
    async fn ask_seldom(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Change>>, Broken> {
        if Partitioning::read(connection).await?.partitions() != self.partitions {
            return Ok(None);
        }
        let mut changes = Vec::new();
        if self.site.refresh(connection).await? {
            changes.push(Change::Site(self.site.site().clone()));
        }
        let revision = revision(connection).await?;
        if revision != self.revision && self.described.elapsed() >= DESCRIPTIONS_EVERY {
            self.revision = revision;
            changes.extend(self.descriptions(connection).await?);
        }
        changes.push(Change::Silences(silences(connection).await?));
        Ok(Some(changes))
    }

    /// Descriptions that are others than before.
    async fn descriptions(&mut self, connection: &mut Connection) -> RedisResult<Vec<Change>> {
        self.described = Instant::now();
        let all = scan_hash(connection, keys::DEVICES).await?;
        let (mut changes, mut known) = (Vec::new(), BTreeMap::new());
        for (id, json) in all {
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            let hash = hasher.finish();
            if self.known.get(&id) != Some(&hash)
                && let (Ok(id), Ok(says)) = (DeviceId::new(&id), Description::from_json(&json))
            {
                changes.push(Change::Described(id, Some(Box::new(says))));
            }
            known.insert(id, hash);
        }
        let gone = self.known.keys().filter(|id| !known.contains_key(*id));
        let gone = gone.filter_map(|id| DeviceId::new(id).ok());
        changes.extend(gone.map(|id| Change::Described(id, None)));
        self.known = known;
        Ok(changes)
    }
}

/// The readings of an entry.
fn readings(arrived: StreamId, fields: &wire::Fields) -> impl Iterator<Item = Change> + use<> {
    let at = Timestamp::from_millis(arrived.ms).unwrap_or_default();
    let decoded = wire::decode(fields).without_future(at, wire::Decoded::MAX_FUTURE);
    decoded.readings.into_iter().map(Change::Reading)
}

/// The last entries of a stream, the oldest first.
async fn newest(connection: &mut Connection, stream: &str) -> Result<Vec<RawEntry>, Broken> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(stream).arg("+").arg("-");
    command.arg("COUNT").arg(RECORDS_BACK);
    let mut entries = reply::entries(command.query_async(connection).await?)?;
    entries.reverse();
    Ok(entries)
}

/// From where on to read after these.
fn last(entries: &[RawEntry]) -> String {
    let last = entries.last().map_or((0, 0), |entry| entry.id);
    format!("{}-{}", last.0, last.1)
}

async fn revision(connection: &mut Connection) -> RedisResult<Option<u64>> {
    let mut ask = redis::cmd("GET");
    ask.arg(keys::DEVICES_REVISION);
    ask.query_async(connection).await
}

async fn silences(connection: &mut Connection) -> RedisResult<Vec<Silence>> {
    // The correlator logs refused values.
    let decoded = StoredValues::<Silence>::from_hash(scan_hash(connection, keys::SILENCES).await?);
    let mut silences: Vec<Silence> = decoded.into_values().collect();
    silences.sort_by_key(|silence| silence.until);
    Ok(silences)
}
