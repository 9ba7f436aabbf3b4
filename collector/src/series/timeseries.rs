//! Series in Redis `TimeSeries`: `TS.*` keys with labels, about 2.4 bytes a reading.
//!
//! In: points. Out: `TS.MADD` of many at once. A series is created when Redis answers its first point
//! with "no such key", so one that vanished (FLUSHALL, failover) comes back by itself. The first
//! value of a time stays (`DUPLICATE_POLICY FIRST`); for a roll-up the last. A point older than the
//! retention, counted from the newest sample of its series, is refused.
//!
//! Raw series carry the labels `device_id`, `rack` and `role`. Roll-ups carry `rollup` and
//! `rollup_of` instead, so that a filter for a rack finds its readings and nothing else. A series whose
//! labels Redis refuses is created without them.

mod label;
mod madd;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys::{CHECK_PREFIX, SeriesKeys};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value, cmd};

use super::backend::{Footprint, PointOutcome, Query, SeriesStore};
use super::rollup::{self, Minute};
use super::{Aggregate, Point, Resolution, Samples, SeriesConfig, SeriesError, reply};
pub(super) use madd::says_missing;
use madd::{Creation, MaddValue, add, is_missing, outcome};

/// Default retention of raw readings: two days, at 2.4 bytes each.
pub(super) const RETENTION: Duration = Duration::from_hours(48);

const READ: &str = "read time series";
const LABEL: &str = "label time series";

/// Chunk size of raw series in bytes: a day of one-second readings fills some 50.
const RAW_CHUNK: u32 = 4096;
/// Chunk size of roll-ups in bytes: a large first chunk would stay mostly empty for days.
const ROLLUP_CHUNK: u32 = 512;

/// Returns whether this Redis has `TS.*` commands. `MODULE LIST` and `COMMAND INFO` are missing or
/// forbidden on some servers, so this sends a command and looks at its error.
pub(super) async fn is_offered(connection: &mut Connection) -> RedisResult<bool> {
    let mut probe = cmd("TS.INFO");
    probe.arg(format!("{CHECK_PREFIX}series"));
    let error = match connection.req_packed_command(&probe).await {
        Ok(Value::ServerError(error)) => error.into(),
        Ok(_) => return Ok(true),
        Err(error) => error,
    };
    let details = error.detail().unwrap_or_default();
    match error.code() {
        Some("ERR") => Ok(!details.starts_with("unknown command")),
        Some("TSDB:") => Ok(true),
        _ => Err(error),
    }
}

/// The key and labels of a device's raw series.
#[derive(Debug)]
struct Device {
    key: String,
    rack: Option<String>,
    role: Option<&'static str>,
}

impl Device {
    fn new(device: &DeviceId, keys: SeriesKeys) -> Self {
        Self {
            key: keys.raw(device),
            rack: device.rack_part().map(str::to_owned),
            role: None,
        }
    }

    /// Appends the labels to a command, as its last arguments: Redis reads all that follows as labels.
    fn label(&self, device: &DeviceId, command: &mut Cmd) {
        command.arg(&["LABELS", "device_id", device.as_str()]);
        // The module refuses a label with an empty value.
        if let Some(rack) = self.rack.as_deref().filter(|rack| !rack.is_empty()) {
            command.arg(&["rack", &label::encode(rack)]);
        }
        if let Some(role) = self.role {
            command.arg(&["role", role]);
        }
    }
}

/// A backend on Redis `TimeSeries`.
pub(super) struct TimeSeries {
    connection: Connection,
    keys: SeriesKeys,
    devices: HashMap<DeviceId, Device>,
    raw_retention: Duration,
    rollup_retention: Duration,
    most: usize,
}

impl std::fmt::Debug for TimeSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeSeries")
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}

impl TimeSeries {
    pub(super) fn new(connection: Connection, config: &SeriesConfig) -> Self {
        Self {
            keys: connection.series_keys(),
            connection,
            devices: HashMap::new(),
            raw_retention: config.raw_retention.unwrap_or(RETENTION),
            rollup_retention: config.rollup_retention,
            most: config.max_batch.get(),
        }
    }

    fn know(&mut self, points: &[Point]) {
        for Point { device, .. } in points {
            if !self.devices.contains_key(device) {
                self.devices
                    .insert(device.clone(), Device::new(device, self.keys));
            }
        }
    }

    fn create_raw(&self, id: &DeviceId) -> Option<Creation> {
        let device = self.devices.get(id)?;
        let plain = create(&device.key, self.raw_retention, RAW_CHUNK, "FIRST");
        let mut labelled = plain.clone();
        device.label(id, &mut labelled);
        Some(Creation { labelled, plain })
    }

    fn create_rollup(&self, key: &str, device: &DeviceId, which: Aggregate) -> Creation {
        let plain = create(key, self.rollup_retention, ROLLUP_CHUNK, "LAST");
        let mut labelled = plain.clone();
        labelled.arg(&[
            "LABELS",
            "rollup",
            which.name(),
            "rollup_of",
            device.as_str(),
        ]);
        Creation { labelled, plain }
    }
}

