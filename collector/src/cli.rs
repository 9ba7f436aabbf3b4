//! The command line: one file a subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Results go to stdout, logs to
//! stderr.

mod bars;
pub mod access;
pub mod ack;
pub mod alerts;
pub mod check;
pub mod demo;
pub mod devices;
pub mod drill;
pub mod history;
pub mod incidents;
pub mod indices;
pub mod layout;
pub mod maintenance;
pub mod notify;
pub mod replay;
pub mod rules;
mod rules_file;
pub mod run;
mod server;
pub mod silence;
pub mod site;
pub mod status;
mod table;
mod when;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rackwatch_runtime::config::{LogConfig, RedisUrl};
use rackwatch_runtime::{logging, shutdown};
use tokio_util::sync::CancellationToken;

use crate::config::{BadConfig, CollectorConfig};
use crate::notify::line::Style;

/// Watches the temperatures of data-centre racks: reads what agents publish, finds what is wrong,
/// and says so once.
#[derive(Debug, Parser)]
#[command(name = "rackwatch-collector", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Alerts(alerts::AlertsArgs),
    Incidents(incidents::IncidentsArgs),
    Ack(ack::AckArgs),
    Silence(silence::SilenceArgs),
    Maintenance(maintenance::MaintenanceArgs),
    Access(access::AccessArgs),
    Notify(notify::NotifyArgs),
    Status(status::StatusArgs),
    History(history::HistoryArgs),
    Indices(indices::IndicesArgs),
    Devices(devices::DevicesArgs),
    Site(site::SiteArgs),
    Layout(layout::LayoutArgs),
    Rules(rules::RulesArgs),
    Replay(replay::ReplayArgs),
    Drill(drill::DrillArgs),
}

const REDIS_HELP: &str = "Address of Redis, as redis://host:6379, rediss://host or \
    redis+unix:///path; else RACKWATCH_REDIS_URL, the configuration, redis://127.0.0.1:6379. \
    Passwords belong into the configuration";

/// What every command that talks to Redis takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file [default: /etc/rackwatch/collector.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "RACKWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address of Redis; the environment's `RACKWATCH_REDIS_URL` and the file come after it
    #[arg(long, value_name = "URL", help = REDIS_HELP)]
    pub redis: Option<RedisUrl>,
}

impl Common {
    /// The configuration that holds.
    pub fn load(&self) -> Result<CollectorConfig, BadConfig> {
        CollectorConfig::load(self.config.as_deref(), self.redis.as_ref())
    }
}

/// How a command ended.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(anyhow::Error),
    /// It could not be done: exit code 1.
    Failed(anyhow::Error),
    /// It was done, and found something wrong that it has already printed: exit code 1.
    Wrong,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// The error of Redis behind it, where it is one.
    pub fn redis(&self) -> Option<&redis::RedisError> {
        match self {
            Self::Usage(error) | Self::Failed(error) => error.downcast_ref(),
            Self::Wrong => None,
        }
    }
}

/// The end of a command.
pub type Outcome = Result<(), Failure>;

/// Marks an error as one of usage or configuration.
pub fn usage<E: Into<anyhow::Error>>(error: E) -> Failure {
    Failure::Usage(error.into())
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        let outcome = self.dispatch();
        let error = match &outcome {
            Ok(()) => return ExitCode::SUCCESS,
            Err(Failure::Wrong) => return ExitCode::from(1),
            Err(Failure::Usage(error) | Failure::Failed(error)) => error,
        };
        // stderr may be gone; there is no one else to tell.
        let _told = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::from(if matches!(outcome, Err(Failure::Usage(_))) {
            2
        } else {
            1
        })
    }

    fn dispatch(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(async {
            let stop = shutdown::on_signals()?;
            match self.command {
                Command::Run(args) => run::run(args, stop).await,
                Command::Demo(args) => demo::run(args, stop).await,
                Command::Check(args) => stoppable(check::run(args), stop).await,
                Command::Alerts(args) => alerts::run(args, stop).await,
                Command::Incidents(args) => stoppable(incidents::run(args), stop).await,
                Command::Ack(args) => stoppable(ack::run(args), stop).await,
                Command::Silence(args) => stoppable(silence::run(args), stop).await,
                Command::Maintenance(args) => stoppable(maintenance::run(args), stop).await,
                Command::Access(args) => access::run(args),
                Command::Notify(args) => stoppable(notify::run(args), stop).await,
                Command::Status(args) => stoppable(status::run(args), stop).await,
                Command::History(args) => stoppable(history::run(args), stop).await,
                Command::Indices(args) => stoppable(indices::run(args), stop).await,
                Command::Devices(args) => stoppable(devices::run(args), stop).await,
                Command::Site(args) => stoppable(site::run(args), stop).await,
                Command::Layout(args) => layout::run(args, stop).await,
                Command::Rules(args) => rules::run(&args),
                Command::Replay(args) => replay::run(args, stop).await,
                Command::Drill(args) => drill::run(args, stop).await,
            }
        });
        // A read that hangs in the kernel must not keep the program from ending.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }
}

/// Commands that only look, or change one thing at once, may simply be dropped.
async fn stoppable(command: impl Future<Output = Outcome>, stop: CancellationToken) -> Outcome {
    stop.run_until_cancelled(command)
        .await
        .unwrap_or(Err(Failure::Wrong))
}

/// Starts logging. Where it fails the command goes on without.
pub fn start_logging(config: &LogConfig) {
    if let Err(error) = logging::init(config) {
        let _told = writeln!(io::stderr(), "warning: no log: {error}");
    }
}

/// Who types this, for others to know.
fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
    let user = user.unwrap_or_else(|_| "somebody".to_owned());
    match rackwatch_runtime::host::host_name() {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}

/// How lines are written to stdout: in colour on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
fn style() -> Style {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style {
        colour: io::stdout().is_terminal() && !is_set,
        ..Style::plain()
    }
}

/// Writes a line to stderr, for what is not the result. It may be closed.
pub fn remark(text: &str) {
    let _told = writeln!(io::stderr(), "{text}");
}

/// Writes to stdout. That it is closed (a pipe into `head`) is no failure of the command.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _told = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
