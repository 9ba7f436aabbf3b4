//! The wait for a damaged key: only the recipient whose key it is stops, and it goes on by itself.

use std::time::Duration;

use rackwatch_runtime::clock;
use rackwatch_runtime::redis::Session;
use redis::RedisError;
use tokio_util::sync::CancellationToken;

use crate::feed::damage::damage;
use crate::notify::failures::{Failures, RecipientKey};
use crate::stage::StageError;

/// Pause between two looks at a damaged key: soon enough for an operator who waits for the effect.
const PAUSE: Duration = Duration::from_secs(1);

/// The key of one recipient, and those who must know when it is damaged.
#[derive(Debug)]
pub(crate) struct Mending {
    recipient: RecipientKey,
    failures: Failures,
    key: String,
    stop: CancellationToken,
}

impl Mending {
    /// Creates the wait for the hash `key` of a recipient.
    pub(crate) fn new(
        (recipient, failures): (RecipientKey, Failures),
        key: String,
        stop: CancellationToken,
    ) -> Self {
        Self {
            recipient,
            failures,
            key,
            stop,
        }
    }

    /// Returns the error of a request that failed because of the key.
    pub(super) async fn damage(&self, session: &mut Session, error: &RedisError) -> StageError {
        let what = || format!("Redis refused to use {}", self.key);
        let mut connection = match session.connection().await {
            Ok(connection) => connection,
            Err(error) => return StageError::of_request(what(), error),
        };
        match damage(&mut connection, &self.key).await {
            Ok(Some(line)) => StageError::Damaged { line },
            Ok(None) | Err(_) => StageError::refused(what(), error.clone()),
        }
    }

    /// Waits until the key can be used. The recipient counts as failing meanwhile.
    ///
    /// # Errors
    ///
    /// Fails on a stop.
    pub(crate) async fn wait(&self, session: &mut Session) -> Result<(), StageError> {
        let (notifier, recipient) = &self.recipient;
        let mut logged = None;
        loop {
            let connected = session.connection().await;
            let mut connection = connected.map_err(|_| StageError::Stopped)?;
            match damage(&mut connection, &self.key).await {
                Ok(None) => break,
                Ok(Some(line)) => {
                    let damaged = self
                        .failures
                        .set_blocked(&self.recipient, clock::now(), &line);
                    if logged.as_ref() != Some(&damaged.reason) {
                        tracing::error!(
                            notifier,
                            recipient,
                            "this notifier waits, because its progress is damaged: {line}"
                        );
                        logged = Some(damaged.reason);
                    }
                }
                // A session whose connection broke opens another; any other answer is asked for again.
                Err(error) => drop(session.recover(&error).await),
            }
            let pausing = self.stop.run_until_cancelled(tokio::time::sleep(PAUSE));
            pausing.await.ok_or(StageError::Stopped)?;
        }
        if self.failures.clear_blocked(&self.recipient) {
            tracing::info!(
                notifier,
                recipient,
                key = self.key,
                "progress of the notifier can be used again"
            );
        }
        Ok(())
    }
}