fn create(key: &str, retention: Duration, chunk: u32, policy: &str) -> Cmd {
    let mut command = cmd("TS.CREATE");
    command
        .arg(key)
        .arg("RETENTION")
        .arg(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX))
        .arg(&["ENCODING", "COMPRESSED", "CHUNK_SIZE"])
        .arg(chunk)
        .arg(&["DUPLICATE_POLICY", policy]);
    command
}

fn range(keys: SeriesKeys, query: &Query<'_>) -> Cmd {
    let key = match query.resolution {
        Resolution::Minutes(which) => keys.rollup(query.device, which.name()),
        Resolution::Raw | Resolution::Buckets(..) => keys.raw(query.device),
    };
    let mut command = cmd("TS.RANGE");
    command
        .arg(key)
        .arg(query.from.millis())
        .arg(query.to.millis());
    if let Resolution::Buckets(width, which) = query.resolution {
        let width = u64::try_from(width.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg(&["AGGREGATION", which.name()]).arg(width);
    }
    command
}

fn sample(item: &Value) -> Option<(Timestamp, Celsius)> {
    let Value::Array(pair) = item else {
        return None;
    };
    let [at, value] = pair.as_slice() else {
        return None;
    };
    Some((reply::timestamp(at)?, reply::celsius(value)?))
}

/// Parses a reply to `TS.RANGE`; empty if there is no such series.
fn samples(answer: Value) -> Result<Samples, String> {
    match answer {
        Value::ServerError(error) if is_missing(&error) => Ok(Samples::new()),
        answer => reply::samples(answer, sample),
    }
}

#[async_trait]
impl SeriesStore for TimeSeries {
    fn name(&self) -> &'static str {
        "timeseries"
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            reading: 2.4,
            minute: 12.0,
            device: 7_000.0,
        }
    }

    fn reconnect(&mut self, connection: Connection) {
        self.connection = connection;
    }

    async fn append(&mut self, points: &[Point]) -> Result<Vec<PointOutcome>, SeriesError> {
        self.know(points);
        let mut connection = self.connection.clone();
        let items: Vec<_> = points
            .iter()
            .filter_map(|point| {
                Some(MaddValue {
                    key: &self.devices.get(&point.device)?.key,
                    at: point.at,
                    value: point.value,
                })
            })
            .collect();
        let create = |index: usize| self.create_raw(&points.get(index)?.device);
        let errors = add(&mut connection, self.most, &items, create).await?;
        Ok(errors.into_iter().map(outcome).collect())
    }

    async fn write_minutes(&mut self, minutes: &[Minute]) -> Result<Vec<DeviceId>, SeriesError> {
        let values = rollup::values(self.keys, minutes);
        let items: Vec<_> = values
            .iter()
            .map(|(minute, which, key)| MaddValue {
                key,
                at: minute.start,
                value: minute.value(*which),
            })
            .collect();
        let create = |index: usize| {
            let (minute, which, key) = values.get(index)?;
            Some(self.create_rollup(key, &minute.device, *which))
        };
        let mut connection = self.connection.clone();
        let errors = add(&mut connection, self.most, &items, create).await?;
        let refused = values
            .iter()
            .zip(errors)
            .filter(|(_, error)| error.is_some());
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
            .map(|query| range(self.keys, query))
            .collect();
        let replies = reply::run(&mut self.connection, READ, self.most, commands).await?;
        Ok(replies.into_iter().map(samples).collect())
    }

    async fn newest(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<Vec<Option<Timestamp>>, SeriesError> {
        let mut commands = Vec::with_capacity(devices.len());
        for device in devices {
            let mut command = cmd("TS.REVRANGE");
            command.arg(self.keys.raw(device));
            command.arg(&["-", "+", "COUNT", "1"]);
            commands.push(command);
        }
        let replies = reply::run(&mut self.connection, READ, self.most, commands).await?;
        let newest = |answer| Some(samples(answer).ok()?.first()?.0);
        Ok(replies.into_iter().map(newest).collect())
    }

    async fn describe(&mut self, devices: &[(DeviceId, Description)]) -> Result<(), SeriesError> {
        let mut commands = Vec::new();
        let mut changed = Vec::new();
        for (id, description) in devices {
            let mut device = Device::new(id, self.keys);
            device.rack = description.rack.clone().or(device.rack);
            device.role = Some(description.role.name());
            let known = self.devices.get(id);
            if known.is_some_and(|known| known.rack == device.rack && known.role == device.role) {
                continue;
            }
            let mut command = cmd("TS.ALTER");
            command.arg(&device.key);
            device.label(id, &mut command);
            commands.push(command);
            changed.push((id.clone(), device));
        }
        // A series that is not there yet answers with an error, and is labelled when created.
        reply::run(&mut self.connection, LABEL, self.most, commands).await?;
        // Remembered only now: after a failure the same call labels them again.
        self.devices.extend(changed);
        Ok(())
    }

    async fn sweep(&mut self, _now: Timestamp, _devices: &[DeviceId]) -> Result<(), SeriesError> {
        // Redis drops what is older than the retention as new samples come.
        Ok(())
    }
}
