//! Follows Redis for the read model, while there are viewers.
//!
//! It reads the raw streams, alerts, incidents, descriptions, the site and silences, and applies them to the
//! [`SharedReadModel`]. It uses no consumer group and acknowledges nothing. One pipeline reads all streams ten times a
//! second. After any failure the model is rebuilt from Redis.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rackwatch_core::clock_offsets::{ClockOffsets, SenderOffsets};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::indices::Envelope;
use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored::{StoredValue as _, StoredValues};
use rackwatch_core::wire::{alert, incident};
use rackwatch_runtime::redis::{
    self as reply, Connection, Connector, Partitioning, Purpose, RawEntry, ReplyError,
    RequestError, recover, scan_hash,
};
use redis::{RedisError, RedisResult, Value};
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::streams::{StreamContent, StreamPosition, decode, last_id, positions};
use super::{ReadModel, SharedReadModel};
use crate::incidents::correlate::time;
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;

/// Pause between two reads of the streams.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Pause between two reads of the site, silences and partitioning.
const SLOW_READ_EVERY: Duration = Duration::from_secs(1);
/// Minimum time between two reads of all descriptions.
const DESCRIPTIONS_EVERY: Duration = Duration::from_secs(5);
/// Pause after a permanent refusal by Redis.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Maximum number of entries per stream and read.
const ENTRIES_PER_READ: usize = 500;
/// Age of the oldest readings loaded at the start: enough for sensors that are read every five minutes.
const LOADED_AGE: Duration = Duration::from_mins(6);
/// Maximum number of changes loaded at the start, since agents keep writing meanwhile.
const MAX_LOADED_CHANGES: usize = 200_000;
/// Maximum number of alert or incident records loaded at the start, per stream.
const LOADED_RECORDS: usize = 2_000;

/// A failure after which the model is rebuilt.
enum FollowError {
    Redis(RedisError),
    Reply(ReplyError),
}

impl From<RedisError> for FollowError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<ReplyError> for FollowError {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

/// Keeps `shared` up to date while there are viewers, until `stop`. `max_devices` is that of one partition.
pub(crate) async fn run(
    shared: Arc<SharedReadModel>,
    connector: Connector,
    rules: Arc<RuleSet>,
    envelope: Envelope,
    max_devices: usize,
    stop: CancellationToken,
) {
    while shared.wait_for_viewer(&stop).await {
        let Some(mut connection) = connector.open_until(Purpose::Commands, &stop).await else {
            return;
        };
        let model = ReadModel::new(Arc::clone(&rules), envelope);
        let followed = follow(&shared, &mut connection, (model, max_devices), &stop).await;
        shared.set_ready(false);
        let error = match followed {
            Ok(()) => continue,
            Err(FollowError::Redis(error)) => error,
            Err(FollowError::Reply(error)) => {
                tracing::warn!(%error, "unexpected reply for the dashboard, will retry");
                pause(SLOW_READ_EVERY, &stop).await;
                continue;
            }
        };
        connector.refused(&error);
        match recover(&error, &stop).await {
            Err(RequestError::Stopped) => return,
            Ok(()) => {}
            Err(RequestError::Refused(_)) => {
                tracing::warn!(%error, "redis refuses reads for the dashboard, will retry");
                pause(REFUSED_PAUSE, &stop).await;
            }
        }
        pause(READ_EVERY, &stop).await;
    }
}

async fn pause(length: Duration, stop: &CancellationToken) {
    stop.run_until_cancelled(tokio::time::sleep(length)).await;
}

/// Positions in all streams, and the last read versions of data that changes seldom.
struct Follower {
    partitions: Partitions,
    streams: Vec<StreamPosition>,
    site: SiteReader,
    revision: Option<u64>,
    descriptions_read: Instant,
    /// A hash of each description, to find those that changed.
    descriptions: BTreeMap<String, u64>,
}

/// Loads the model and follows Redis until the last viewer leaves, `stop`, or a change of the partitioning.
async fn follow(
    shared: &SharedReadModel,
    connection: &mut Connection,
    (mut model, max_devices): (ReadModel, usize),
    stop: &CancellationToken,
) -> Result<(), FollowError> {
    let mut follower = Follower::load(connection, &mut model, max_devices).await?;
    shared.replace(model);
    let mut slow_read = Instant::now();
    while shared.has_viewers() && !stop.is_cancelled() {
        let (mut changes, has_more) = follower.read(connection).await?;
        if slow_read.elapsed() >= SLOW_READ_EVERY {
            slow_read = Instant::now();
            match follower.read_slow(connection).await? {
                Some(slow) => changes.extend(slow),
                None => return Ok(()),
            }
        }
        shared.apply(changes);
        if !has_more {
            pause(READ_EVERY, stop).await;
        }
    }
    Ok(())
}

impl Follower {
    /// Loads the current state into `model`.
    async fn load(
        connection: &mut Connection,
        model: &mut ReadModel,
        max_devices: usize,
    ) -> Result<Self, FollowError> {
        let partitions = Partitioning::read(connection).await?.partitions();
        model.limit_devices(max_devices, partitions.all().count());
        let now = time(connection).await?;
        let from = format!("{}-0", now.minus(LOADED_AGE).millis());
        let mut follower = Self {
            partitions,
            streams: positions(partitions, &from),
            site: SiteReader::default(),
            revision: None,
            descriptions_read: Instant::now(),
            descriptions: BTreeMap::new(),
        };
        follower.read_clocks(connection).await?;
        follower.site.refresh(connection).await?;
        model.apply(Change::Site(follower.site.site().clone()));
        follower.revision = revision(connection).await?;
        for change in follower.read_descriptions(connection).await? {
            model.apply(change);
        }
        follower.load_records(connection, model).await?;
        model.apply(Change::Open(episodes::all(connection).await?));
        model.apply(Change::Silences(silences(connection).await?));
        let mut loaded = 0;
        model.apply(Change::Time(now));
        loop {
            let (changes, has_more) = follower.read(connection).await?;
            loaded += changes.len();
            for change in changes {
                model.apply(change);
            }
            if !has_more || loaded >= MAX_LOADED_CHANGES {
                break;
            }
        }
        // What was read last may be old.
        model.apply(Change::Time(now));
        Ok(follower)
    }

