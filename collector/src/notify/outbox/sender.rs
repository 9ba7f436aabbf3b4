//! Sends messages to one recipient, however long that takes, and logs the state of each delivery.

use std::time::Duration;

use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::clock;
use tokio_util::sync::CancellationToken;

use super::digest::Digest;
use super::notification::Notification;
use super::progress::DeliveryProgress;
use super::storm::StormDetector;
use crate::notify::config::CommonConfig;
use crate::notify::delivery_log::{Delivery, DeliveryLog, State};
use crate::notify::failures::{FAILED_AFTER, Failures, LastingFailure, REPORT_AFTER, RecipientKey};
use crate::notify::notifier::{Message, Notifier, Recipient, SendOutcome};
use crate::stage::StageError;

/// Pause after the first failed attempt: short, as most failures are a restart of the receiver.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a receiver can ask for: one with a wrong clock must not silence us for a day.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Most characters of a reason that are kept: a receiver can answer at any length.
const REASON_LIMIT: usize = 500;

/// The delivery of messages to one recipient of a notifier.
pub(super) struct Sender {
    recipient: RecipientKey,
    pub(super) notifier: Box<dyn Notifier>,
    pub(super) progress: DeliveryProgress,
    log: DeliveryLog,
    failures: Failures,
    /// Whether the failure that lasts was logged as such.
    has_logged_failure: bool,
    backoff: Backoff,
    storm: StormDetector,
    stop: CancellationToken,
}

/// The end of the attempts to send a message.
enum Conclusion {
    Delivered(State),
    Rejected(String),
}

impl Sender {
    /// Creates a sender that stops at `stop`.
    pub(super) fn new(
        config: &CommonConfig,
        recipient: Recipient,
        progress: DeliveryProgress,
        (log, failures): (DeliveryLog, Failures),
        stop: CancellationToken,
    ) -> Self {
        let key = (config.name.to_string(), recipient.address);
        failures.set(&key, progress.failure());
        Self {
            recipient: key,
            storm: StormDetector::new(recipient.notifier.storm()),
            notifier: recipient.notifier,
            progress,
            log,
            failures,
            has_logged_failure: false,
            backoff: Backoff::new(FIRST_PAUSE, config.retry_max),
            stop,
        }
    }

    /// Returns the name of the notifier.
    pub(super) fn name(&self) -> &str {
        &self.recipient.0
    }

    /// Returns the failures of all notifiers.
    pub(super) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Returns whether notifications should be collected for a digest.
    pub(super) fn is_storm(&mut self) -> bool {
        self.storm.is_storm()
    }

    /// Sends one notification as a message of its own. Returns whether it was delivered.
    pub(super) async fn send_one(&mut self, one: &Notification) -> Result<bool, StageError> {
        let (attempts, ended) = self.send(&one.message(), &[one]).await?;
        match ended {
            Conclusion::Delivered(state) => {
                self.log(&[one], state, attempts, "").await;
                Ok(true)
            }
            Conclusion::Rejected(reason) => {
                tracing::error!(
                    notifier = self.recipient.0,
                    recipient = self.recipient.1,
                    key = one.key,
                    reason,
                    "receiver rejected a notification, dropping it"
                );
                self.log(&[one], State::Failed, attempts, &reason).await;
                Ok(false)
            }
        }
    }

    /// Sends a digest. Returns whether it was delivered.
    pub(super) async fn send_digest(&mut self, digest: &Digest<'_>) -> Result<bool, StageError> {
        let message = Message::Digest {
            text: &digest.text,
            records: digest.described.clone(),
            key: &digest.key,
        };
        let (attempts, ended) = self.send(&message, &digest.newest).await?;
        match ended {
            Conclusion::Delivered(state) => {
                self.log(&digest.newest, state, attempts, "").await;
                Ok(true)
            }
            Conclusion::Rejected(reason) => {
                tracing::warn!(
                    notifier = self.recipient.0,
                    recipient = self.recipient.1,
                    key = digest.key,
                    reason,
                    "receiver rejected a digest, sending its incidents one by one"
                );
                Ok(false)
            }
        }
    }

