//! `demo`: simulated racks through the whole pipeline, in one process.
//!
//! Without `--redis` the agent's sampler and the collector's stages are joined through memory; with
//! it they are the two programs' own wirings, joined by Redis. Alerts are printed as they come,
//! below them a live line on a terminal, and a summary at the end.

mod screen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use rackwatch_agent::app as agent;
use rackwatch_agent::config::{AgentConfig, SourcesConfig};
use rackwatch_agent::publisher::Departure;
use rackwatch_agent::sampler::{CHANNEL_DEPTH, Sampler, SamplerEvent};
use rackwatch_agent::source::simulated::SimulatedConfig;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::partition::PartitionId;
use rackwatch_core::rules::{Profile, RuleSet};
use rackwatch_runtime::config::{LogConfig, RedisConfig, RedisUrl};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Failure, Outcome, start_logging, usage};
use crate::app::{self, RunError};
use crate::config::{AlertsConfig, CollectorConfig, PartitionConfig, WebConfig};
use crate::feed::memory::MemoryFeed;
use crate::incidents::correlate::memory;
use crate::ingest::partition::Partition;
use crate::ingest::raw_stream::memory::{MemoryLog, Sent};
use crate::ingest::recorder::Recorder;
use crate::notify::console::{Console, Screen};
use crate::notify::{self, Teller};
use crate::series::{InMemory, SeriesConfig};
use crate::stats::Stats;
use crate::web::backend::memory::MemoryBackend;
use crate::web::read_model::Change;
use crate::web::read_model::SharedReadModel;
use crate::web::{self, Web, WebError};

/// Watch simulated racks, with nothing else installed
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  rackwatch-collector demo --for 60s\n  \
    rackwatch-collector demo --redis redis://127.0.0.1:6379")]
pub struct DemoArgs {
    /// Go through this Redis instead of memory
    #[arg(long, value_name = "URL")]
    redis: Option<RedisUrl>,
    /// Stop after this long, as 40s or 5m [default: at Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
    /// Where the dashboard is; a taken port gives way to the next free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Let everybody who can reach that address look and act, where others can
    #[arg(long)]
    allow_unauthenticated: bool,
    /// Number of racks
    #[arg(long, default_value_t = 2)]
    racks: usize,
    /// Number of sensors in all racks together
    #[arg(long, default_value_t = 8)]
    sensors: usize,
    /// Decides all that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What goes wrong: demo, quiet, or a list such as cooler-trip:R1@30s/5m
    #[arg(long, value_name = "SPEC", default_value = "demo")]
    scenario: String,
}

/// Ports tried after the one that is taken.
const PORTS_TRIED: u16 = 20;
/// Alerts that may wait to be printed. When there are more the partition waits: nothing is lost.
const ALERTS_WAITING: usize = 256;

/// Runs until `stop`, or for as long as it was asked to.
pub async fn run(args: DemoArgs, stop: CancellationToken) -> Outcome {
    start_logging(&LogConfig {
        filter: "warn".to_owned(),
        ..LogConfig::default()
    });
    let screen = Screen::stdout();
    let stats = Arc::new(Stats::default());
    let listener = listen(args.listen).await.map_err(usage)?;
    let address = listener.local_addr()?;

    let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
    let web = match &args.redis {
        None => in_memory(&args, address, &screen, &stats, &stop, &mut stages)?,
        Some(url) => through_redis(&args, url, address, &screen, &stats, &stop, &mut stages)?,
    };
    screen::banner(&screen, &args, address);
    stages.spawn({
        let served = web::serve(listener, None, web, stop.clone());
        async move {
            served.await;
            Ok(())
        }
    });
    stages.spawn({
        let (screen, stats, stop) = (screen.clone(), Arc::clone(&stats), stop.clone());
        async move {
            screen::live(&screen, &stats, &stop).await;
            Ok(())
        }
    });
    if let Some(length) = args.length {
        let stop = stop.clone();
        stages.spawn(async move {
            stop.run_until_cancelled(tokio::time::sleep(length)).await;
            Ok(())
        });
    }
    let began = Instant::now();
    let ended = app::finish(stages, &stop).await;
    screen.live(None);
    screen::summary(&screen, &args, &stats, began.elapsed());
    ended.map_err(|error| Failure::Failed(error.into()))
}

async fn listen(wanted: SocketAddr) -> Result<TcpListener, WebError> {
    let mut address = wanted;
    for _ in 0..PORTS_TRIED {
        if let Ok(listener) = web::bind(address).await {
            return Ok(listener);
        }
        address.set_port(address.port().saturating_add(1));
    }
    web::bind(wanted).await
}

fn simulated(args: &DemoArgs) -> AgentConfig {
    let simulated = SimulatedConfig {
        enabled: true,
        racks: args.racks,
        sensors: args.sensors,
        seed: args.seed,
        scenario: args.scenario.clone(),
        ..SimulatedConfig::default()
    };
    AgentConfig {
        sources: SourcesConfig {
            simulated,
            ..SourcesConfig::none()
        },
        ..AgentConfig::default()
    }
}

/// The web side of the demo: everybody on this machine, and nobody else unless that was said.
fn web_config(args: &DemoArgs, address: SocketAddr) -> WebConfig {
    WebConfig {
        listen: address,
        allow_unauthenticated: args.allow_unauthenticated,
        ..WebConfig::default()
    }
}