    /// Loads the last records of alerts and incidents, and follows from there.
    async fn load_records(
        &mut self,
        connection: &mut Connection,
        model: &mut ReadModel,
    ) -> Result<(), FollowError> {
        let (mut alerts, mut incidents) = (Vec::new(), Vec::new());
        for position in &mut self.streams {
            let records = match position.content {
                StreamContent::Readings => continue,
                StreamContent::Alerts => &mut alerts,
                StreamContent::Incidents => &mut incidents,
            };
            let entries = newest(connection, &position.stream).await?;
            position.last_id = last_id(&entries);
            records.extend(entries.into_iter().filter_map(|entry| entry.fields));
        }
        let alerts = alerts
            .iter()
            .filter_map(|fields| alert::decode(fields).ok());
        let mut alerts: Vec<_> = alerts.collect();
        alerts.sort_by_key(|record| record.at);
        for record in alerts {
            model.apply(Change::Alert(Box::new(record)));
        }
        for record in incidents
            .iter()
            .filter_map(|fields| incident::decode(fields).ok())
        {
            model.apply(Change::Incident(Box::new(record)));
        }
        Ok(())
    }

    /// Reads new entries of all streams. Also returns whether more entries wait.
    async fn read(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(Vec<Change>, bool), FollowError> {
        let mut pipeline = redis::pipe();
        for StreamPosition {
            stream, last_id, ..
        } in &self.streams
        {
            pipeline.cmd("XREAD").arg("COUNT").arg(ENTRIES_PER_READ);
            pipeline.arg("STREAMS").arg(stream).arg(last_id);
        }
        let replies: Vec<Value> = pipeline.query_async(connection).await?;
        let (mut changes, mut has_more) = (Vec::new(), false);
        for (position, answer) in self.streams.iter_mut().zip(replies) {
            for (_, entries) in reply::streams(answer)? {
                has_more |= entries.len() == ENTRIES_PER_READ;
                if !entries.is_empty() {
                    position.last_id = last_id(&entries);
                }
                for entry in &entries {
                    decode(position, entry, &mut changes);
                }
            }
        }
        Ok((changes, has_more))
    }

    /// Reads data that changes seldom. Returns `None` if the partitioning changed.
    async fn read_slow(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Change>>, FollowError> {
        if Partitioning::read(connection).await?.partitions() != self.partitions {
            return Ok(None);
        }
        self.read_clocks(connection).await?;
        let mut changes = Vec::new();
        if self.site.refresh(connection).await? {
            changes.push(Change::Site(self.site.site().clone()));
        }
        let revision = revision(connection).await?;
        if revision != self.revision && self.descriptions_read.elapsed() >= DESCRIPTIONS_EVERY {
            self.revision = revision;
            changes.extend(self.read_descriptions(connection).await?);
        }
        changes.push(Change::Silences(silences(connection).await?));
        changes.push(Change::Time(time(connection).await?));
        Ok(Some(changes))
    }

    /// Reads which senders have a wrong clock.
    async fn read_clocks(&mut self, connection: &mut Connection) -> RedisResult<()> {
        for position in &mut self.streams {
            if let Some((key, offsets)) = &mut position.clocks {
                // Their owner logs refused values.
                let stored = scan_hash(connection, key).await?;
                let stored = StoredValues::<SenderOffsets>::from_hash(stored);
                *offsets = ClockOffsets::resume(stored.values);
            }
        }
        Ok(())
    }

    /// Reads all descriptions, and returns those that changed.
    async fn read_descriptions(&mut self, connection: &mut Connection) -> RedisResult<Vec<Change>> {
        self.descriptions_read = Instant::now();
        let all = scan_hash(connection, keys::DEVICES).await?;
        let (mut changes, mut hashes) = (Vec::new(), BTreeMap::new());
        for (id, json) in all {
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            let hash = hasher.finish();
            if self.descriptions.get(&id) != Some(&hash)
                && let Ok(id) = DeviceId::new(&id)
            {
                changes.push(description(id, &json));
            }
            hashes.insert(id, hash);
        }
        let before = self.descriptions.keys();
        let deleted = before.filter(|id| !hashes.contains_key(*id));
        let deleted = deleted.filter_map(|id| DeviceId::new(id).ok());
        changes.extend(deleted.map(|id| Change::Described(id, None)));
        self.descriptions = hashes;
        Ok(changes)
    }
}

/// Decodes a description. One that is refused takes the place of the last one too.
fn description(id: DeviceId, json: &[u8]) -> Change {
    match Description::from_json(json) {
        Ok(description) => Change::Described(id, Some(Box::new(description))),
        Err(error) => Change::Refused(id, error.comparison(Description::VERSION)),
    }
}

/// Reads the last entries of a stream, oldest first.
async fn newest(connection: &mut Connection, stream: &str) -> Result<Vec<RawEntry>, FollowError> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(stream).arg("+").arg("-");
    command.arg("COUNT").arg(LOADED_RECORDS);
    let mut entries = reply::entries(command.query_async(connection).await?)?;
    entries.reverse();
    Ok(entries)
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
