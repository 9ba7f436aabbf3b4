//! `demo`: simulated racks through the whole pipeline, in one process.
//!
//! Without `--redis`, queues connect the agent's sampler to the collector's stages. With it, both programs run as in
//! production, connected by Redis. Prints alerts as they occur, a live status line on a terminal, and a summary at the
//! end.

mod args;
mod in_memory;
mod screen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rackwatch_agent::app as agent;
use rackwatch_agent::config::AgentConfig;
use rackwatch_runtime::config::{LogConfig, RedisConfig, RedisUrl};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use self::args::DemoArgs;
use super::common::{Failure, Outcome, usage};
use super::output::start_logging;
use crate::app::{self, RunError};
use crate::config::CollectorConfig;
use crate::notify::console::Screen;
use crate::stats::Stats;
use crate::web::{self, Web, WebError};

/// Number of ports to try from the requested one on.
const PORTS_TRIED: u16 = 20;
/// Longest wait for stdout at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs until `stop`, or for the requested duration.
pub(super) async fn run(args: DemoArgs, stop: CancellationToken) -> Outcome {
    start_logging(&LogConfig {
        filter: "warn".to_owned(),
        ..LogConfig::default()
    });
    let screen = Screen::stdout()?;
    let stats = Arc::new(Stats::default());
    let listener = listen(args.listen).await.map_err(usage)?;
    let address = listener.local_addr()?;

    let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
    let web = match &args.redis {
        None => in_memory::start(&args, address, &screen, &stats, &stop, &mut stages)?,
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
    let started = Instant::now();
    let finished = app::finish(stages, &stop).await;
    screen.set_live_line(None);
    screen::summary(&screen, &args, &stats, started.elapsed());
    screen.flush(FLUSH_TIMEOUT);
    finished.map_err(|error| Failure::Failed(error.into()))
}

/// Binds the requested port, or the next free one.
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

/// Starts both programs as in production, connected by Redis.
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
        ..args.agent_config()
    };
    let sources = agent::sources(&agent_config).map_err(usage)?;
    let config = CollectorConfig {
        redis,
        web: args.web_config(address),
        ..CollectorConfig::default()
    };
    let view = app::dashboard(&config, stats, stop).map_err(usage)?;
    stages.spawn(async move {
        view.follow.await;
        Ok(())
    });
    let agent_stop = stop.clone();
    stages.spawn(async move {
        agent::pipeline(&agent_config, sources, agent_stop)
            .await
            .map(drop)
            .map_err(|error| RunError::Sampling(Box::new(error)))
    });
    let pipeline = app::pipeline(config, screen, Arc::clone(stats), stop.clone());
    stages.spawn(pipeline.map_err(usage)?);
    Ok(view.web)
}
