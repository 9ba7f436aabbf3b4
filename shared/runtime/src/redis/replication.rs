//! The identity of a server's data.

use redis::RedisResult;
use redis::aio::ConnectionLike;

/// Returns the id of a server's data, which changes with a failover or a restart: then writes that
/// were acknowledged last may be lost. None if the user may not read it.
///
/// # Errors
///
/// When the connection breaks.
pub async fn replication_id(connection: &mut impl ConnectionLike) -> RedisResult<Option<String>> {
    let mut ask = redis::cmd("INFO");
    let info: RedisResult<String> = ask.arg("replication").query_async(connection).await;
    match info {
        Ok(info) => {
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("master_replid:"));
            Ok(line.map(|id| id.trim().to_owned()))
        }
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
