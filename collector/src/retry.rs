//! What to do after an error of Redis: connect again, wait, or give up.

use std::time::Duration;

use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use redis::RedisError;
use tokio_util::sync::CancellationToken;

/// How long to wait for a Redis that is loading, read-only or out of memory.
const PAUSE: Duration = Duration::from_millis(500);

/// What kind of trouble it was, once waited out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Open another connection and try again: this one is of no more use, or the address may lead to
    /// a Redis that can by now.
    Reconnect,
    /// Trying again would not help.
    Lasting,
    /// The program is to stop.
    Stopped,
}

/// Waits as long as the error asks for.
pub async fn wait_out(error: &RedisError, stop: &CancellationToken) -> Trouble {
    let pause = match remedy(error) {
        Remedy::Reconnect => Duration::ZERO,
        Remedy::RetryLater => PAUSE,
        Remedy::Fatal => return Trouble::Lasting,
    };
    match stop.run_until_cancelled(tokio::time::sleep(pause)).await {
        Some(()) if !stop.is_cancelled() => Trouble::Reconnect,
        _ => Trouble::Stopped,
    }
}

/// The connection in `slot`, opened if there is none; none when the program is to stop.
pub async fn connection(
    slot: &mut Option<Connection>,
    connector: &Connector,
    purpose: Purpose,
    stop: &CancellationToken,
) -> Option<Connection> {
    if slot.is_none() {
        *slot = Some(connector.open_until(purpose, stop).await?);
    }
    slot.clone()
}
