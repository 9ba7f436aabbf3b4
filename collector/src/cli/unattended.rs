//! A remark on what a command shows, if no collector keeps it up to date.

use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::output::remark;
use crate::health::unattended;

/// Remarks on stderr if no collector processes readings or alerts, because an empty list then proves nothing.
pub(super) async fn remark_if_unattended(connection: &mut Connection) -> RedisResult<()> {
    if let Some(reason) = unattended(connection).await? {
        remark(&format!(
            "This may be out of date: {reason}. Start `rackwatch-collector run`, or look at `rackwatch-collector status`"
        ));
    }
    Ok(())
}
