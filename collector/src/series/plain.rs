//! Series on a Redis or Valkey without `TimeSeries`: a stream per device, about 19 bytes a reading.
//!
//! In: points. Out: an entry `<timestamp>-0` with the field `t`, under the key that `TimeSeries`
//! would use, readable with XRANGE. A stream only grows at its end, so a late point goes to a sorted
//! set beside it (`…:late`), where a script keeps the first value of a time. A read merges both.
//! Roll-ups are stored alike, except that their sorted set holds recomputed minutes, and wins.
//!
//! Nothing expires by itself: [`SeriesStore::sweep`] deletes what is older than the retention. Times are
//! stream ids, so a reading of 1970-01-01 00:00:00.000 cannot be stored.

mod xadd;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys::SeriesKeys;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::{Cmd, Value, cmd};

use super::backend::{Footprint, PointOutcome, Query, SeriesStore};
use super::rollup::{self, Minute, buckets};
use super::{Aggregate, Point, Resolution, Samples, SeriesConfig, SeriesError, reply};
pub(super) use xadd::late;
use xadd::{FIELD, LATE_MINUTE, LATE_READING, Script, StreamValue, add, id};

/// Default retention of raw readings: 10,000 devices at 1 Hz then take some 4 GB.
pub(super) const RETENTION: Duration = Duration::from_hours(6);

const READ: &str = "read series";
const SWEEP: &str = "remove old readings";

/// Time after its retention at which a series expires if no collector sweeps it any more.
const UNSWEPT: Duration = Duration::from_hours(24);

/// Commands that sweep one device.
const PER_DEVICE: usize = 16;

/// Series on a plain Redis.
pub(super) struct Plain {
    connection: Connection,
    keys: SeriesKeys,
    /// Key of each device's stream, built once.
    streams: HashMap<DeviceId, String>,
    late_reading: Script,
    late_minute: Script,
    raw_retention: Duration,
    rollup_retention: Duration,
    most: usize,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain")
            .field("devices", &self.streams.len())
            .finish_non_exhaustive()
    }
}

impl Plain {
    pub(super) fn new(connection: Connection, config: &SeriesConfig) -> Self {
        Self {
            keys: connection.series_keys(),
            connection,
            streams: HashMap::new(),
            late_reading: Script::new(LATE_READING),
            late_minute: Script::new(LATE_MINUTE),
            raw_retention: config.raw_retention.unwrap_or(RETENTION),
            rollup_retention: config.rollup_retention,
            most: config.max_batch.get(),
        }
    }

    fn know(&mut self, points: &[Point]) {
        for Point { device, .. } in points {
            if !self.streams.contains_key(device) {
                self.streams.insert(device.clone(), self.keys.raw(device));
            }
        }
    }
}

/// Returns the two commands that read a range: from the stream and from its sorted set.
fn ranges(keys: SeriesKeys, query: &Query<'_>) -> [Cmd; 2] {
    let stream = match query.resolution {
        Resolution::Minutes(which) => keys.rollup(query.device, which.name()),
        Resolution::Raw | Resolution::Buckets(..) => keys.raw(query.device),
    };
    let (from, to) = (query.from.millis(), query.to.millis());
    let mut entries = cmd("XRANGE");
    entries.arg(&stream).arg(from).arg(to);
    let mut members = cmd("ZRANGEBYSCORE");
    members.arg(late(&stream)).arg(from).arg(to);
    [entries, members]
}

/// Parses an entry of a stream: its id, and the value of our field.
fn entry(item: &Value) -> Option<(Timestamp, Celsius)> {
    let Value::Array(entry) = item else {
        return None;
    };
    let [id, Value::Array(fields)] = entry.as_slice() else {
        return None;
    };
    let (ms, _) = reply::text(id)?.split_once('-')?;
    let value = fields
        .chunks_exact(2)
        .find(|field| reply::text(&field[0]) == Some(FIELD))?;
    let at = Timestamp::from_millis(ms.parse().ok()?)?;
    Some((at, reply::celsius(&value[1])?))
}

/// Parses a member of a sorted set: `<time>=<value>`.
fn member(item: &Value) -> Option<(Timestamp, Celsius)> {
    let (at, value) = reply::text(item)?.split_once('=')?;
    let at = Timestamp::from_millis(at.parse().ok()?)?;
    Some((at, Celsius::parse(value).ok()?))
}

fn merged(entries: Value, members: Value) -> Result<Samples, String> {
    let entries = reply::samples(entries, entry)?;
    let members = reply::samples(members, member)?;
    if members.is_empty() {
        return Ok(entries);
    }
    let all: BTreeMap<_, _> = entries.into_iter().chain(members).collect();
    Ok(all.into_iter().collect())
}

/// Groups replies in pairs.
fn pairs(replies: Vec<Value>) -> impl Iterator<Item = (Value, Value)> {
    let mut replies = replies.into_iter();
    std::iter::from_fn(move || Some((replies.next()?, replies.next()?)))
}

