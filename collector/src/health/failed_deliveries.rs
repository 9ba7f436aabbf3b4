//! Notifications that a receiver rejected for good, so that people did not get them.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use serde::Serialize;

use crate::notify::delivery_log::{self, Delivery, State};

/// Age up to which a failed delivery is a problem: someone may still be missing it.
const RECENT: Duration = Duration::from_hours(1);
/// Age up to which it is a warning.
const KEPT: Duration = Duration::from_hours(24);

/// The failed deliveries of one notifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FailedDeliveries {
    pub(crate) notifier: String,
    /// The number in the last hour.
    pub(crate) last_hour: usize,
    /// The number in the last 24 hours.
    pub(crate) last_day: usize,
    /// The title of the newest.
    pub(crate) title: String,
    /// The reason for the newest.
    pub(crate) reason: String,
}

impl FailedDeliveries {
    /// Returns whether some failed lately.
    pub(super) fn is_problem(&self) -> bool {
        self.last_hour > 0
    }

    /// Returns a line with the newest failure.
    pub(super) fn line(&self) -> String {
        let (failed, period) = if self.is_problem() {
            (self.last_hour, "hour")
        } else {
            (self.last_day, "24 hours")
        };
        let failed = count(failed, "notification");
        format!(
            "{} rejected {failed} in the last {period}, and people did not get it: {} ({}); try it with \
             `rackwatch-collector notify test`",
            self.notifier, self.title, self.reason
        )
    }
}

/// Reads the failed deliveries of the last 24 hours.
pub(super) async fn failed_deliveries(
    connection: &mut Connection,
    now: Timestamp,
) -> RedisResult<Vec<FailedDeliveries>> {
    let all = delivery_log::read(connection, None).await?;
    let mut failed: BTreeMap<String, FailedDeliveries> = BTreeMap::new();
    // The newest come first.
    for delivery in all.into_iter().filter(|one| one.state == State::Failed) {
        let at = Timestamp::from_millis(delivery.at_ms).unwrap_or_default();
        let age = now.since(at);
        if age > KEPT {
            continue;
        }
        let Delivery {
            notifier,
            title,
            reason,
            ..
        } = delivery;
        let known = failed
            .entry(notifier.clone())
            .or_insert_with(|| FailedDeliveries {
                notifier,
                title,
                reason,
                ..FailedDeliveries::default()
            });
        known.last_day += 1;
        known.last_hour += usize::from(age <= RECENT);
    }
    Ok(failed.into_values().collect())
}
