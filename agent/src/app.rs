//! The wiring: every stage of the agent, in the order in which a reading passes them.
//!
//! In: settings and a token that says stop. Out: what was done. On the stop the sampler ends first,
//! then the backlog closes, then the publisher sends what is left, within five seconds in all. A
//! stage that ends early or panics is a stop too, and an error.

use std::path::PathBuf;

use rackwatch_core::wire::Seq;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backlog::Backlog;
use crate::config::{AgentConfig, SourcesConfig, SpoolConfig, host_name};
use crate::inventory::Inventory;
use crate::publisher::{Departure, Publisher, Sender, Summary, new_run};
use crate::sampler::{self, Sampler, SamplerError};
use crate::source::Source;
#[cfg(target_os = "linux")]
use crate::source::hwmon::Hwmon;
use crate::source::simulated::Simulated;
use crate::source::sysinfo::Sysinfo;
use crate::spool::Spool;
use crate::spool::log::Bounds;

/// Why the agent does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The simulated racks cannot be made.
    #[error("cannot simulate {scenario:?}: see sources.simulated")]
    Scenario {
        /// What was asked for.
        scenario: String,
        /// Why not.
        source: rackwatch_core::thermal::NotAScenario,
    },
    /// The Redis settings are wrong.
    #[error("cannot use the settings for redis")]
    Redis {
        /// Why.
        source: ConnectError,
    },
    /// Another agent has the spool.
    #[error("cannot use spool.path {}", path.display())]
    Spool {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The sampler cannot go on.
    #[error("the sampler ended")]
    Sampler {
        /// Why.
        source: SamplerError,
    },
    /// A stage panicked.
    #[error("a stage of the agent panicked")]
    Panicked {
        /// The panic.
        source: JoinError,
    },
    /// A stage ended though nobody asked for it.
    #[error("the {0} ended early")]
    EndedEarly(&'static str),
}

/// Publishes what the configured sources say, until `stop`.
pub async fn run(config: &AgentConfig, stop: CancellationToken) -> Result<Summary, RunError> {
    let sources = sources(&config.sources)?;
    pipeline(config, sources, Departure::Leave, stop).await
}

/// The sources that are switched on.
pub fn sources(config: &SourcesConfig) -> Result<Vec<Box<dyn Source>>, RunError> {
    let host = host_name();
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    #[cfg(target_os = "linux")]
    if config.hwmon.enabled {
        sources.push(Box::new(Hwmon::new(config.hwmon.clone(), &host)));
    }
    if config.sysinfo.enabled {
        sources.push(Box::new(Sysinfo::new(config.sysinfo.clone(), &host)));
    }
    if config.simulated.enabled {
        let simulated = Simulated::new(&config.simulated).map_err(|source| RunError::Scenario {
            scenario: config.simulated.scenario.clone(),
            source,
        })?;
        sources.push(Box::new(simulated));
    }
    Ok(sources)
}

/// Publishes what `sources` say, until `stop`.
pub async fn pipeline(
    config: &AgentConfig,
    sources: Vec<Box<dyn Source>>,
    departure: Departure,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let connector = Connector::new(&config.redis).map_err(|source| RunError::Redis { source })?;
    let inventory = Inventory::new(&config.agent, &host_name(), config.devices.clone());
    let run = new_run();
    let sender = Sender::new(&config.agent, config.publish.safety_cap);
    let endpoint = connector.endpoint();
    info!(agent = sender.agent, run, endpoint, "starting");
    let stop = stop.child_token();

    let mut stages = JoinSet::new();
    let (observed, incoming) = mpsc::channel(sampler::DEPTH);

    let sampling = Sampler::new(sources).run(stop.clone(), observed);
    stages.spawn(async { Ended::Sampler(sampling.await) });

    // A disk that does not answer does not keep the sampler waiting.
    let (spool, prev) = open_spool(&config.spool).await?;
    let backlog = Backlog::new(&config.publish, inventory, &run, spool, prev);

    let filling = backlog.clone().fill(incoming, stop.clone());
    stages.spawn(async {
        filling.await;
        Ended::Backlog
    });

    let published = CancellationToken::new();
    let spilling = backlog.clone().spill(published.clone());
    stages.spawn(async {
        spilling.await;
        Ended::Spool
    });

    let publishing = Publisher::new(backlog, connector, sender, departure).run(stop.clone());
    stages.spawn(async move {
        let summary = publishing.await;
        published.cancel();
        Ended::Publisher(summary)
    });

    supervise(stages, &stop).await
}

/// The spool, where one is configured, and the last number of the run before.
async fn open_spool(config: &SpoolConfig) -> Result<(Option<Spool>, Option<Seq>), RunError> {
    let Some(path) = &config.path else {
        info!("no spool is configured: while redis is away readings are kept in memory only");
        return Ok((None, None));
    };
    let bounds = Bounds {
        bytes: config.max_bytes.bytes(),
        age: config.max_age,
    };
    match Spool::open(path.clone(), bounds, config.sync.into()).await {
        Ok((spool, prev)) => Ok((Some(spool), prev)),
        // Two agents would take each other's readings.
        Err(source) if source.kind() == std::io::ErrorKind::ResourceBusy => Err(RunError::Spool {
            path: path.clone(),
            source,
        }),
        // A bad disk must not keep a host from being watched.
        Err(error) => {
            let path = path.display();
            error!(
                %path,
                %error,
                "the spool cannot be used: until the next start readings are kept in memory only"
            );
            Ok((None, None))
        }
    }
}

/// How a stage ended.
enum Ended {
    Sampler(Result<(), SamplerError>),
    Backlog,
    Spool,
    Publisher(Summary),
}

/// Waits for every stage; the first one that ends stops the others.
async fn supervise(
    mut stages: JoinSet<Ended>,
    stop: &CancellationToken,
) -> Result<Summary, RunError> {
    let mut summary = Summary::default();
    let (mut failure, mut ended_early) = (None, None);
    while let Some(ended) = stages.join_next().await {
        let early = |stage| (!stop.is_cancelled()).then_some(RunError::EndedEarly(stage));
        let (error, early) = match ended {
            Err(source) => (Some(RunError::Panicked { source }), None),
            Ok(Ended::Sampler(Err(source))) => (Some(RunError::Sampler { source }), None),
            Ok(Ended::Sampler(Ok(()))) => (None, early("sampler")),
            Ok(Ended::Backlog) => (None, early("backlog")),
            Ok(Ended::Spool) => (None, early("spool")),
            Ok(Ended::Publisher(sent)) => {
                summary = sent;
                (None, early("publisher"))
            }
        };
        stop.cancel();
        failure = failure.or(error);
        ended_early = ended_early.or(early);
    }
    // A stage whose input ended may be seen to end before the one that failed.
    match failure.or(ended_early) {
        Some(error) => Err(error),
        None => Ok(summary),
    }
}