/// sampler → partition → console and page, by channels.
fn in_memory(
    args: &DemoArgs,
    address: SocketAddr,
    screen: &Screen,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
    stages: &mut JoinSet<Result<(), RunError>>,
) -> Result<Web, Failure> {
    let sources = agent::sources(&simulated(args)).map_err(usage)?;
    let rules = Arc::new(RuleSet::with_defaults(&[])?);
    let mut tellers = app::tellers(&AlertsConfig::default(), screen)?;
    let (forward, forwarded) = memory::forward();
    tellers.add(Box::new(forward));
    let model = Arc::new(SharedReadModel::new(
        Arc::clone(&rules),
        Profile::default().envelope(),
    ));
    model.set_ready(true);
    tellers.add(Box::new(Shown(Arc::clone(&model))));
    let series = InMemory::new(&SeriesConfig::default());
    let (act, acts) = mpsc::unbounded_channel();
    let backend = MemoryBackend::new(series.clone(), Arc::clone(&model), Arc::clone(stats), act);
    let web = Web::new(
        &web_config(args, address),
        Arc::clone(stats),
        Arc::clone(&model),
        Box::new(backend),
        true,
    )
    .map_err(usage)?;
    let console = Console::new(screen.clone());
    let (observe, mut observed) = mpsc::channel(CHANNEL_DEPTH);
    let (send, sent) = mpsc::channel(CHANNEL_DEPTH);
    let (alert, alerts) = mpsc::channel(ALERTS_WAITING);

    let sampling = Sampler::new(sources).run(stop.clone(), observe);
    stages.spawn(async move {
        sampling
            .await
            .map_err(|error| RunError::Sampling(Box::new(error)))
    });
    let shown = Arc::clone(&model);
    stages.spawn(async move {
        while let Some(observed) = observed.recv().await {
            shown.apply(changes(&observed));
            // The partition is gone when it is told to stop; so is this.
            if send.send(as_sent(observed)).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    let log = MemoryLog::new(sent, alert, stop.clone());
    let recorder = Recorder::memory(series, stop.clone());
    let partition = Partition::new(
        PartitionId::PLAIN,
        log,
        recorder,
        rules,
        Arc::clone(stats),
        PartitionConfig::default().save_every,
        stop.clone(),
    );
    stages.spawn(async move { Ok(partition.run().await?) });
    let feed = MemoryFeed::new(alerts);
    stages.spawn(async move { notify::run(feed, tellers).await.map_err(RunError::Alerts) });
    stages.spawn(async move {
        let told = |record: &IncidentRecord| {
            console.incident(record);
            model.apply([Change::Incident(Box::new(record.clone()))]);
        };
        memory::run(forwarded, acts, told).await;
        Ok(())
    });
    Ok(web)
}

/// Tells the view of alerts.
struct Shown(Arc<SharedReadModel>);

impl Teller for Shown {
    fn tell(&mut self, record: &AlertRecord) {
        self.0.apply([Change::Alert(Box::new(record.clone()))]);
    }

    fn flush(&mut self) {}
}

/// What the view learns of what a sampler says.
fn changes(observed: &SamplerEvent) -> Vec<Change> {
    match observed {
        SamplerEvent::Discovered(found) => {
            let found = found.iter().cloned();
            let described = found
                .map(|found| Change::Described(found.device, Some(Box::new(found.description))));
            described.collect()
        }
        SamplerEvent::Sample(sample) => sample
            .readings
            .iter()
            .cloned()
            .map(Change::Reading)
            .collect(),
    }
}

fn as_sent(observed: SamplerEvent) -> Sent {
    match observed {
        SamplerEvent::Discovered(found) => Sent::Devices(
            found
                .into_iter()
                .map(|f| (f.device, f.description))
                .collect(),
        ),
        SamplerEvent::Sample(sample) => Sent::Sample(sample),
    }
}

/// Both programs' own wirings, by Redis.
fn through_redis(
    args: &DemoArgs,
    url: &RedisUrl,
    address: SocketAddr,
    screen: &Screen,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
    stages: &mut JoinSet<Result<(), RunError>>,
) -> Result<Web, Failure> {
    let redis = RedisConfig {
        url: url.clone(),
        ..RedisConfig::default()
    };
    let agent_config = AgentConfig {
        redis: redis.clone(),
        ..simulated(args)
    };
    let sources = agent::sources(&agent_config).map_err(usage)?;
    let config = CollectorConfig {
        redis,
        web: web_config(args, address),
        ..CollectorConfig::default()
    };
    let shown = app::shown(&config, stats, stop).map_err(usage)?;
    stages.spawn(async move {
        shown.follow.await;
        Ok(())
    });
    let agent_stop = stop.clone();
    stages.spawn(async move {
        agent::pipeline(&agent_config, sources, Departure::Remove, agent_stop)
            .await
            .map(drop)
            .map_err(|error| RunError::Sampling(Box::new(error)))
    });
    let pipeline = app::pipeline(config, screen, Arc::clone(stats), stop.clone());
    stages.spawn(pipeline.map_err(usage)?);
    Ok(shown.web)
}
