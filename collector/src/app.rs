//! The collector, wired: the one file that knows every stage. It reads as the pipeline.

use std::sync::Arc;

use rackwatch_core::keys;
use rackwatch_core::rules::RuleError;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{AlertsConfig, CollectorConfig};
use crate::feed::redis::RedisFeed;
use crate::log::LogError;
use crate::log::redis::RedisLog;
use crate::notify::console::{Console, Screen};
use crate::notify::file::{AlertFile, FileError, Format};
use crate::notify::{self, Teller};
use crate::partition::{Partition, PartitionError};
use crate::recorder::Recorder;
use crate::stats::Stats;
use crate::web::{self, WebError};

/// The collector cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A rule that cannot be meant.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// The address or the login of Redis.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The web side.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A file for alerts.
    #[error(transparent)]
    File(#[from] FileError),
    /// Judging.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// Telling.
    #[error("alerts can be told no more")]
    Alerts(#[source] LogError),
    /// The demo's simulated racks.
    #[error("the simulated racks cannot be read")]
    Sampling(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stage has a bug.
    #[error("a stage of the collector panicked")]
    Panicked(#[source] JoinError),
}

/// Runs the collector until `stop`, or until a stage fails: the others are stopped then.
pub async fn run(
    config: CollectorConfig,
    screen: &Screen,
    stats: Arc<Stats>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    // A taken port fails here, before anything runs.
    let listener = web::bind(config.web.listen).await?;
    tracing::info!(listen = %config.web.listen, "health is answered");
    let served = web::serve(listener, Arc::clone(&stats), stop.clone());
    let pipeline = pipeline(config, screen, stats, stop.clone());
    let mut stages = JoinSet::new();
    stages.spawn(async move { Ok(served.await?) });
    stages.spawn(pipeline?);
    finish(stages, &stop).await
}

/// The pipeline without its web side. What is misconfigured fails at once, before anything runs.
pub fn pipeline(
    config: CollectorConfig,
    screen: &Screen,
    stats: Arc<Stats>,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), RunError>> + Send + use<>, RunError> {
    let rules = config.rule_set()?;
    let connector = Connector::new(&config.redis)?;
    let tellers = tellers(&config.alerts, screen)?;
    tracing::info!(redis = connector.endpoint(), "collector starts");

    let log = RedisLog::new(connector.clone(), config.stream.keep, stop.clone());
    let recorder = Recorder::redis(connector.clone(), config.series, stop.clone());
    let partition = Partition::new(log, recorder, rules, stats, stop.clone());
    let feed = RedisFeed::new(
        connector,
        keys::LOGGER_GROUP,
        keys::LOGGER_CONSUMER,
        stop.clone(),
    );

    Ok(async move {
        let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
        stages.spawn(async move { Ok(partition.run().await?) });
        stages.spawn(async move { notify::run(feed, tellers).await.map_err(RunError::Alerts) });
        finish(stages, &stop).await
    })
}

/// Waits for every stage. The first to end, however it ends, stops the others; the first error is
/// what the program reports.
pub async fn finish(
    mut stages: JoinSet<Result<(), RunError>>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut first = Ok(());
    while let Some(ended) = stages.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(RunError::Panicked(panic)));
        if first.is_ok() {
            first = ended;
        }
        stop.cancel();
    }
    first
}

/// Everyone who tells alerts.
pub fn tellers(config: &AlertsConfig, screen: &Screen) -> Result<Vec<Box<dyn Teller>>, FileError> {
    let mut tellers: Vec<Box<dyn Teller>> = Vec::new();
    if config.console {
        tellers.push(Box::new(Console::new(screen.clone())));
    }
    let files = [
        (&config.file, Format::Lines),
        (&config.json_file, Format::Json),
    ];
    for (path, format) in files {
        if let Some(path) = path {
            let file = AlertFile::open(path, format, config.rotate_at.bytes(), config.rotate_keep)?;
            tellers.push(Box::new(file));
        }
    }
    Ok(tellers)
}
