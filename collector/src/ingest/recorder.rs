//! Keeps a partition's readings as series, through whatever happens to the connection.
//!
//! Promise: when [`Recorder::store`] returns, every temperature of the batch is kept, or among the
//! refused with its reason. Faults are not temperatures and are not kept here.

use std::time::{Duration, Instant, SystemTime};

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys::SeriesKeys;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::field;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, replication_id};
use tokio_util::sync::CancellationToken;

use crate::ingest::raw_stream::{DeadLetter, Entry};
use crate::retry::{self, Trouble};
use crate::series::{self, InMemory, Point, Series, SeriesConfig, SeriesError};

/// Minutes of silent devices are closed so often.
const IDLE_EVERY: Duration = Duration::from_secs(10);
/// What is older than the retention is removed so often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Why readings cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The program is to stop.
    #[error("stopped")]
    Stopped,
    /// The series.
    #[error(transparent)]
    Series(#[from] SeriesError),
}

/// Where series are kept.
#[derive(Debug)]
enum Place {
    /// In Redis, so configured.
    Redis(Box<Connector>, SeriesConfig),
    /// In this process.
    Memory(InMemory),
}

/// The series of one partition.
#[derive(Debug)]
pub struct Recorder {
    place: Place,
    stop: CancellationToken,
    series: Option<Series>,
    idle: Instant,
    sweep: Instant,
    /// The data of each master of a cluster, as far as that is known.
    masters: Option<Vec<String>>,
    /// Other masters are there now, or nobody knows.
    others: bool,
}

impl Recorder {
    /// Series in Redis.
    pub fn redis(connector: Connector, config: SeriesConfig, stop: CancellationToken) -> Self {
        Self::new(Place::Redis(Box::new(connector), config), stop)
    }

    /// Series in this process.
    pub fn memory(series: InMemory, stop: CancellationToken) -> Self {
        Self::new(Place::Memory(series), stop)
    }

    fn new(place: Place, stop: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            place,
            stop,
            series: None,
            idle: now,
            sweep: now,
            masters: None,
            others: false,
        }
    }

    /// Begins a tenure: minutes are only right if all readings of it come through here. Says where
    /// series are kept.
    pub async fn begin(&mut self) -> Result<&'static str, RecorderError> {
        self.series = None;
        self.open().await?;
        Ok(self.series.as_ref().map_or("none", Series::name))
    }

    async fn open(&mut self) -> Result<(), RecorderError> {
        while self.series.is_none() {
            let (connector, config) = match &self.place {
                Place::Memory(series) => {
                    self.series = Some(series.open());
                    return Ok(());
                }
                Place::Redis(connector, config) => (connector.clone(), config.clone()),
            };
            let connection = connector.open_until(Purpose::Commands, &self.stop).await;
            let connection = connection.ok_or(RecorderError::Stopped)?;
            self.look_at_masters(&connection).await;
            match series::open(connection, &config).await {
                Ok(series) => self.series = Some(series),
                Err(error) => self.wait_out(error).await?,
            }
        }
        Ok(())
    }

    /// After an error: connects again if that helps, so that the caller can try again.
    async fn wait_out(&mut self, error: SeriesError) -> Result<(), RecorderError> {
        let Some(cause) = error.redis() else {
            return Err(error.into());
        };
        match retry::wait_out(cause, &self.stop).await {
            Trouble::Stopped => Err(RecorderError::Stopped),
            Trouble::Lasting => Err(error.into()),
            Trouble::Reconnect => {
                let Place::Redis(connector, _) = &self.place else {
                    return Ok(());
                };
                let connection = connector.open_until(Purpose::Commands, &self.stop).await;
                let connection = connection.ok_or(RecorderError::Stopped)?;
                self.look_at_masters(&connection).await;
                if let Some(series) = &mut self.series {
                    series.reconnect(connection);
                }
                Ok(())
            }
        }
    }

    /// On a cluster series are on other masters than the stream: one that was replaced may have lost
    /// what the stream says was done.
    async fn look_at_masters(&mut self, connection: &Connection) {
        if connection.series_keys() == SeriesKeys::Plain {
            return;
        }
        let mut masters = Vec::new();
        for mut master in connection.masters() {
            match replication_id(&mut master).await {
                Ok(Some(id)) => masters.push(id),
                // An access list forbids it.
                Ok(None) => {}
                // The next connection tells, if anything on that master is needed.
                Err(_) => return,
            }
        }
        if self.masters.as_ref() != Some(&masters) {
            self.others = true;
            self.masters = Some(masters);
        }
    }

    /// Whether what was kept lately is to be kept once more: that other masters are there is said
    /// once.
    pub fn may_have_lost(&mut self) -> bool {
        std::mem::take(&mut self.others)
    }

    /// Labels series with what has become known.
    pub async fn describe(
        &mut self,
        known: &[(DeviceId, Option<Box<Description>>)],
    ) -> Result<(), RecorderError> {
        let described = |(id, d): &(DeviceId, Option<Box<Description>>)| {
            Some((id.clone(), d.as_deref()?.clone()))
        };
        let devices: Vec<_> = known.iter().filter_map(described).collect();
        while let Some(series) = &mut self.series {
            match series.describe(&devices).await {
                Ok(()) => break,
                Err(error) => self.wait_out(error).await?,
            }
        }
        Ok(())
    }

    /// Keeps every temperature of the entries; says which were refused.
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
                    let refused = stored.refused.into_iter();
                    let letter = |(index, reason): (usize, String)| DeadLetter {
                        id: origins[index],
                        reason: format!("series refused the reading: {reason}"),
                        fields: fields(&points[index]),
                    };
                    return Ok(refused.map(letter).collect());
                }
                Err(error) => self.wait_out(error).await?,
            }
        }
    }

    /// What is to be done now and then: minutes of silent devices, and the retention.
    pub async fn tidy(&mut self) -> Result<(), RecorderError> {
        let Some(series) = &mut self.series else {
            return Ok(());
        };
        let mut done = Ok(());
        if self.idle.elapsed() >= IDLE_EVERY {
            self.idle = Instant::now();
            done = series.close_idle(now()).await.map(drop);
        }
        if done.is_ok() && self.sweep.elapsed() >= SWEEP_EVERY {
            self.sweep = Instant::now();
            done = series.sweep(now()).await;
        }
        match done {
            Ok(()) => Ok(()),
            // It comes round again.
            Err(error) => self.wait_out(error).await,
        }
    }
}

fn fields(point: &Point) -> Vec<(Vec<u8>, Vec<u8>)> {
    let field = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    vec![
        field(field::DEVICE_ID, point.device.to_string()),
        field(field::TEMPERATURE, point.value.to_string()),
        field(field::TIMESTAMP, point.at.to_string()),
    ]
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::default().plus(since_1970)
}
