//! A real signal, sent to this process.

use std::process::Command;
use std::time::Duration;

use rackwatch_runtime::shutdown;

/// The only test here that may signal: a second signal ends the process.
#[tokio::test]
async fn sigterm_cancels_the_token() {
    let stop = shutdown::on_signals().unwrap();
    assert!(!stop.is_cancelled());
    let id = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    tokio::time::timeout(Duration::from_secs(10), stop.cancelled())
        .await
        .unwrap();
}
