//! Connections to Redis for commands.

use rackwatch_runtime::config::{LogConfig, RedisConfig};
use rackwatch_runtime::logging;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};

use super::common::{Failure, usage};
pub(super) use rackwatch_runtime::redis::{ServerInfo, format_bytes as size, server_time as now};

/// Refused state is reported while a command runs; everything else a command reports itself.
const LOG_FILTER: &str = "rackwatch_collector::stored=warn";

/// Connects once. A wrong `redis` section is an error of usage.
///
/// # Errors
///
/// Fails if the settings are unusable or Redis does not answer.
pub(super) async fn open(config: &RedisConfig) -> Result<(Connector, Connection), Failure> {
    let log = LogConfig {
        filter: LOG_FILTER.to_owned(),
        ..LogConfig::default()
    };
    // Commands with a log of their own have started it already.
    logging::init(&log).ok();
    let connector = Connector::new(config).map_err(usage)?;
    let connection = connector.open(Purpose::Commands).await?;
    Ok((connector, connection))
}
