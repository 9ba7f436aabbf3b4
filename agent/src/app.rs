//! The wiring: every stage of the agent, in the order in which readings pass through them.
//!
//! In: the configuration and a stop token. Out: the totals of the run. On the stop the sampler ends
//! first, then the backlog closes, then the publisher sends the rest, all within five seconds. A
//! stage that ends early or panics stops the others too, and is an error.

use std::path::PathBuf;

use rackwatch_core::wire::Seq;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::host;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backlog::Backlog;
use crate::config::{AgentConfig, SpoolConfig};
use crate::inventory::Inventory;
use crate::publisher::{Publisher, Sender, Summary, new_run};
use crate::sampler::{self, Sampler, SamplerError};
use crate::source::Source;
#[cfg(target_os = "linux")]
use crate::source::hwmon::Hwmon;
#[cfg(unix)]
use crate::source::ipmi::Ipmi;
use crate::source::lanes::Lanes;
#[cfg(target_os = "linux")]
use crate::source::nvidia::Nvidia;
use crate::source::simulated::Simulated;
use crate::source::sysinfo::Sysinfo;
use crate::source::target::{TargetContext, TargetError};
use crate::source::targets;
use crate::spool::segment_log::Bounds;
use crate::spool::{Opened, Spool, SpoolError};

/// An error that prevents or ends a run of the agent.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The simulated racks cannot be created.
    #[error("cannot simulate {scenario:?}: check sources.simulated")]
    Scenario {
        /// Scenario as in the configuration.
        scenario: String,
        /// Part of the scenario that is invalid.
        source: rackwatch_core::thermal::ScenarioError,
    },
    /// The settings for Redis are unusable.
    #[error("cannot use the settings for redis")]
    Redis {
        /// Setting that the connector refuses.
        source: ConnectError,
    },
    /// A target cannot be opened.
    #[error("cannot use [[targets]]")]
    Target {
        /// Target and reason of the failure.
        source: TargetError,
    },
    /// Another agent uses the spool.
    #[error("cannot use spool.path {}", path.display())]
    Spool {
        /// Folder that both agents use.
        path: PathBuf,
        /// Reason why the spool is unusable.
        source: SpoolError,
    },
    /// The sampler has no source, or a source has a bug.
    #[error("the sampler failed")]
    Sampler {
        /// Reason why the sampler ended.
        source: SamplerError,
    },
    /// A stage panicked, which is a bug.
    #[error("a stage of the agent panicked")]
    Panicked {
        /// Panic message of the stage.
        source: JoinError,
    },
    /// A stage ended before the stop.
    #[error("the {0} ended unexpectedly")]
    EndedEarly(&'static str),
}

/// Runs the agent with the configured sources until `stop`.
///
/// # Errors
///
/// When the configuration is unusable, or a stage fails.
pub async fn run(config: &AgentConfig, stop: CancellationToken) -> Result<Summary, RunError> {
    let sources = sources(config)?;
    pipeline(config, sources, stop).await
}