/// Returns the commands that delete old entries of one series, and that let it expire if its device
/// falls silent and no collector sweeps it.
fn trims(stream: &str, now: Timestamp, retention: Duration) -> [Cmd; 4] {
    let oldest = now.minus(retention);
    let late = late(stream);
    let mut entries = cmd("XTRIM");
    // Almost exact is much cheaper: whole blocks of entries go.
    entries.arg(stream).arg(&["MINID", "~"]).arg(id(oldest));
    let mut members = cmd("ZREMRANGEBYSCORE");
    members.arg(&late).arg("-inf").arg(format!("({oldest}"));
    let expire = |key: &str| {
        let mut expire = cmd("EXPIRE");
        expire.arg(key).arg((retention + UNSWEPT).as_secs());
        expire
    };
    [entries, members, expire(stream), expire(&late)]
}

#[async_trait]
impl SeriesStore for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            reading: 19.0,
            minute: 60.0,
            // Redis sets 4 kB aside for the first entries of each of the four streams.
            device: 18_000.0,
        }
    }

    fn reconnect(&mut self, connection: Connection) {
        self.connection = connection;
    }

    async fn append(&mut self, points: &[Point]) -> Result<Vec<PointOutcome>, SeriesError> {
        self.know(points);
        let items: Vec<_> = points
            .iter()
            .filter_map(|point| {
                Some(StreamValue {
                    stream: self.streams.get(&point.device)?,
                    at: point.at,
                    value: point.value,
                })
            })
            .collect();
        add(
            &mut self.connection,
            self.most,
            &items,
            &self.late_reading,
            self.raw_retention,
        )
        .await
    }

    async fn write_minutes(&mut self, minutes: &[Minute]) -> Result<Vec<DeviceId>, SeriesError> {
        let values = rollup::values(self.keys, minutes);
        let items: Vec<_> = values
            .iter()
            .map(|(minute, which, stream)| StreamValue {
                stream,
                at: minute.start,
                value: minute.value(*which),
            })
            .collect();
        let outcomes = add(
            &mut self.connection,
            self.most,
            &items,
            &self.late_minute,
            self.rollup_retention,
        )
        .await?;
        let all = values.iter().zip(outcomes);
        let refused = all.filter(|(_, outcome)| matches!(outcome, PointOutcome::Refused(_)));
        Ok(refused
            .map(|((minute, ..), _)| minute.device.clone())
            .collect())
    }

    async fn read(
        &mut self,
        queries: &[Query<'_>],
    ) -> Result<Vec<Result<Samples, String>>, SeriesError> {
        let commands = queries
            .iter()
            .flat_map(|query| ranges(self.keys, query))
            .collect();
        let replies = reply::run(&mut self.connection, READ, self.most, commands).await?;
        let answer = |(query, (entries, members)): (&Query<'_>, (Value, Value))| {
            let samples = merged(entries, members)?;
            Ok(match query.resolution {
                Resolution::Buckets(width, which) => buckets(&samples, width, which),
                Resolution::Raw | Resolution::Minutes(_) => samples,
            })
        };
        Ok(queries.iter().zip(pairs(replies)).map(answer).collect())
    }

    async fn newest(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<Vec<Option<Timestamp>>, SeriesError> {
        let mut commands = Vec::with_capacity(devices.len() * 2);
        for device in devices {
            let mut entries = cmd("XREVRANGE");
            entries.arg(self.keys.raw(device));
            entries.arg(&["+", "-", "COUNT", "1"]);
            let mut members = cmd("ZREVRANGE");
            members.arg(self.keys.late(device)).arg(&["0", "0"]);
            commands.extend([entries, members]);
        }
        let replies = reply::run(&mut self.connection, READ, self.most, commands).await?;
        let newest = |(entries, members)| Some(merged(entries, members).ok()?.last()?.0);
        Ok(pairs(replies).map(newest).collect())
    }

    async fn describe(&mut self, _devices: &[(DeviceId, Description)]) -> Result<(), SeriesError> {
        // Streams have no labels.
        Ok(())
    }

    async fn sweep(&mut self, now: Timestamp, devices: &[DeviceId]) -> Result<(), SeriesError> {
        // Each step waits for its replies, so that others get their turn.
        for some in devices.chunks(self.most.div_ceil(PER_DEVICE)) {
            let mut commands = Vec::with_capacity(some.len() * PER_DEVICE);
            for device in some {
                commands.extend(trims(&self.keys.raw(device), now, self.raw_retention));
                for which in Aggregate::ALL {
                    let stream = self.keys.rollup(device, which.name());
                    commands.extend(trims(&stream, now, self.rollup_retention));
                }
            }
            reply::run(&mut self.connection, SWEEP, self.most, commands).await?;
        }
        // The keys of devices that are gone need not be remembered.
        self.streams.clear();
        Ok(())
    }
}
