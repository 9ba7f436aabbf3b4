//! The temperatures of every device over time: raw readings and one-minute roll-ups.
//!
//! In: batches of readings that the partition took from the stream, before it judges or
//! acknowledges them. Out: the same readings under `sensor:<device>:temp`, their minutes under
//! `…:1m:avg`, `…:1m:min`, `…:1m:max`, and ranges of both for the dashboard.
//!
//! Promise: when [`Series::store`] returned, the batch and all minutes that it completed or
//! changed are where the backend keeps them. Storing a batch again changes nothing, the first
//! value of a (device, timestamp) stays; so a batch is simply stored again after a crash or a lost
//! connection. What a backend cannot take (a key of another type, a reading older than the
//! retention) is refused one by one, with the reason. Lost is what Redis itself loses, and what is
//! older than the retention. The minute still open when a collector stops is not lost: its
//! successor computes it from the raw readings, once the device reports again.
//!
//! Retention counts back from a device's newest reading. So one timestamp from the far future makes
//! the backend refuse all that is right: the caller has to keep those away from here.
//!
//! A `Series` belongs to one tenure of a partition: open a new one after another collector owned
//! it, as minutes are only right if all readings of the device came through here.

pub mod config;
pub(crate) mod history;
mod memory;
mod plain;
mod reply;
mod rollup;
mod timeseries;

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::{RedisError, RedisResult};
use tracing::debug;

pub use config::{Backend, SeriesConfig};

use crate::failpoint;
use memory::Memory;
use plain::Plain;
use rollup::{Minute, Rollups};
use timeseries::TimeSeries;

/// One temperature to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which device.
    pub device: DeviceId,
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// How warm.
    pub value: Celsius,
}

/// Temperatures in order of time.
pub type Samples = Vec<(Timestamp, Celsius)>;

/// What became of one point.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is kept.
    Written,
    /// There was a value at that time already, which stays.
    Duplicate,
    /// It cannot be kept, for this reason.
    Refused(String),
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Points that are kept. `TimeSeries` does not tell repeated points from new ones: there they
    /// count as written.
    pub written: usize,
    /// Points that were there already.
    pub duplicates: usize,
    /// Points that cannot be kept: their index in the batch, and why.
    pub refused: Vec<(usize, String)>,
    /// Values of one-minute roll-ups that could not be kept. The readings themselves are.
    pub minutes_refused: usize,
}

impl Stored {
    fn of(outcomes: Vec<Outcome>) -> Self {
        let mut stored = Self::default();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Written => stored.written += 1,
                Outcome::Duplicate => stored.duplicates += 1,
                Outcome::Refused(reason) => stored.refused.push((index, reason)),
            }
        }
        stored
    }
}

/// How several temperatures become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their mean.
    Average,
    /// The coldest.
    Minimum,
    /// The warmest.
    Maximum,
}

impl Aggregate {
    /// Every aggregate.
    pub const ALL: [Self; 3] = [Self::Average, Self::Minimum, Self::Maximum];

    /// The word in the names of keys and in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Average => "avg",
            Self::Minimum => "min",
            Self::Maximum => "max",
        }
    }
}

/// How fine a range is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The readings as they came.
    Raw,
    /// Raw readings, put together in buckets of this width counted from 1970.
    Buckets(Duration, Aggregate),
    /// The one-minute roll-ups, which are kept longer than the readings.
    Minutes(Aggregate),
}

/// A stretch of one device's temperatures, both ends included.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    /// Which device.
    device: &'a DeviceId,
    /// The first instant.
    from: Timestamp,
    /// The last instant.
    to: Timestamp,
    /// How fine.
    resolution: Resolution,
}

/// What keeping one series takes, in bytes, roughly: good for a warning, not for a bill.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Footprint {
    /// A raw reading.
    reading: f64,
    /// The three roll-ups of one minute.
    minute: f64,
    /// A device that has hardly any readings yet.
    device: f64,
}

/// Series could not be stored or read at all. Nothing is half done that storing the same again
/// would not complete.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// Redis refused, or could not be reached.
    #[error("cannot {what}")]
    Redis {
        /// What was asked.
        what: &'static str,
        /// What came back.
        source: RedisError,
    },
    /// Redis said something that is no answer to the question.
    #[error("cannot {what}: Redis answered {answer}")]
    Reply {
        /// What was asked.
        what: &'static str,
        /// The beginning of the answer.
        answer: String,
    },
    /// One device's series cannot be read.
    #[error("cannot read the series of {device}: {reason}")]
    Unreadable {
        /// Which device.
        device: DeviceId,
        /// Redis' own words.
        reason: String,
    },
    /// `backend = "timeseries"` on a Redis without it.
    #[error("series.backend is \"timeseries\", but this Redis has no TS.* commands")]
    NoTimeSeries,
}

