//! Setting up the notifiers of a leader, and the wait of one that cannot be set up.
//!
//! A collector starts only if all of its notifiers can be set up. But each term of a leader reads their files again, and a file
//! with a secret may be gone by then. Only the notifier that needs it waits: the others report it, and it goes on by itself
//! when the file is back.

use std::sync::Arc;
use std::time::Duration;

use rackwatch_runtime::clock;
use rackwatch_runtime::error::chain;
use tokio_util::sync::CancellationToken;

use crate::notify::failures::RecipientKey;
use crate::notify::route::Routes;
use crate::notify::{Failures, NotifierConfig, Recipient};
use crate::stage::StageError;

/// Pause between two attempts: soon enough for an operator who waits for the effect.
const PAUSE: Duration = Duration::from_secs(1);

/// A recipient that is set up, and the routes of its notifier.
pub(super) type Ready = (Recipient, Routes);

/// The configuration from which a notifier is set up.
#[derive(Clone)]
pub(super) struct Setup {
    notifier: Arc<NotifierConfig>,
    dashboard: Option<String>,
    failures: Failures,
    stop: CancellationToken,
}

impl Setup {
    /// Creates the setup of `notifier`. `dashboard` is the public address of the dashboard, for links.
    pub(super) fn new(
        notifier: &NotifierConfig,
        dashboard: Option<&str>,
        failures: &Failures,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            notifier: Arc::new(notifier.clone()),
            dashboard: dashboard.map(str::to_owned),
            failures: failures.clone(),
            stop: stop.clone(),
        }
    }

    /// Sets up all recipients of the notifier, in their order. Where that fails, each of them counts as failing, and is
    /// `None`.
    pub(super) async fn try_all(&self) -> Vec<Option<Ready>> {
        match self.build().await {
            Ok(all) => all.into_iter().map(Some).collect(),
            Err(line) => {
                let recipients = self.notifier.progress_keys();
                let waiting = recipients.into_iter().map(|(address, _)| {
                    let recipient = (self.notifier.name().to_owned(), address);
                    self.failures.set_blocked(&recipient, clock::now(), &line);
                    None
                });
                waiting.collect()
            }
        }
    }

    /// Waits until recipient number `index` can be set up. The recipient counts as failing meanwhile.
    ///
    /// # Errors
    ///
    /// Fails on a stop.
    pub(super) async fn wait(
        &self,
        index: usize,
        recipient: &RecipientKey,
    ) -> Result<Ready, StageError> {
        let (notifier, address) = recipient;
        let mut logged = None;
        loop {
            match self.build().await.map(|mut all| all.swap_remove(index)) {
                Ok(ready) => {
                    tracing::info!(notifier, recipient = address, "notifier is set up again");
                    return Ok(ready);
                }
                Err(line) => {
                    self.failures.set_blocked(recipient, clock::now(), &line);
                    if logged.as_ref() != Some(&line) {
                        tracing::error!(
                            notifier,
                            recipient = address,
                            "this notifier waits, because it cannot be set up: {line}"
                        );
                        logged = Some(line);
                    }
                }
            }
            let pausing = self.stop.run_until_cancelled(tokio::time::sleep(PAUSE));
            pausing.await.ok_or(StageError::Stopped)?;
        }
    }

    /// Sets up all recipients, or returns the reason in one line. A disk that hangs holds up no other stage.
    async fn build(&self) -> Result<Vec<Ready>, String> {
        let this = self.clone();
        let built = tokio::task::spawn_blocking(move || {
            let (recipients, routes) = this.notifier.build(this.dashboard.as_deref())?;
            let ready = |recipient| (recipient, routes.clone());
            Ok(recipients.into_iter().map(ready).collect())
        });
        match built.await {
            Ok(Ok(all)) => Ok(all),
            Ok(Err(error)) => Err(reason(&error)),
            // The runtime stops.
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Returns what is wrong, and what to do. The notifier is named beside it.
fn reason(error: &crate::notify::SetupError) -> String {
    format!(
        "{}; mend that, and the notifier goes on by itself",
        chain(&error.source)
    )
}
