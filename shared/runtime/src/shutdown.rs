//! Stopping on request.
//!
//! In: SIGINT or SIGTERM (Ctrl-C on Windows); out: a cancelled token, which every stage watches.
//! A second signal ends the process at once: what was not yet handed on is lost then, as in a
//! crash.

use std::io;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use other::Signals;
#[cfg(unix)]
use unix::Signals;

/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The operating system refused to tell about signals.
#[derive(Debug, Error)]
#[error("cannot listen for the signals that stop this program")]
pub struct SignalError {
    source: io::Error,
}

/// A token that is cancelled by the first signal to stop.
///
/// The signals are caught from here on. Call it once, within a tokio runtime.
///
/// # Errors
///
/// When the signals cannot be caught.
pub fn on_signals() -> Result<CancellationToken, SignalError> {
    let signals = Signals::listen().map_err(|source| SignalError { source })?;
    let token = CancellationToken::new();
    // Not joined by anybody: it has to outlive all other work, to hear the second signal while
    // that work winds down, and it ends with the runtime.
    tokio::spawn(listen(signals, token.clone()));
    Ok(token)
}

#[expect(
    clippy::exit,
    reason = "whoever asks twice does not want to wait for the orderly way"
)]
async fn listen(mut signals: Signals, token: CancellationToken) {
    let signal = signals.next().await;
    info!(signal, "stopping");
    token.cancel();
    let signal = signals.next().await;
    warn!(signal, "asked twice to stop, ending at once");
    std::process::exit(INTERRUPTED);
}
