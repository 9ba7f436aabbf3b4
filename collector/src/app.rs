//! The collector, wired: the one file that knows every stage. It reads as the pipeline.

use std::sync::Arc;
use std::time::SystemTime;

use rackwatch_core::keys;
use rackwatch_core::rules::RuleError;
use rackwatch_runtime::host::host_name;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{AlertsConfig, CollectorConfig};
use crate::feed::redis::RedisFeed;
use crate::lease::{CollectorName, Leases};
use crate::log::LogError;
use crate::log::redis::RedisLog;
use crate::notify::console::{Console, Screen};
use crate::notify::file::{AlertFile, FileError, Format};
use crate::notify::{self, Teller, Tellers};
use crate::owner::{Owner, OwnerError, Tenure};
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
    /// Owning partitions.
    #[error(transparent)]
    Owner(#[from] OwnerError),
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

    let leases = Leases::new(connector.clone(), this_collector(), config.partition.lease);
    let start = {
        let stats = Arc::clone(&stats);
        move |tenure: Tenure| {
            let lease = config.partition.lease;
            let connector = connector.at(&tenure.keys.raw);
            let log = RedisLog::new(connector.clone(), &tenure, &config.stream, lease);
            let recorder = Recorder::redis(
                connector.clone(),
                config.series.clone(),
                tenure.stop.clone(),
            );
            let partition = Partition::new(
                tenure.partition,
                log,
                recorder,
                Arc::clone(&rules),
                Arc::clone(&stats),
                config.partition.save_every,
                tenure.stop.clone(),
            );
            let feed = RedisFeed::new(
                connector.clone(),
                tenure.keys.alerts,
                keys::LOGGER_GROUP,
                keys::LOGGER_CONSUMER,
                tenure.stop.clone(),
            );
            let tellers = tellers.clone();
            async move {
                let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
                stages.spawn(async move { Ok(partition.run().await?) });
                stages.spawn(
                    async move { notify::run(feed, tellers).await.map_err(RunError::Alerts) },
                );
                finish(stages, &tenure.stop).await
            }
        }
    };
    Ok(Owner::new(leases, config.partition.count, stats, stop, start).run())
}

/// A name that no other collector has.
fn this_collector() -> CollectorName {
    let started = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let host = host_name().unwrap_or_else(|| "localhost".to_owned());
    let started = u64::try_from(started.as_millis()).unwrap_or(0);
    CollectorName::new(started, &host, std::process::id())
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
pub fn tellers(config: &AlertsConfig, screen: &Screen) -> Result<Tellers, FileError> {
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
    Ok(Tellers::new(tellers))
}
