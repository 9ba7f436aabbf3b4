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

use crate::config::{AlertsConfig, CollectorConfig, WebConfig};
use crate::feed::redis::RedisFeed;
use crate::incidents::correlate::{Correlator, open};
use crate::indices;
use crate::ingest::partition::{Partition, PartitionError};
use crate::ingest::raw_stream::LogError;
use crate::ingest::raw_stream::redis::RedisLog;
use crate::ingest::recorder::Recorder;
use crate::notify::console::{Console, Screen};
use crate::notify::delivery::Ledger;
use crate::notify::file::{AlertFile, FileError, Format};
use crate::notify::heartbeat::Heartbeat;
use crate::notify::outbox::Outbox;
use crate::notify::{self, NotifierError, Teller, Tellers};
use crate::ownership::leader;
use crate::ownership::lease::{CollectorName, Leases};
use crate::ownership::owner::{Owner, OwnerError, Tenure};
use crate::stats::Stats;
use crate::web::access::Access;
use crate::web::backend::redis::RedisBackend;
use crate::web::listen::Certificate;
use crate::web::read_model::{SharedReadModel, follow};
use crate::web::{self, Web, WebError};

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
    // What is misconfigured, and a taken port, fail here, before anything runs.
    verify(&config)?;
    let shown = shown(&config, &stats, &stop)?;
    let tls = certificate(&config.web)?;
    let listener = web::bind(config.web.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(
        page = format!("{scheme}://{}/", config.web.listen),
        "the dashboard is open"
    );
    let served = web::serve(listener, tls, shown.web, stop.clone());
    let pipeline = pipeline(config, screen, stats, stop.clone());
    let mut stages = JoinSet::new();
    stages.spawn(async move {
        served.await;
        Ok(())
    });
    stages.spawn(async move {
        shown.follow.await;
        Ok(())
    });
    stages.spawn(pipeline?);
    finish(stages, &stop).await
}

/// What of the configuration cannot be meant, besides rules and Redis: who may come in, certificates, who is told.
pub(crate) fn verify(config: &CollectorConfig) -> Result<(), RunError> {
    Access::new(&config.web).map_err(WebError::from)?;
    certificate(&config.web)?;
    for notifier in &config.notify {
        notify::channel(notifier, config.web.public_url.as_deref())?;
    }
    Heartbeat::new(&config.heartbeat)?;
    Ok(())
}

/// The web server over a read model, and the task that feeds it.
pub(crate) struct Shown<F> {
    pub(crate) web: Web,
    pub(crate) follow: F,
}

/// Returns the read model of Redis, and the web server over it.
pub(crate) fn shown(
    config: &CollectorConfig,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
) -> Result<Shown<impl Future<Output = ()> + Send + use<>>, RunError> {
    let (rules, envelope) = (config.rule_set()?, config.alerts.profile.envelope());
    let connector = Connector::new(&config.redis)?;
    let model = Arc::new(SharedReadModel::new(Arc::clone(&rules), envelope));
    let backend = RedisBackend::new(connector.clone(), config.clone());
    let web = Web::new(
        &config.web,
        Arc::clone(stats),
        Arc::clone(&model),
        Box::new(backend),
        false,
    )?;
    let follow = follow::run(model, connector, rules, envelope, stop.clone());
    Ok(Shown { web, follow })
}

/// What the web side answers with, where it has one.
pub(crate) fn certificate(config: &WebConfig) -> Result<Option<Certificate>, WebError> {
    let (cert, key) = (&config.tls_cert_file, &config.tls_key_file);
    Ok(Certificate::of(cert.as_ref(), key.as_ref())?)
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
    let desk = desk(&config, connector.clone(), me, screen, stop.clone());
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
) -> impl Future<Output = Result<(), RunError>> + Send + use<> {
    let (page, heartbeat) = (config.web.public_url.clone(), config.heartbeat.clone());
    let leases = Leases::new(connector.clone(), me, config.partition.lease);
    let console = config.alerts.console.then(|| Console::new(screen.clone()));
    let (timing, notifiers) = (config.incidents.timing(), config.notify.clone());
    let (series, envelope) = (config.series.clone(), config.alerts.profile.envelope());
    leader::hold(leases, stop, move |epoch, stop| {
        let console = console.clone();
        let told = move |record: &IncidentRecord| {
            if let Some(console) = &console {
                console.incident(record);
            }
        };
        let correlator = Correlator::new(&connector, epoch, timing, stop.clone(), told);
        let (connector, notifiers) = (connector.clone(), notifiers.clone());
        let (page, heartbeat) = (page.clone(), heartbeat.clone());
        let indices = indices::run(
            connector.clone(),
            series.clone(),
            envelope,
            indices::INTERVAL,
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
                let (channel, routes) = notify::channel(&notifier, page.as_deref())?;
                let told = match channel.repeats() {
                    Some(_) => open::newest_notifications(&connector, &stop).await,
                    None => Vec::new(),
                };
                let outbox = Outbox::new(
                    notifier.name.as_str(),
                    channel,
                    routes,
                    Ledger::new(connector.at(keys::DELIVERIES)),
                    (notifier.storm, notifier.retry_max),
                    stop.clone(),
                );
                let outbox = outbox.knowing(&told);
                stages.spawn(async move { outbox.run(feed).await.map_err(RunError::Incidents) });
            }
            if let Some(heartbeat) = Heartbeat::new(&heartbeat)? {
                let beating = heartbeat.run(connector.clone(), stop.clone());
                stages.spawn(async move {
                    beating.await;
                    Ok(())
                });
            }
            stages.spawn(async move { correlator.run().await.map_err(RunError::Incidents) });
            stages.spawn(async move { indices.await.map_err(RunError::Incidents) });
            finish(stages, &stop).await
        }
    })
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
