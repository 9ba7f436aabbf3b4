//! The wiring: every stage of the agent, in the order in which a reading passes them.
//!
//! In: settings and a token that says stop. Out: what was done. On the stop the sampler ends first,
//! then the backlog closes, then the publisher sends what is left, within five seconds in all. A
//! stage that ends early or panics is a stop too, and an error.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rackwatch_core::wire::Seq;
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::{ConnectError, Connector};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backlog::Backlog;
use crate::config::{AgentConfig, SpoolConfig, TargetKind, host_name};
use crate::inventory::Inventory;
use crate::publisher::{Departure, Publisher, Sender, Summary, new_run};
use crate::sampler::{self, Sampler, SamplerError};
#[cfg(target_os = "linux")]
use crate::source::hwmon::Hwmon;
#[cfg(unix)]
use crate::source::ipmi::Ipmi;
#[cfg(target_os = "linux")]
use crate::source::nvidia::Nvidia;
use crate::source::redfish::{ClientError, Redfish};
use crate::source::simulated::Simulated;
use crate::source::snmp::{Secrets, Snmp, SnmpError};
use crate::source::sysinfo::Sysinfo;
use crate::source::{Lanes, Source};
use crate::spool::segment_log::Bounds;
use crate::spool::{Spool, SpoolError};

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
    /// A target's password cannot be read.
    #[error("cannot read a secret of target {target:?} in {}", path.display())]
    Secret {
        /// Which target.
        target: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A target's settings are wrong.
    #[error("cannot use [[targets]]")]
    Redfish {
        /// Why.
        source: ClientError,
    },
    /// The same.
    #[error("cannot use [[targets]]")]
    Snmp {
        /// Why.
        source: SnmpError,
    },
    /// There is no such tool.
    #[cfg(not(unix))]
    #[error("target {0:?}: IPMI is not read on this system, Redfish is")]
    NoIpmi(String),
    /// Their devices would be taken for each other's.
    #[error("two targets are called {0:?}: give each a name of its own")]
    SameName(String),
    /// Another agent uses the spool.
    #[error("cannot use spool.path {}", path.display())]
    Spool {
        /// The folder.
        path: PathBuf,
        /// The spool's error.
        source: SpoolError,
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
    let sources = sources(config)?;
    pipeline(config, sources, Departure::Leave, stop).await
}

/// The sources that are switched on.
pub fn sources(config: &AgentConfig) -> Result<Vec<Box<dyn Source>>, RunError> {
    let host = host_name();
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    targets(config, &host, &mut sources)?;
    let config = &config.sources;
    #[cfg(target_os = "linux")]
    if config.hwmon.enabled {
        sources.push(Box::new(Hwmon::new(config.hwmon.clone(), &host)));
    }
    #[cfg(target_os = "linux")]
    if config.nvidia.is_here() {
        sources.push(Box::new(Nvidia::new(config.nvidia.clone(), &host)));
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

/// This host's BMC, and those over the network.
fn targets(
    config: &AgentConfig,
    host: &str,
    sources: &mut Vec<Box<dyn Source>>,
) -> Result<(), RunError> {
    let lanes = Lanes::new(config.sources.at_once.get());
    #[cfg(unix)]
    if config.sources.ipmi.is_here() {
        let local = Ipmi::local(&config.sources.ipmi, host, lanes.clone());
        sources.push(Box::new(local));
    }
    let mut names = HashSet::new();
    for target in &config.targets {
        let name = target.name.as_str();
        if !names.insert(name) {
            return Err(RunError::SameName(name.to_owned()));
        }
        let secret = |file: &Option<PathBuf>| file.as_deref().map(|path| secret(name, path));
        let password = secret(&target.password_file).transpose()?;
        match target.kind {
            #[cfg(unix)]
            TargetKind::Ipmi => {
                let program = &config.sources.ipmi.program;
                let ipmi = Ipmi::remote(target, password, program, lanes.clone());
                sources.push(Box::new(ipmi));
            }
            #[cfg(not(unix))]
            TargetKind::Ipmi => return Err(RunError::NoIpmi(name.to_owned())),
            TargetKind::Snmp => {
                let secrets = Secrets {
                    community: secret(&target.community_file).transpose()?,
                    password,
                    privacy: secret(&target.privacy_file).transpose()?,
                };
                let snmp = Snmp::new(target, secrets, lanes.clone())
                    .map_err(|source| RunError::Snmp { source })?;
                sources.push(Box::new(snmp));
            }
            TargetKind::Redfish => {
                let redfish = Redfish::new(target, password, lanes.clone())
                    .map_err(|source| RunError::Redfish { source })?;
                sources.push(Box::new(redfish));
            }
        }
    }
    Ok(())
}

/// The first line of a target's file.
fn secret(target: &str, path: &Path) -> Result<Secret, RunError> {
    let text = std::fs::read_to_string(path).map_err(|source| RunError::Secret {
        target: target.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Secret::from(line.to_owned()))
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
    let (observed, incoming) = mpsc::channel(sampler::CHANNEL_DEPTH);

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
        // Two agents would send each other's readings.
        Err(source @ SpoolError::InUse) => Err(RunError::Spool {
            path: path.clone(),
            source,
        }),
        // A bad disk must not stop monitoring.
        Err(error) => {
            let (path, error) = (path.display(), chain(&error));
            error!(%path, error, "cannot use the spool, readings are kept in memory only");
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
