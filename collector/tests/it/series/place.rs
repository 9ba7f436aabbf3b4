//! The places where series can live, and short forms for what is stored there.

use std::time::Duration;

use rackwatch_collector::series::{Aggregate, Point, Resolution, Series, SeriesConfig, open};
use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use rackwatch_testing::{RedisServer, TimeSeriesServer};
use redis::{AsyncConnectionConfig, Client};

/// A full minute in 2026.
pub(super) const START: u64 = 1_790_000_040_000;

pub(super) enum Server {
    TimeSeries(TimeSeriesServer),
    Plain(RedisServer),
    Memory,
}

pub(super) struct Place {
    pub(super) server: Server,
    pub(super) config: SeriesConfig,
}

impl Place {
    pub(super) fn time_series() -> Self {
        Self::of(Server::TimeSeries(TimeSeriesServer::start().unwrap()))
    }

    pub(super) fn plain() -> Self {
        Self::of(Server::Plain(RedisServer::start().unwrap()))
    }

    pub(super) fn memory() -> Self {
        Self::of(Server::Memory)
    }

    fn of(server: Server) -> Self {
        let config = SeriesConfig {
            raw_retention: Some(Duration::from_hours(2)),
            ..SeriesConfig::default()
        };
        Self { server, config }
    }

    fn url(&self) -> Option<String> {
        match &self.server {
            Server::TimeSeries(server) => Some(server.url()),
            Server::Plain(server) => Some(server.url()),
            Server::Memory => None,
        }
    }

    pub(super) async fn connect(&self) -> Option<Connection> {
        Some(connect(&self.url()?).await)
    }

    /// Opens the series as a starting collector would.
    pub(super) async fn open(&self) -> Series {
        match self.connect().await {
            Some(connection) => open(connection, &self.config).await.unwrap(),
            None => Series::in_memory(&self.config),
        }
    }
}

pub(super) async fn connect(url: &str) -> Connection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
    Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap()
        .into()
}

pub(super) fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000).unwrap()
}

pub(super) fn celsius(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

pub(super) fn point(name: &str, seconds: u64, degrees: f64) -> Point {
    Point {
        device: device(name),
        at: at(seconds),
        value: celsius(degrees),
    }
}

/// Returns all samples of a device, in seconds and degrees.
pub(super) async fn all(
    series: &mut Series,
    name: &str,
    resolution: Resolution,
) -> Vec<(u64, f64)> {
    let end = Timestamp::MAX;
    let samples = series
        .range(&device(name), Timestamp::default(), end, resolution)
        .await
        .unwrap();
    samples
        .into_iter()
        .map(|(at, value)| ((at.millis() - START) / 1000, value.degrees()))
        .collect()
}

pub(super) async fn minutes(series: &mut Series, name: &str) -> [Vec<(u64, f64)>; 3] {
    let [average, minimum, maximum] = Aggregate::ALL.map(Resolution::Minutes);
    [
        all(series, name, average).await,
        all(series, name, minimum).await,
        all(series, name, maximum).await,
    ]
}
