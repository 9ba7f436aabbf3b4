//! Connects to one node.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

/// Opens a connection and waits for the answer to a PING. Connecting may take `connect`, each answer
/// after that `response`.
pub(super) async fn open_client(
    client: &Client,
    connect: Duration,
    response: Option<Duration>,
) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(connect));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    // Only a command shows that a password is missing, or that Redis still loads its data.
    redis::cmd("PING").exec_async(&mut connection).await?;
    if let Some(response) = response {
        connection.set_response_timeout(response);
    }
    Ok(connection)
}
