//! A connection for a command.

use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};

use super::{Failure, usage};
pub(super) use crate::server::{Health, local_now, now, size};

/// Connects once, or says why that does not work.
pub(super) async fn open(config: &RedisConfig) -> Result<(Connector, Connection), Failure> {
    let connector = Connector::new(config).map_err(usage)?;
    let connection = connector.open(Purpose::Commands).await?;
    Ok((connector, connection))
}
