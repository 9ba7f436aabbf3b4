//! A remark on what a command shows, if no collector keeps it up to date.

use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::RedisResult;

use super::output::remark;

/// Remarks on stderr if no collector processes readings or alerts, because an empty list then proves nothing.
pub(super) async fn remark_if_unattended(connection: &mut Connection) -> RedisResult<()> {
    if let Some(reason) = reason(connection).await? {
        remark(&format!(
            "This may be out of date: {reason}. Start `rackwatch-collector run`, or look at `rackwatch-collector status`"
        ));
    }
    Ok(())
}

/// Returns the part of the pipeline that no collector runs.
async fn reason(connection: &mut Connection) -> RedisResult<Option<String>> {
    let partitions = Partitioning::read(connection).await?.partitions();
    let (mut owned, mut unowned) = (0, Vec::new());
    for partition in partitions.all() {
        if exists(connection, &PartitionKeys::of(partition).lease).await? {
            owned += 1;
        } else {
            unowned.push(partition.to_string());
        }
    }
    if owned == 0 {
        return Ok(Some("no collector is running".to_owned()));
    }
    if !unowned.is_empty() {
        let unowned = unowned.join(", ");
        return Ok(Some(format!("no collector owns partition {unowned}")));
    }
    let is_led = exists(connection, keys::incidents::LEASE).await?;
    Ok((!is_led).then(|| "no collector is the notification leader".to_owned()))
}

async fn exists(connection: &mut Connection, key: &str) -> RedisResult<bool> {
    let mut ask = redis::cmd("EXISTS");
    ask.arg(key).query_async(connection).await
}
