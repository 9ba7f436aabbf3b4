//! Connections to Redis for commands.

use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};

use super::common::{Failure, usage};
pub(super) use crate::server::{Health, now, size};

/// Connects once. A wrong `redis` section is an error of usage.
pub(super) async fn open(config: &RedisConfig) -> Result<(Connector, Connection), Failure> {
    let connector = Connector::new(config).map_err(usage)?;
    let connection = connector.open(Purpose::Commands).await?;
    Ok((connector, connection))
}