    /// Sends a message that is about no incident.
    pub(super) async fn send_report(&mut self, message: &Message<'_>) -> Result<(), StageError> {
        let (_, ended) = self.send(message, &[]).await?;
        if let Conclusion::Rejected(reason) = ended {
            tracing::error!(
                notifier = self.recipient.0,
                recipient = self.recipient.1,
                key = message.key(),
                reason,
                "receiver rejected a report, dropping it"
            );
        }
        Ok(())
    }

    /// Lets the notifier do its periodic work. It is not a notification, so it is neither retried nor logged as one.
    pub(super) async fn refresh(&mut self) -> Result<(), StageError> {
        let refreshing = self.notifier.refresh();
        let refreshed = self.stop.run_until_cancelled(refreshing).await;
        if let Err(reason) = refreshed.ok_or(StageError::Stopped)? {
            tracing::debug!(
                notifier = self.recipient.0,
                reason,
                "cannot refresh the receiver"
            );
        }
        Ok(())
    }

    /// Sends a message about `all` until the receiver accepts or rejects it. Returns the number of attempts too.
    async fn send(
        &mut self,
        message: &Message<'_>,
        all: &[&Notification],
    ) -> Result<(u32, Conclusion), StageError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let sending = self.notifier.send(message);
            let outcome = self.stop.run_until_cancelled(sending).await;
            let ended = match outcome.ok_or(StageError::Stopped)? {
                SendOutcome::Delivered { confirmed: true } => {
                    Conclusion::Delivered(State::Confirmed)
                }
                SendOutcome::Delivered { confirmed: false } => Conclusion::Delivered(State::Sent),
                SendOutcome::Rejected { reason } => Conclusion::Rejected(reason),
                SendOutcome::Retry { reason, after } => {
                    self.failed(message.key(), all, attempts, &reason).await?;
                    self.pause(after).await?;
                    continue;
                }
            };
            if matches!(ended, Conclusion::Delivered(_)) {
                self.storm.count();
            }
            self.recovered().await?;
            return Ok((attempts, ended));
        }
    }

    /// Notes a failed attempt. Logs the first of a failure, and the failure again once it is reported.
    async fn failed(
        &mut self,
        key: &str,
        all: &[&Notification],
        attempts: u32,
        reason: &str,
    ) -> Result<(), StageError> {
        let now = clock::now();
        let reason: &str = &reason.chars().take(REASON_LIMIT).collect::<String>();
        let failure = self.progress.fail(now, reason).await?;
        self.failures.set(&self.recipient, Some(&failure));
        let lasts = now.since(failure.since);
        let (notifier, recipient) = &self.recipient;
        if attempts == 1 {
            tracing::warn!(
                notifier,
                recipient,
                key,
                reason,
                "cannot send a notification, will retry"
            );
        }
        if lasts >= REPORT_AFTER && !self.has_logged_failure {
            self.has_logged_failure = true;
            self.log_failure(&failure);
        }
        // The recipient counts as failed then, and stays in the outbox.
        let state = if lasts >= FAILED_AFTER {
            State::Failed
        } else {
            State::Retrying
        };
        self.log(all, state, attempts, reason).await;
        Ok(())
    }

    fn log_failure(&self, failure: &LastingFailure) {
        let (notifier, recipient) = &self.recipient;
        let reason = &failure.reason;
        if self.failures.has_others(notifier) {
            tracing::error!(
                notifier,
                recipient,
                reason,
                "notifier keeps failing, the other notifiers report it"
            );
        } else {
            tracing::error!(
                notifier,
                recipient,
                reason,
                "notifier keeps failing, and there is no other notifier to report it"
            );
        }
    }

    async fn recovered(&mut self) -> Result<(), StageError> {
        self.backoff.reset();
        self.has_logged_failure = false;
        if self.progress.recover().await?.is_some() {
            let (notifier, recipient) = &self.recipient;
            tracing::info!(notifier, recipient, "notifier recovered");
            self.failures.set(&self.recipient, None);
        }
        Ok(())
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, after: Option<Duration>) -> Result<(), StageError> {
        let pause = self.backoff.next_jittered(backoff::random());
        let pause = after.map_or(pause, |after| after.clamp(FIRST_PAUSE, LONGEST_PAUSE));
        tracing::debug!(
            notifier = self.recipient.0,
            recipient = self.recipient.1,
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
                notifier: self.recipient.0.clone(),
                recipient: self.recipient.1.clone(),
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
