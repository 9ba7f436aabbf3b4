//! The watch of one collector over what waits for its stages, as Redis knows it, and over the other collectors.
//!
//! In: the stages that run. Out: the age of the oldest entry that waits for each, for `/readyz` and the heartbeat; and what
//! the running collectors announce, for `/metrics`. A stage that hangs, or whose entries another program takes, does not
//! notice that itself.

use std::sync::Arc;

use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use redis::{RedisError, RedisResult};
use tokio_util::sync::CancellationToken;

use super::broken_keys::broken_keys;
use crate::peers::{self, Difference, differences};
use crate::progress::{Progress, Stage};
use crate::stats::Stats;
use crate::waiting;

/// Looks within the time after which an entry waits too long.
const LOOKS_PER_LIMIT: u32 = 6;

/// Looks at what waits until `stop`. A look that fails counts as none. `deliveries` are the keys with the progress of
/// notifiers.
pub(crate) async fn run(
    connector: Connector,
    deliveries: Vec<String>,
    stats: Arc<Stats>,
    stop: CancellationToken,
) {
    let progress = stats.progress();
    let pulse = progress.begin(Stage::Watch);
    let pause = progress.limit() / LOOKS_PER_LIMIT;
    let (mut is_refused, mut logged, mut broken) = (false, Vec::new(), Vec::new());
    while let Some(mut connection) = connector.open_until(Purpose::Commands, &stop).await {
        loop {
            log_broken_keys(&mut connection, &deliveries, &mut broken).await;
            let looking = stop.run_until_cancelled(look(&mut connection, &stats));
            match looking.await {
                None => return,
                Some(Ok(())) => {
                    pulse.beat();
                    log_differences(&stats, &mut logged);
                }
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

/// Logs each key that holds something else once: some stop no stage, and would be missed.
async fn log_broken_keys(
    connection: &mut Connection,
    deliveries: &[String],
    logged: &mut Vec<String>,
) {
    let Ok(found) = broken_keys(connection, deliveries).await else {
        return;
    };
    for line in found.iter().filter(|line| !logged.contains(line)) {
        tracing::error!("{line}");
    }
    *logged = found;
}

/// Logs each new difference between the running collectors once.
fn log_differences(stats: &Stats, logged: &mut Vec<String>) {
    let found: Vec<_> = differences(&stats.peers())
        .iter()
        .map(Difference::line)
        .collect();
    for line in found.iter().filter(|line| !logged.contains(line)) {
        tracing::warn!("{line}");
    }
    *logged = found;
}

/// Notes what waits for each stage, and what the running collectors announce.
async fn look(connection: &mut Connection, stats: &Stats) -> RedisResult<()> {
    let progress: &Progress = stats.progress();
    for stage in progress.running() {
        let oldest = match stage {
            Stage::Partition(id) => waiting::readings(connection, id).await?,
            Stage::Correlator => waiting::alerts(connection).await?,
            Stage::Leases | Stage::Leadership | Stage::Watch | Stage::Forwarder(_) => continue,
        };
        progress.set_oldest(stage, oldest);
    }
    let running = peers::running(connection).await?;
    stats.set_peers(peers::announcements(connection, &running).await?);
    Ok(())
}
