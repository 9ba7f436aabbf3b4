//! The wiring of the collector: the only module that knows every stage.
//!
//! ```text
//!  run ─┬─ dashboard ◀─ view ◀─ all streams
//!       └─ pipeline ─┬─ owner ──▶ for each owned partition: app/partition.rs
//!                    ├─ leader ─▶ on one collector: app/leader.rs
//!                    └─ watch ──▶ what waits for these stages
//! ```

mod error;
mod finish;
mod leader;
mod outboxes;
mod partition;
mod setup;
mod sinks;

use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::rules::RuleSet;
use rackwatch_runtime::clock;
use rackwatch_runtime::host::host_name;
use rackwatch_runtime::redis::{Connector, Purpose};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::leader::LeaderStages;
use self::partition::PartitionStages;
use crate::config::{CollectorConfig, WebConfig};
use crate::health;
use crate::notify::Heartbeat;
use crate::notify::console::{Console, Screen};
use crate::optional_key::is_wrong_type;
use crate::ownership::leader::lead;
use crate::ownership::lease::{CollectorName, Leases};
use crate::ownership::owner::{Owner, OwnershipTerm};
use crate::peers::{Announcement, Announcer, digest};
use crate::progress::Stage;
use crate::stats::Stats;
use crate::web::access::Access;
use crate::web::backend::redis::RedisBackend;
use crate::web::listen::Certificate;
use crate::web::read_model::{SharedReadModel, follow};
use crate::web::{self, Web, WebError};

pub(crate) use error::RunError;
pub(crate) use finish::finish;
pub(crate) use sinks::alert_sinks;

/// Longest search for the keys that ended the collector.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the collector until `stop`, or until a stage fails, which stops the others.
///
/// # Errors
///
/// When the configuration is unusable, the address of the dashboard is taken, or a stage fails.
pub(crate) async fn run(
    config: CollectorConfig,
    screen: &Screen,
    stats: Arc<Stats>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    // A wrong configuration or a taken port must fail before anything runs.
    verify(&config)?;
    let Dashboard { web, follow } = dashboard(&config, &stats, &stop)?;
    let tls = certificate(&config.web)?;
    let listener = web::bind(config.web.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let page = format!("{scheme}://{}/", config.web.listen);
    tracing::info!(page, "dashboard listening");
    let serve = web::serve(listener, tls, web, stop.clone());
    let connector = Connector::new(&config.redis)?;
    let deliveries = health::KnownNotifiers::configured(&config.notify).keys();
    let pipeline = pipeline(config, screen, stats, stop.clone())?;

    let mut stages = JoinSet::new();
    stages.spawn(async move {
        serve.await;
        Ok(())
    });
    stages.spawn(async move {
        follow.await;
        Ok(())
    });
    stages.spawn(pipeline);
    let ended = finish(stages, &stop).await;
    match ended {
        Err(error) if is_wrong_type(&error) => Err(explain(error, &connector, &deliveries).await),
        ended => ended,
    }
}

/// Names the keys of the wrong type that ended the collector, which Redis does not.
async fn explain(error: RunError, connector: &Connector, deliveries: &[String]) -> RunError {
    let look = async {
        let mut connection = connector.open(Purpose::Commands).await.ok()?;
        health::broken_keys(&mut connection, deliveries).await.ok()
    };
    let found = tokio::time::timeout(EXPLAIN_TIMEOUT, look).await;
    match found.ok().flatten() {
        Some(keys) if !keys.is_empty() => RunError::BrokenKeys {
            keys: keys.join("; "),
            source: Box::new(error),
        },
        _ => error,
    }
}

/// Checks the parts of the configuration that `CollectorConfig::load` does not: access, certificates and notifiers.
pub(crate) fn verify(config: &CollectorConfig) -> Result<(), RunError> {
    Access::new(&config.web).map_err(WebError::from)?;
    certificate(&config.web)?;
    for notifier in &config.notify {
        notifier.build(config.web.public_url.as_deref())?;
    }
    Heartbeat::new(&config.heartbeat)?;
    Ok(())
}

/// The web server over a read model, and the task that feeds it.
pub(crate) struct Dashboard<F> {
    pub(crate) web: Web,
    pub(crate) follow: F,
}

/// Returns the read model of Redis, and the web server over it.
pub(crate) fn dashboard(
    config: &CollectorConfig,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
) -> Result<Dashboard<impl Future<Output = ()> + Send + use<>>, RunError> {
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
    let follow = follow::run(
        model,
        connector,
        rules,
        envelope,
        config.partition.max_devices,
        stop.clone(),
    );
    Ok(Dashboard { web, follow })
}

/// Reads the certificate of the web server, if it is configured.
pub(crate) fn certificate(config: &WebConfig) -> Result<Option<Certificate>, WebError> {
    let (cert, key) = (&config.tls_cert_file, &config.tls_key_file);
    Ok(Certificate::of(cert.as_ref(), key.as_ref())?)
}

/// Builds the pipeline without its web side.
///
/// # Errors
///
/// When the configuration is unusable. The future itself fails when a stage does.
pub(crate) fn pipeline(
    config: CollectorConfig,
    screen: &Screen,
    stats: Arc<Stats>,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), RunError>> + Send + use<>, RunError> {
    let (rules, sinks) = (config.rule_set()?, alert_sinks(&config.alerts, screen)?);
    let connector = Connector::new(&config.redis)?;
    tracing::info!(redis = connector.endpoint(), "collector starting");
    let config = Arc::new(config);
    let name = this_collector();
    let leases = || {
        let lease = config.partition.lease;
        Leases::new(connector.clone(), name.clone(), lease, stop.clone())
    };

    let leader = LeaderStages {
        connector: connector.clone(),
        config: Arc::clone(&config),
        console: (config.alerts.console).then(|| Console::new(screen.clone())),
        progress: Arc::clone(stats.progress()),
    };
    let pulse = stats.progress().begin(Stage::Leadership);
    let leader = lead(leases(), pulse, stop.clone(), move |epoch, stop| {
        leader.clone().run(epoch, stop)
    });
    let watch = health::watch(
        connector.clone(),
        health::KnownNotifiers::configured(&config.notify).keys(),
        Arc::clone(&stats),
        stop.clone(),
    );
    let announcer = Announcer::new(announcement(&config, &rules));
    let partitions = PartitionStages {
        connector: connector.clone(),
        config: Arc::clone(&config),
        rules,
        sinks,
        stats: Arc::clone(&stats),
    };
    let start = move |term: OwnershipTerm| partitions.run(term);
    let leases = (leases(), announcer);
    let owner = Owner::new(leases, config.partition.count, stats, stop.clone(), start);
    Ok(async move {
        let mut stages = JoinSet::new();
        stages.spawn(owner.run());
        stages.spawn(leader);
        stages.spawn(async move {
            watch.await;
            Ok(())
        });
        finish(stages, &stop).await
    })
}

/// Returns what this collector announces, but for the site.
fn announcement(config: &CollectorConfig, rules: &RuleSet) -> Announcement {
    Announcement {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rules: digest(rules),
        site: String::new(),
        notifiers: digest(&config.notify),
        incidents: digest(&config.incidents),
    }
}

/// Returns a name that no other collector has: start time, host and process.
fn this_collector() -> CollectorName {
    let host = host_name().unwrap_or_else(|| "localhost".to_owned());
    CollectorName::new(clock::now().millis(), &host, std::process::id())
}