/// Opens all enabled sources.
///
/// # Errors
///
/// When the settings of a source are unusable.
pub fn sources(config: &AgentConfig) -> Result<Vec<Box<dyn Source>>, RunError> {
    let host = config.agent.host.as_str();
    let lanes = Lanes::new(config.sources.at_once.get());
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    #[cfg(unix)]
    if config.sources.ipmi.is_available() {
        let local = Ipmi::local(&config.sources.ipmi, host, lanes.clone());
        sources.push(Box::new(local));
    }
    let context = TargetContext {
        #[cfg(unix)]
        ipmitool: config.sources.ipmi.program.clone(),
        lanes,
    };
    let opened = targets::open(&config.targets, &context);
    sources.extend(opened.map_err(|source| RunError::Target { source })?);
    let config = &config.sources;
    #[cfg(target_os = "linux")]
    if config.hwmon.enabled {
        sources.push(Box::new(Hwmon::new(config.hwmon.clone(), host)));
    }
    #[cfg(target_os = "linux")]
    if config.nvidia.is_available() {
        sources.push(Box::new(Nvidia::new(config.nvidia.clone(), host)));
    }
    if config.sysinfo.enabled {
        sources.push(Box::new(Sysinfo::new(config.sysinfo.clone(), host)));
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

/// Runs every stage over `sources` until `stop`.
///
/// # Errors
///
/// When the settings for Redis or the spool are unusable, or a stage fails.
pub async fn pipeline(
    config: &AgentConfig,
    sources: Vec<Box<dyn Source>>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let connector = Connector::new(&config.redis).map_err(|source| RunError::Redis { source })?;
    let inventory = Inventory::new(&config.agent, host::ids(), config.devices.clone());
    let run = new_run();
    let sender = Sender::new(&config.agent, config.publish.safety_cap);
    let endpoint = connector.endpoint();
    info!(agent = sender.agent, run, endpoint, "starting");
    let stop = stop.child_token();

    let mut stages = JoinSet::new();
    let (events, incoming) = mpsc::channel(sampler::EVENT_QUEUE);

    let sampling = Sampler::new(sources).run(stop.clone(), events);
    stages.spawn(async { StageEnd::Sampler(sampling.await) });

    // After the sampler has started, so a disk that hangs does not delay it.
    let (spool, prev) = open_spool(&config.spool).await?;
    let backlog = Backlog::new(&config.publish, inventory, &run, spool, prev);

    let filling = backlog.clone().fill(incoming, stop.clone());
    stages.spawn(async {
        filling.await;
        StageEnd::Backlog
    });

    let published = CancellationToken::new();
    let spilling = backlog.clone().spill(published.clone());
    stages.spawn(async {
        spilling.await;
        StageEnd::Spool
    });

    let publishing = Publisher::new(backlog, connector, sender).run(stop.clone());
    stages.spawn(async move {
        let summary = publishing.await;
        published.cancel();
        StageEnd::Publisher(summary)
    });

    supervise(stages, &stop).await
}

/// Opens the spool if one is configured, and returns the last number of the previous run.
async fn open_spool(config: &SpoolConfig) -> Result<(Option<Spool>, Option<Seq>), RunError> {
    let Some(path) = &config.path else {
        info!("no spool configured, readings are kept in memory only while redis is unavailable");
        return Ok((None, None));
    };
    let bounds = Bounds {
        bytes: config.max_bytes.bytes(),
        age: config.max_age,
    };
    let opened = Spool::open(path.clone(), bounds, config.sync.into()).await;
    // Two agents would send each other's readings.
    let (spool, opened) = opened.map_err(|source| RunError::Spool {
        path: path.clone(),
        source,
    })?;
    Ok(match opened {
        Opened::Now(prev) => (Some(spool), prev),
        // A bad disk must not stop monitoring.
        Opened::Later(error) => {
            let (path, error) = (path.display(), chain(&error));
            error!(%path, error, "cannot open the spool, keeping readings in memory only, will retry");
            (Some(spool), None)
        }
    })
}

/// The end of a stage.
enum StageEnd {
    Sampler(Result<(), SamplerError>),
    Backlog,
    Spool,
    Publisher(Summary),
}

/// Waits for every stage; the first that ends stops the others.
async fn supervise(
    mut stages: JoinSet<StageEnd>,
    stop: &CancellationToken,
) -> Result<Summary, RunError> {
    let mut summary = Summary::default();
    let (mut failure, mut ended_early) = (None, None);
    while let Some(ended) = stages.join_next().await {
        let early = |stage| (!stop.is_cancelled()).then_some(RunError::EndedEarly(stage));
        let (error, early) = match ended {
            Err(source) => (Some(RunError::Panicked { source }), None),
            Ok(StageEnd::Sampler(Err(source))) => (Some(RunError::Sampler { source }), None),
            Ok(StageEnd::Sampler(Ok(()))) => (None, early("sampler")),
            Ok(StageEnd::Backlog) => (None, early("backlog")),
            Ok(StageEnd::Spool) => (None, early("spool")),
            Ok(StageEnd::Publisher(sent)) => {
                summary = sent;
                (None, early("publisher"))
            }
        };
        stop.cancel();
        failure = failure.or(error);
        ended_early = ended_early.or(early);
    }
    // A stage may end because its input ended, before the stage that failed is seen to end.
    match failure.or(ended_early) {
        Some(error) => Err(error),
        None => Ok(summary),
    }
}
