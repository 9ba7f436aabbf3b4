//! Sends messages to one receiver, however long that takes, and logs the state of each delivery.

use std::time::Duration;

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::time::StreamId;
use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::clock;
use tokio_util::sync::CancellationToken;

use super::storm::{StormDetector, digest_text};
use crate::notify::config::CommonConfig;
use crate::notify::delivery_log::{Delivery, DeliveryLog, State};
use crate::notify::notifier::{Message, Notifier, SendOutcome};
use crate::stage::StageError;

/// Pause after the first failed attempt: short, as most failures are a restart of the receiver.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a receiver can ask for: one with a wrong clock must not silence us for a day.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// An incident record that people are notified of.
pub(super) struct Notification {
    /// The entry of the incident stream.
    pub(super) id: StreamId,
    /// The change of the incident.
    pub(super) record: IncidentRecord,
    /// The deduplication key, the same at every attempt.
    pub(super) key: String,
}

impl Notification {
    fn message(&self) -> Message<'_> {
        Message::Incident {
            record: &self.record,
            key: &self.key,
        }
    }
}

/// The delivery of messages through one notifier.
pub(super) struct Sender {
    name: String,
    pub(super) notifier: Box<dyn Notifier>,
    log: DeliveryLog,
    backoff: Backoff,
    storm: StormDetector,
    stop: CancellationToken,
}

impl Sender {
    /// Creates a sender that stops at `stop`.
    pub(super) fn new(
        config: &CommonConfig,
        notifier: Box<dyn Notifier>,
        log: DeliveryLog,
        stop: CancellationToken,
    ) -> Self {
        Self {
            name: config.name.to_string(),
            storm: StormDetector::new(notifier.storm()),
            notifier,
            log,
            backoff: Backoff::new(FIRST_PAUSE, config.retry_max),
            stop,
        }
    }

    /// Returns whether notifications should be collected for a digest.
    pub(super) fn is_storm(&mut self) -> bool {
        self.storm.is_storm()
    }

    /// Sends one notification as a message of its own.
    pub(super) async fn send_one(&mut self, one: &Notification) -> Result<(), StageError> {
        self.send(&one.message(), &[one]).await
    }

    /// Sends several notifications as one message.
    pub(super) async fn send_digest(&mut self, all: &[Notification]) -> Result<(), StageError> {
        let (first, last) = match all {
            [] => return Ok(()),
            [one] => return self.send_one(one).await,
            [first, .., last] => (first, last),
        };
        let records: Vec<&IncidentRecord> = all.iter().map(|one| &one.record).collect();
        let (text, key) = (
            digest_text(&records),
            format!("{}..{}", first.key, last.key),
        );
        let message = Message::Digest {
            text: &text,
            records,
            key: &key,
        };
        self.send(&message, &all.iter().collect::<Vec<_>>()).await
    }

    /// Lets the notifier do its periodic work. It is not a notification, so it is neither retried nor logged as one.
    pub(super) async fn refresh(&mut self) -> Result<(), StageError> {
        let refreshing = self.notifier.refresh();
        let refreshed = self.stop.run_until_cancelled(refreshing).await;
        if let Err(reason) = refreshed.ok_or(StageError::Stopped)? {
            tracing::debug!(notifier = self.name, reason, "cannot refresh the receiver");
        }
        Ok(())
    }

    /// Sends a message about `all` until the receiver accepts or rejects it.
    async fn send(
        &mut self,
        message: &Message<'_>,
        all: &[&Notification],
    ) -> Result<(), StageError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let sending = self.notifier.send(message);
            let outcome = self.stop.run_until_cancelled(sending).await;
            match outcome.ok_or(StageError::Stopped)? {
                SendOutcome::Delivered { confirmed } => {
                    self.delivered(message.key(), all, attempts, confirmed)
                        .await;
                    return Ok(());
                }
                SendOutcome::Rejected { reason } => {
                    self.rejected(message.key(), all, attempts, &reason).await;
                    return Ok(());
                }
                SendOutcome::Retry { reason, after } => {
                    self.log(all, State::Retrying, attempts, &reason).await;
                    self.pause(message.key(), attempts, &reason, after).await?;
                }
            }
        }
    }

    async fn delivered(
        &mut self,
        key: &str,
        all: &[&Notification],
        attempts: u32,
        confirmed: bool,
    ) {
        if attempts > 1 {
            tracing::info!(notifier = self.name, key, "notifier recovered");
        }
        self.storm.count();
        self.backoff.reset();
        let state = if confirmed {
            State::Confirmed
        } else {
            State::Sent
        };
        self.log(all, state, attempts, "").await;
    }

    async fn rejected(&mut self, key: &str, all: &[&Notification], attempts: u32, reason: &str) {
        tracing::error!(
            notifier = self.name,
            key,
            reason,
            "receiver rejected a notification, dropping it"
        );
        self.backoff.reset();
        self.log(all, State::Failed, attempts, reason).await;
    }

    /// Waits before the next attempt. Logs a warning after the first.
    async fn pause(
        &mut self,
        key: &str,
        attempts: u32,
        reason: &str,
        after: Option<Duration>,
    ) -> Result<(), StageError> {
        let name = &self.name;
        if attempts == 1 {
            tracing::warn!(
                notifier = name,
                key,
                reason,
                "cannot send a notification, will retry"
            );
        }
        let pause = self.backoff.next_jittered(backoff::random());
        let pause = after.map_or(pause, |after| after.clamp(FIRST_PAUSE, LONGEST_PAUSE));
        tracing::debug!(
            notifier = name,
            key,
            reason,
            ?pause,
            "next attempt scheduled"
        );
        let pausing = self.stop.run_until_cancelled(tokio::time::sleep(pause));
        pausing.await.ok_or(StageError::Stopped)
    }

    /// Writes a change of `all` to the delivery log.
    pub(super) async fn log(
        &self,
        all: &[&Notification],
        state: State,
        attempts: u32,
        reason: &str,
    ) {
        let at = clock::now();
        for one in all {
            let delivery = Delivery {
                notifier: self.name.clone(),
                key: one.key.clone(),
                incident_id: one.record.id.as_str().to_owned(),
                event: one.record.event.to_string(),
                title: one.record.title.clone(),
                state,
                attempts,
                at_ms: at.millis(),
                reason: reason.to_owned(),
            };
            self.log.write(&delivery).await;
        }
    }
}
