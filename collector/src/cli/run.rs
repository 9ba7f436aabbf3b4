//! `run`: the collector itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::common::{Common, Failure, Outcome, usage};
use super::output::start_logging;
use crate::app::{self, RunError};
use crate::notify::console::Screen;
use crate::progress::Progress;
use crate::stats::Stats;

/// Run the collector: store readings, evaluate rules and send notifications, until Ctrl-C
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector run --redis redis://10.0.0.5:6379")]
pub(super) struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Address of the dashboard, /metrics, /healthz and /readyz [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Longest wait for stdout at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the collector until `stop`.
pub(super) async fn run(args: RunArgs, stop: CancellationToken) -> Outcome {
    let mut config = args.common.load()?;
    if let Some(listen) = args.listen {
        config.web.listen = listen;
    }
    start_logging(&config.log);
    let stats = Arc::new(Stats::new(Progress::new(config.health.stuck_after)));
    let screen = Screen::stdout()?;
    let ended = app::run(config, &screen, stats, stop).await;
    screen.flush(FLUSH_TIMEOUT);
    match ended {
        Ok(()) => Ok(()),
        Err(
            error @ (RunError::Rules(_)
            | RunError::Connect(_)
            | RunError::Web(_)
            | RunError::Notifier(_)),
        ) => Err(usage(error)),
        Err(error) => Err(Failure::Failed(error.into())),
    }
}
