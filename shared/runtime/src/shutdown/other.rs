//! Ctrl-C where there are no unix signals.

use std::io;

/// Ctrl-C.
pub(super) struct Signals;

impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the unix way of it can fail")]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// The name of the next signal.
    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
