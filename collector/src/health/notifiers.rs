//! The notifiers that fail, as their progress in Redis says.

use std::collections::BTreeMap;

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::facts::FailingNotifier;
use crate::notify::NotifierConfig;
use crate::notify::outbox::progress;

/// Returns the recipients of all notifiers whose attempts fail.
pub(super) async fn failing(
    connection: &mut Connection,
    notifiers: &[NotifierConfig],
    now: Timestamp,
) -> RedisResult<Vec<FailingNotifier>> {
    let mut failing = Vec::new();
    for notifier in notifiers {
        for (recipient, key) in notifier.progress_keys() {
            let mut read = redis::cmd("HMGET");
            read.arg(key).arg(&progress::FAILURE);
            let values: Vec<Option<String>> = read.query_async(connection).await?;
            let fields = progress::FAILURE.into_iter().zip(values);
            let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
            let fields: BTreeMap<String, String> = fields.collect();
            failing.extend(progress::failure(&fields).map(|failure| FailingNotifier {
                notifier: notifier.name().to_owned(),
                recipient,
                failing_ms: u64::try_from(now.since(failure.since).as_millis()).unwrap_or(u64::MAX),
                reason: failure.reason,
            }));
        }
    }
    Ok(failing)
}
