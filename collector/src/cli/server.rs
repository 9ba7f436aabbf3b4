//! A connection for a command.

use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};

use super::{Failure, usage};
pub(super) use rackwatch_runtime::clock::now as local_now;
pub(super) use rackwatch_runtime::redis::{ServerInfo, format_bytes as size, server_time as now};

/// Connects once, or says why that does not work.
pub(super) async fn open(config: &RedisConfig) -> Result<(Connector, Connection), Failure> {
    let connector = Connector::new(config).map_err(usage)?;
    let connection = connector.open(Purpose::Commands).await?;
    Ok((connector, connection))
}
