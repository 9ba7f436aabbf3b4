//! Stops the program on request.
//!
//! In: SIGINT or SIGTERM (Ctrl-C on Windows). Out: a cancelled token, which every stage watches. A
//! second signal ends the process at once, and loses unfinished work as a crash would.

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

/// Exit code of a program that Ctrl-C ended, as shells report it.
const INTERRUPTED: i32 = 130;

/// The operating system refused to deliver signals.
#[derive(Debug, Error)]
#[error("cannot listen for the signals that stop this program")]
pub struct SignalError {
    source: io::Error,
}

/// Returns a token that the first signal to stop cancels. Catches the signals from then on; to be
/// called once, within a tokio runtime.
///
/// # Errors
///
/// When the signals cannot be caught.
pub fn on_signals() -> Result<CancellationToken, SignalError> {
    let signals = Signals::listen().map_err(|source| SignalError { source })?;
    let token = CancellationToken::new();
    // Not joined: it has to outlive all other work, to catch the second signal while that winds down,
    // and it ends with the runtime.
    tokio::spawn(listen(signals, token.clone()));
    Ok(token)
}

#[expect(clippy::exit, reason = "a second signal asks to skip the orderly way")]
async fn listen(mut signals: Signals, token: CancellationToken) {
    let signal = signals.next().await;
    info!(signal, "stopping");
    token.cancel();
    let signal = signals.next().await;
    warn!(signal, "second signal, ending at once");
    std::process::exit(INTERRUPTED);
}
