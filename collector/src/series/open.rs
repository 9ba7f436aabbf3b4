//! Opens series in the backend that suits the configuration and the server.

use rackwatch_runtime::redis::Connection;
use redis::{RedisError, RedisResult};

use super::memory::{self, Memory};
use super::plain::{self, Plain};
use super::timeseries::{self, TimeSeries};
use super::{Series, SeriesBackend, SeriesConfig, SeriesError};

/// Returns whether this Redis has `TimeSeries`.
async fn has_time_series(connection: &mut Connection) -> RedisResult<bool> {
    timeseries::is_offered(connection).await
}

/// Returns whether series are stored with `TimeSeries`, by `config` and by what this Redis offers.
pub(crate) async fn are_time_series(
    connection: &mut Connection,
    config: &SeriesConfig,
) -> RedisResult<bool> {
    match config.backend {
        SeriesBackend::Memory | SeriesBackend::Plain => Ok(false),
        SeriesBackend::Auto | SeriesBackend::TimeSeries => has_time_series(connection).await,
    }
}

/// Returns whether an error means that there is no such series.
pub(crate) fn is_missing(error: &RedisError) -> bool {
    error.detail().is_some_and(timeseries::says_missing)
}

/// Opens the series, in the backend that `config` names or that this Redis offers.
pub async fn open(
    mut connection: Connection,
    config: &SeriesConfig,
) -> Result<Series, SeriesError> {
    if config.backend == SeriesBackend::Memory {
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
    if config.backend == SeriesBackend::TimeSeries {
        return Err(SeriesError::NoTimeSeries);
    }
    let store = Plain::new(connection, config);
    Ok(Series::over(Box::new(store), config, plain::RETENTION))
}

/// Series in this process, which the demo opens twice: to write and to show them.
#[derive(Clone, Debug)]
pub struct InMemory {
    store: Memory,
    config: SeriesConfig,
}

impl InMemory {
    /// Creates an empty store.
    pub fn new(config: &SeriesConfig) -> Self {
        Self {
            store: Memory::new(config),
            config: config.clone(),
        }
    }

    /// Opens the same series again.
    pub fn open(&self) -> Series {
        Series::over(
            Box::new(self.store.clone()),
            &self.config,
            memory::RETENTION,
        )
    }
}

impl Series {
    /// Opens series that live in this process and end with it.
    pub fn in_memory(config: &SeriesConfig) -> Self {
        InMemory::new(config).open()
    }
}
