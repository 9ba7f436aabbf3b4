//! Reports about the other notifiers: when one fails for a while, and when it works again.
//!
//! Each recipient gets each of them once: what it was sent is part of its progress, so a new leader repeats nothing.

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;

use super::Outbox;
use crate::notify::failures::{LastingFailure, REPORT_AFTER};
use crate::notify::line::format_duration;
use crate::notify::notifier::Message;
use crate::stage::StageError;

impl Outbox {
    /// Reports the other notifiers that fail for a while, and those that work again.
    pub(super) async fn report_failures(&mut self) -> Result<(), StageError> {
        let now = clock::now();
        let failing = self.sender.failures().by_notifier();
        for (notifier, failure) in &failing {
            let is_known = self.sender.progress.reported().contains_key(notifier);
            let lasts = now.since(failure.since) >= REPORT_AFTER;
            if lasts && !is_known && notifier != self.sender.name() {
                self.report_failure(notifier, failure, now).await?;
            }
        }
        let reported = self.sender.progress.reported().clone();
        for (notifier, since) in &reported {
            if !failing.contains_key(notifier) {
                self.report_recovery(notifier, *since, now).await?;
            }
        }
        Ok(())
    }

    async fn report_failure(
        &mut self,
        notifier: &str,
        failure: &LastingFailure,
        now: Timestamp,
    ) -> Result<(), StageError> {
        let lasts = format_duration(now.since(failure.since));
        let message = Message::Failure {
            notifier,
            text: &format!(
                "notifier {notifier:?} has delivered nothing for {lasts}: {}",
                failure.reason
            ),
            has_recovered: false,
            key: &key(notifier, failure.since, "failing"),
        };
        self.sender.send_report(&message).await?;
        let progress = &mut self.sender.progress;
        progress.report(notifier, failure.since).await
    }

    async fn report_recovery(
        &mut self,
        notifier: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StageError> {
        // A notifier that was removed from the configuration has not recovered.
        if self.sender.failures().knows(notifier) {
            let lasted = format_duration(now.since(since));
            let message = Message::Failure {
                notifier,
                text: &format!("notifier {notifier:?} delivers again, after {lasted}"),
                has_recovered: true,
                key: &key(notifier, since, "recovered"),
            };
            self.sender.send_report(&message).await?;
        }
        self.sender.progress.report_over(notifier).await
    }
}

/// Returns the deduplication key of a report.
fn key(notifier: &str, since: Timestamp, state: &str) -> String {
    format!("notifier-{notifier}-{since}-{state}")
}
