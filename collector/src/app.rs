//! The collector, wired: the one file that knows every stage. It reads as the pipeline.

use std::sync::Arc;
use std::time::SystemTime;

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::keys;
use rackwatch_core::rules::RuleError;
use rackwatch_core::wire::{alert, incident};
use rackwatch_runtime::host::host_name;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{AlertsConfig, CollectorConfig, NotifierConfig, NotifierKind};
use crate::correlate::Correlator;
use crate::desk;
use crate::feed::redis::RedisFeed;
use crate::indices;
use crate::lease::{CollectorName, Leases};
use crate::log::LogError;
use crate::log::redis::RedisLog;
use crate::notify::console::{Console, Screen};
use crate::notify::file::{AlertFile, FileError, Format};
use crate::notify::outbox::{self, Channel};
use crate::notify::webhook::{NotifierError, Webhook};
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
    /// Who is told.
    #[error(transparent)]
    Notifier(#[from] NotifierError),
    /// Incidents.
    #[error("people can be told of incidents no more")]
    Incidents(#[source] LogError),
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

    let me = this_collector();
    let leases = Leases::new(connector.clone(), me.clone(), config.partition.lease);
    let desk = desk(&config, connector.clone(), me, screen, stop.clone())?;
    let envelope = config.alerts.profile.envelope();
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
            )
            .within(envelope);
            let feed = RedisFeed::new(
                connector.clone(),
                (tenure.keys.alerts, alert::decode),
                keys::LOGGER_GROUP.to_owned(),
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
    let owner = Owner::new(leases, config.partition.count, stats, stop.clone(), start);
    Ok(async move {
        let mut stages = JoinSet::new();
        stages.spawn(owner.run());
        stages.spawn(desk);
        finish(stages, &stop).await
    })
}

/// What one of all collectors does: incidents of alerts, and telling people of them.
fn desk(
    config: &CollectorConfig,
    connector: Connector,
    me: CollectorName,
    screen: &Screen,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), RunError>> + Send + use<>, RunError> {
    // What is misconfigured fails here, not when the desk is taken.
    for notifier in &config.notify {
        channel(notifier)?;
    }
    let leases = Leases::new(connector.clone(), me, config.partition.lease);
    let console = config.alerts.console.then(|| Console::new(screen.clone()));
    let (timing, notifiers) = (config.incidents.timing(), config.notify.clone());
    let (series, envelope) = (config.series.clone(), config.alerts.profile.envelope());
    Ok(desk::hold(leases, stop, move |epoch, stop| {
        let console = console.clone();
        let told = move |record: &IncidentRecord| {
            if let Some(console) = &console {
                console.incident(record);
            }
        };
        let correlator = Correlator::new(&connector, epoch, timing, stop.clone(), told);
        let (connector, notifiers) = (connector.clone(), notifiers.clone());
        let indices = indices::run(
            connector.clone(),
            series.clone(),
            envelope,
            indices::EVERY,
            stop.clone(),
        );
        async move {
            let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
            for notifier in notifiers {
                let mut feed = RedisFeed::new(
                    connector.at(keys::INCIDENTS),
                    (keys::INCIDENTS.to_owned(), incident::decode),
                    keys::notifier_group(notifier.name.as_str()),
                    keys::CORRELATOR_CONSUMER,
                    stop.clone(),
                );
                // Before the first incident is written: a group that is made later would miss it.
                match feed.begin().await {
                    Err(LogError::Stopped) => return Ok(()),
                    begun => begun.map_err(RunError::Incidents)?,
                }
                let (channel, stop) = (channel(&notifier)?, stop.clone());
                let sending = outbox::run(feed, channel, notifier.retry_max, stop);
                stages.spawn(async move { sending.await.map_err(RunError::Incidents) });
            }
            stages.spawn(async move { correlator.run().await.map_err(RunError::Incidents) });
            stages.spawn(async move { indices.await.map_err(RunError::Incidents) });
            finish(stages, &stop).await
        }
    }))
}

/// Where a notifier sends to.
fn channel(config: &NotifierConfig) -> Result<Box<dyn Channel>, NotifierError> {
    match config.kind {
        NotifierKind::Webhook => Ok(Box::new(Webhook::new(config)?)),
    }
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
