//! Stores a partition's readings as series, and connects again after any failure.
//!
//! Promise: when [`Recorder::store`] succeeds, every temperature of the batch is stored, or returned as
//! refused with its reason. Faults are not temperatures and are not stored here.

mod masters;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::field;
use rackwatch_runtime::clock;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, RequestError, Session};
use tokio_util::sync::CancellationToken;

use self::masters::Masters;
use self::refusals::Refusals;
use super::raw_stream::{DeadLetter, DescriptionUpdate, Entry};
use super::relief::Relief;
use super::timer::Timer;
use crate::series::{self, InMemory, Point, Series, SeriesConfig, SeriesError};

/// Interval at which open minutes of idle devices are written: well below the idle time after which a
/// minute counts as finished.
const CLOSE_IDLE_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which readings older than the retention are deleted. They outlive it by at most this
/// long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// The reason why readings cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The program stopped before they were stored.
    #[error("stopped")]
    Stopped,
    /// The series refused them for a permanent reason.
    #[error(transparent)]
    Series(#[from] SeriesError),
}

/// The storage of the series.
#[derive(Debug)]
enum Place {
    /// Redis, with this configuration, and what frees memory there.
    Redis(Box<Session>, SeriesConfig, Arc<Relief>),
    /// Memory of this process.
    Memory(InMemory),
}

/// The writer of one partition's series.
#[derive(Debug)]
pub struct Recorder {
    place: Place,
    /// Open from [`Recorder::begin`] on.
    series: Option<Series>,
    close_idle: Timer,
    sweep: Timer,
    masters: Masters,
    refusals: Refusals,
}

impl Recorder {
    /// Creates a recorder that stores series in Redis.
    pub fn redis(
        connector: Connector,
        config: SeriesConfig,
        relief: Arc<Relief>,
        stop: CancellationToken,
    ) -> Self {
        let session = Session::new(connector, Purpose::Commands, stop);
        Self::new(Place::Redis(Box::new(session), config, relief))
    }

