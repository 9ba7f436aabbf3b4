//! Ctrl-C on systems without Unix signals.

use std::io;

/// The handler of Ctrl-C.
pub(super) struct Signals;

impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next signal and returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler could be installed, so no signal will come.
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
