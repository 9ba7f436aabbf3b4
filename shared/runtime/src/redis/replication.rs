//! The replication id of a server.

use redis::RedisResult;
use redis::aio::ConnectionLike;

/// Returns the replication id of a server, or `None` if the server does not report it. When the id
/// changes, a failover or a restart may have lost the newest acknowledged writes.
///
/// # Errors
///
/// When the connection breaks.
pub async fn replication_id(connection: &mut impl ConnectionLike) -> RedisResult<Option<String>> {
    let mut command = redis::cmd("INFO");
    let info: RedisResult<String> = command.arg("replication").query_async(connection).await;
    match info {
        Ok(info) => {
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("master_replid:"));
            Ok(line.map(|id| id.trim().to_owned()))
        }
        // The server refuses INFO.
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