    /// Creates a recorder that stores series in this process.
    pub fn memory(series: InMemory) -> Self {
        Self::new(Place::Memory(series))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            series: None,
            close_idle: Timer::every(CLOSE_IDLE_INTERVAL),
            sweep: Timer::every(SWEEP_INTERVAL),
            masters: Masters::default(),
            refusals: Refusals::default(),
        }
    }

    /// Opens the series for a new ownership term, since an open minute is only right if all its readings
    /// came through the same [`Series`]. Returns the name of the backend.
    pub async fn begin(&mut self) -> Result<&'static str, RecorderError> {
        self.series = None;
        self.refusals.report_again();
        self.open().await?;
        Ok(self.backend())
    }

    async fn open(&mut self) -> Result<(), RecorderError> {
        while self.series.is_none() {
            let (session, config) = match &mut self.place {
                Place::Memory(series) => {
                    self.series = Some(series.open());
                    return Ok(());
                }
                Place::Redis(session, config, _) => (session, config),
            };
            let connection = session.connection().await.map_err(stopped)?;
            self.masters.update(&connection).await;
            match series::open(connection, config).await {
                Ok(series) => self.series = Some(series),
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(())
    }

    /// Waits and connects again. Returns `Ok` if the caller should try again.
    async fn recover(&mut self, error: SeriesError) -> Result<(), RecorderError> {
        let (Some(cause), Place::Redis(session, _, relief)) = (error.redis(), &mut self.place)
        else {
            return Err(error.into());
        };
        if let (Some(mut connection), Some(series)) = (session.open_connection(), &mut self.series)
            && relief.relieve(&mut connection, cause).await
        {
            // Best effort: a sweep may fail like the write did, which is repeated anyway.
            series.sweep(clock::now()).await.ok();
        }
        match session.recover(cause).await {
            Ok(()) => {}
            Err(RequestError::Stopped) => return Err(RecorderError::Stopped),
            Err(RequestError::Refused(_)) => return Err(error.into()),
        }
        let connection = session.connection().await.map_err(stopped)?;
        self.masters.update(&connection).await;
        if let Some(series) = &mut self.series {
            series.reconnect(connection);
        }
        Ok(())
    }

    /// Returns whether recently stored readings may be lost and must be stored again. True once for
    /// each change of the masters.
    pub fn may_have_lost(&mut self) -> bool {
        self.masters.take_changed()
    }

    /// Labels series with new descriptions of their devices.
    pub async fn describe(&mut self, updates: &[DescriptionUpdate]) -> Result<(), RecorderError> {
        let described = |(id, d): &DescriptionUpdate| Some((id.clone(), d.as_deref()?.clone()));
        let devices: Vec<_> = updates.iter().filter_map(described).collect();
        while let Some(series) = &mut self.series {
            match series.describe(&devices).await {
                Ok(()) => break,
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(())
    }

    /// Stores every temperature of the entries. Returns those that were refused.
    pub async fn store(&mut self, entries: &[Entry]) -> Result<Vec<DeadLetter>, RecorderError> {
        let mut points = Vec::new();
        let mut origins = Vec::new();
        for entry in entries {
            for reading in &entry.decoded.readings {
                if let Ok(value) = reading.value {
                    points.push(Point {
                        device: reading.device.clone(),
                        at: reading.at,
                        value,
                    });
                    origins.push(entry.id);
                }
            }
        }
        loop {
            let Some(series) = &mut self.series else {
                return Ok(Vec::new());
            };
            match series.store(&points).await {
                Ok(stored) => {
                    self.note_minutes(&stored.minutes_refused).await;
                    return Ok(self.letters(stored.refused, &points, &origins).await);
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Returns the dead letters that name the keys of refused minutes. They hold no readings, and belong to the commit of the
    /// entry `id`.
    pub fn refused_minutes(&mut self, id: StreamId) -> Vec<DeadLetter> {
        self.refusals.take_minutes(id)
    }

    /// Names the keys of roll-ups that refused minutes of these devices.
    async fn note_minutes(&mut self, refused: &[DeviceId]) {
        if refused.is_empty() {
            return;
        }
        let (connection, backend) = (self.open_connection(), self.backend());
        self.refusals
            .note_minutes(connection, backend, refused)
            .await;
    }

    fn open_connection(&self) -> Option<Connection> {
        match &self.place {
            Place::Redis(session, ..) => session.open_connection(),
            Place::Memory(_) => None,
        }
    }

    fn backend(&self) -> &'static str {
        self.series.as_ref().map_or("none", Series::name)
    }

    /// Returns dead letters for the points that were refused.
    async fn letters(
        &mut self,
        refused: Vec<(usize, String)>,
        points: &[Point],
        origins: &[StreamId],
    ) -> Vec<DeadLetter> {
        if refused.is_empty() {
            return Vec::new();
        }
        let (indices, refused): (Vec<_>, Vec<_>) = refused
            .into_iter()
            .map(|(index, reason)| (index, (&points[index].device, reason)))
            .unzip();
        let (connection, backend) = (self.open_connection(), self.backend());
        let reasons = self.refusals.reasons(connection, backend, &refused).await;
        let letter = |(index, reason): (usize, String)| DeadLetter {
            id: origins[index],
            reason,
            fields: fields(&points[index]),
        };
        indices.into_iter().zip(reasons).map(letter).collect()
    }

    /// Writes open minutes of idle devices and applies the retention, if either is due.
    pub async fn tidy(&mut self) -> Result<(), RecorderError> {
        let Some(series) = &mut self.series else {
            return Ok(());
        };
        let mut done = Ok(());
        if self.close_idle.is_due() {
            self.close_idle.restart();
            match series.close_idle(clock::now()).await {
                Ok(refused) => self.note_minutes(&refused).await,
                Err(error) => done = Err(error),
            }
        }
        let Some(series) = &mut self.series else {
            return Ok(());
        };
        if done.is_ok() && self.sweep.is_due() {
            self.sweep.restart();
            done = series.sweep(clock::now()).await;
        }
        match done {
            Ok(()) => Ok(()),
            // The next interval does what is left.
            Err(error) => self.recover(error).await,
        }
    }
}

/// Converts the error of connecting, which is retried until the program stops.
fn stopped(_: RequestError) -> RecorderError {
    RecorderError::Stopped
}

fn fields(point: &Point) -> Vec<(Vec<u8>, Vec<u8>)> {
    let field = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    vec![
        field(field::DEVICE_ID, point.device.to_string()),
        field(field::TEMPERATURE, point.value.to_string()),
        field(field::TIMESTAMP, point.at.to_string()),
    ]
}