impl SeriesError {
    /// The error of the connection or of Redis, if it is one: it tells whether to connect again.
    pub fn redis(&self) -> Option<&RedisError> {
        match self {
            Self::Redis { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Where series are kept.
#[async_trait]
trait Store: Send + std::fmt::Debug {
    /// What it is called in configuration and status.
    fn name(&self) -> &'static str;

    /// What a series takes there.
    fn footprint(&self) -> Footprint;

    /// Uses another connection from now on.
    fn reconnect(&mut self, connection: Connection);

    /// Keeps points. The first value of a time stays. Says of each point what became of it.
    async fn append(&mut self, points: &[Point]) -> Result<Vec<Outcome>, SeriesError>;

    /// Keeps minutes. The last value of a minute stays. Says how many of the values (three a
    /// minute) were refused.
    async fn write_minutes(&mut self, minutes: &[Minute]) -> Result<usize, SeriesError>;

    /// Reads stretches; of each its samples, or why this one cannot be read.
    async fn read(
        &mut self,
        queries: &[Query<'_>],
    ) -> Result<Vec<Result<Samples, String>>, SeriesError>;

    /// The time of each device's newest raw reading.
    async fn newest(&mut self, devices: &[DeviceId])
    -> Result<Vec<Option<Timestamp>>, SeriesError>;

    /// Labels the series of devices, where the backend has labels.
    async fn describe(&mut self, devices: &[(DeviceId, Description)]) -> Result<(), SeriesError>;

    /// Removes what is older than the retention, where the backend does not do it by itself.
    async fn sweep(&mut self, now: Timestamp, devices: &[DeviceId]) -> Result<(), SeriesError>;
}

/// How long a minute may lack readings before it counts as finished.
const IDLE: Duration = Duration::from_mins(2);

/// So many minutes are computed from their readings at a time. After a restart that is a minute of
/// every device, and the replies of thousands of readings at once would double the memory.
const RECOMPUTED_AT_ONCE: usize = 32;

/// The series of a partition's devices.
#[derive(Debug)]
pub struct Series {
    store: Box<dyn Store>,
    rollups: Rollups,
    raw_retention: Duration,
    rollup_retention: Duration,
    max_batch: usize,
}

/// Whether this Redis has `TimeSeries`.
pub async fn has_time_series(connection: &mut Connection) -> RedisResult<bool> {
    timeseries::is_offered(connection).await
}

/// Whether series are kept with `TimeSeries` there: as `config` says, or what this Redis offers.
pub(crate) async fn are_time_series(
    connection: &mut Connection,
    config: &SeriesConfig,
) -> RedisResult<bool> {
    match config.backend {
        Backend::Memory | Backend::Plain => Ok(false),
        Backend::Auto | Backend::TimeSeries => has_time_series(connection).await,
    }
}

/// Whether an error says that there is no such series.
pub(crate) fn is_missing(error: &RedisError) -> bool {
    error.detail().is_some_and(timeseries::says_missing)
}

/// Opens the series in Redis, where `config` or what this Redis offers says.
pub async fn open(
    mut connection: Connection,
    config: &SeriesConfig,
) -> Result<Series, SeriesError> {
    if config.backend == Backend::Memory {
        return Ok(Series::in_memory(config));
    }
    let asked = are_time_series(&mut connection, config).await;
    let has_time_series = asked.map_err(|source| SeriesError::Redis {
        what: "find out whether Redis has time series",
        source,
    })?;
    if has_time_series {
        let store = TimeSeries::new(connection, config);
        return Ok(Series::over(Box::new(store), config, timeseries::RETENTION));
    }
    if config.backend == Backend::TimeSeries {
        return Err(SeriesError::NoTimeSeries);
    }
    let store = Plain::new(connection, config);
    Ok(Series::over(Box::new(store), config, plain::RETENTION))
}

/// Series in this process, that several may have open: who writes them and who shows them.
#[derive(Clone, Debug)]
pub struct InMemory {
    store: Memory,
    config: SeriesConfig,
}

impl InMemory {
    /// None yet.
    pub fn new(config: &SeriesConfig) -> Self {
        Self {
            store: Memory::new(config),
            config: config.clone(),
        }
    }

    /// The same series once more.
    pub fn open(&self) -> Series {
        Series::over(
            Box::new(self.store.clone()),
            &self.config,
            memory::RETENTION,
        )
    }
}

impl Series {
    /// Series that live in this process and end with it.
    pub fn in_memory(config: &SeriesConfig) -> Self {
        InMemory::new(config).open()
    }

    fn over(store: Box<dyn Store>, config: &SeriesConfig, raw_retention: Duration) -> Self {
        Self {
            store,
            rollups: Rollups::default(),
            raw_retention: config.raw_retention.unwrap_or(raw_retention),
            rollup_retention: config.rollup_retention,
            max_batch: config.max_batch.get(),
        }
    }

    /// Where they are kept: `timeseries`, `plain` or `memory`.
    pub fn name(&self) -> &'static str {
        self.store.name()
    }

    /// How long readings are kept; roll-ups are kept longer.
    pub fn raw_retention(&self) -> Duration {
        self.raw_retention
    }

    /// Uses another connection from now on, after the last one broke. Then store the same batch
    /// again.
    pub fn reconnect(&mut self, connection: Connection) {
        self.store.reconnect(connection);
    }

    /// Keeps a batch, and the minutes that it completed or changed.
    pub async fn store(&mut self, points: &[Point]) -> Result<Stored, SeriesError> {
        let newcomers = self.rollups.newcomers(points);
        if !newcomers.is_empty() {
            let newest = self.store.newest(&newcomers).await?;
            self.rollups.meet(newcomers, newest);
        }
        let outcomes = self.store.append(points).await?;
        for (point, outcome) in points.iter().zip(&outcomes) {
            // A duplicate is taken as well: it may have been written just before a crash that
            // kept its minute from being computed again.
            if !matches!(outcome, Outcome::Refused(_)) {
                self.rollups.take(point);
            }
        }
        failpoint::pass("before minutes");
        let mut stored = Stored::of(outcomes);
        stored.minutes_refused = self.settle().await?;
        Ok(stored)
    }

    /// Writes the minutes of devices that went silent. Call it every few seconds. Says how many
    /// values were refused.
    pub async fn close_idle(&mut self, now: Timestamp) -> Result<usize, SeriesError> {
        self.rollups.close_before(now.minus(IDLE));
        self.settle().await
    }

    /// Writes the minutes that are due. They stay due until that worked.
    async fn settle(&mut self) -> Result<usize, SeriesError> {
        let mut refused = 0;
        // Minutes are three values each.
        for chunk in self.rollups.finished().chunks(self.max_batch.div_ceil(3)) {
            refused += self.store.write_minutes(chunk).await?;
        }
        self.rollups.written();
        // After the finished ones: a reading may have come late for one of them.
        while let Some(stale) = self.rollups.stale(RECOMPUTED_AT_ONCE, self.raw_retention) {
            let minutes = recompute(self.store.as_mut(), &stale).await?;
            refused += self.store.write_minutes(&minutes).await?;
            self.rollups.recomputed(&stale);
        }
        Ok(refused)
    }

    /// Reads a stretch of a device's temperatures; empty if there is none.
    pub async fn range(
        &mut self,
        device: &DeviceId,
        from: Timestamp,
        to: Timestamp,
        resolution: Resolution,
    ) -> Result<Samples, SeriesError> {
        let query = Query {
            device,
            from,
            to,
            resolution,
        };
        let answer = self.store.read(&[query]).await?.pop();
        answer
            .unwrap_or_else(|| Ok(Samples::new()))
            .map_err(|reason| SeriesError::Unreadable {
                device: device.clone(),
                reason,
            })
    }

    /// Labels the series of devices with what is known of them. Cheap for those that did not
    /// change.
    pub async fn describe(
        &mut self,
        devices: &[(DeviceId, Description)],
    ) -> Result<(), SeriesError> {
        self.store.describe(devices).await
    }

    /// Removes what is older than the retention, and forgets devices silent for that long. Call it
    /// every hour.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<(), SeriesError> {
        let devices = self.rollups.devices();
        self.store.sweep(now, &devices).await?;
        self.rollups.forget(now.minus(self.raw_retention));
        Ok(())
    }

    /// The bytes that `devices` devices read every `interval` will need once the retention is
    /// full.
    pub fn project(&self, devices: u64, interval: Duration) -> u64 {
        let Footprint {
            reading,
            minute,
            device,
        } = self.store.footprint();
        let readings = self.raw_retention.as_secs_f64() / interval.as_secs_f64().max(0.001);
        let minutes = self.rollup_retention.as_secs_f64() / rollup::MINUTE.as_secs_f64();
        let each = device + reading * readings + minute * minutes;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; a cast from a larger float gives the largest integer"
        )]
        let bytes = (each * devices as f64) as u64;
        bytes
    }
}

/// Computes minutes from their raw readings. A minute without readings, or that cannot be read, is
/// left as it is.
async fn recompute(
    store: &mut dyn Store,
    stale: &[(DeviceId, Timestamp)],
) -> Result<Vec<Minute>, SeriesError> {
    let queries: Vec<_> = stale
        .iter()
        .map(|(device, start)| Query {
            device,
            from: *start,
            to: start.plus(rollup::MINUTE.saturating_sub(Duration::from_millis(1))),
            resolution: Resolution::Raw,
        })
        .collect();
    let answers = store.read(&queries).await?;
    let mut minutes = Vec::with_capacity(stale.len());
    for ((device, start), answer) in stale.iter().zip(answers) {
        match answer {
            Ok(samples) => minutes.extend(Minute::of(device, *start, &samples)),
            Err(reason) => debug!(%device, reason, "cannot compute a minute again"),
        }
    }
    Ok(minutes)
}
