//! The watch of one collector over what waits for its stages, as Redis knows it.
//!
//! In: the stages that run. Out: the age of the oldest entry that waits for each, for `/readyz` and the heartbeat. A stage
//! that hangs, or whose entries another program takes, does not notice that itself.

use std::sync::Arc;

use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use redis::{RedisError, RedisResult};
use tokio_util::sync::CancellationToken;

use crate::progress::{Progress, Stage};
use crate::waiting;

/// Looks within the time after which an entry waits too long.
const LOOKS_PER_LIMIT: u32 = 6;

/// Looks at what waits until `stop`. A look that fails counts as none.
pub(crate) async fn run(connector: Connector, progress: Arc<Progress>, stop: CancellationToken) {
    let pulse = progress.begin(Stage::Watch);
    let pause = progress.limit() / LOOKS_PER_LIMIT;
    let mut is_refused = false;
    while let Some(mut connection) = connector.open_until(Purpose::Commands, &stop).await {
        loop {
            let looking = stop.run_until_cancelled(look(&mut connection, &progress));
            match looking.await {
                None => return,
                Some(Ok(())) => pulse.beat(),
                Some(Err(error)) => {
                    log_failure(&error, &mut is_refused);
                    break;
                }
            }
            let pausing = tokio::time::sleep(pause);
            if stop.run_until_cancelled(pausing).await.is_none() {
                return;
            }
        }
        // A look that Redis refuses must not repeat without a pause.
        let pausing = tokio::time::sleep(pause);
        stop.run_until_cancelled(pausing).await;
    }
}

/// Logs a refusal once. The stages log everything else.
fn log_failure(error: &RedisError, is_refused: &mut bool) {
    if remedy(error) == Remedy::Fatal && !std::mem::replace(is_refused, true) {
        tracing::warn!(
            %error,
            "redis refuses to report waiting entries, so this collector is not ready: allow XINFO, XPENDING and XRANGE"
        );
    }
}

/// Notes what waits for each stage.
async fn look(connection: &mut Connection, progress: &Progress) -> RedisResult<()> {
    for stage in progress.running() {
        let oldest = match stage {
            Stage::Partition(id) => waiting::readings(connection, id).await?,
            Stage::Correlator => waiting::alerts(connection).await?,
            Stage::Leases | Stage::Leadership | Stage::Watch | Stage::Forwarder(_) => continue,
        };
        progress.set_oldest(stage, oldest);
    }
    Ok(())
}
