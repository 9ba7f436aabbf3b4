//! The command line, with one file for each subcommand.
//!
//! Exit codes: 0 for success, 1 for failure, 2 for wrong usage or configuration, 3 of `status` for something critical
//! in the room.

mod common;
mod explain;
mod output;
mod server;
mod time_arg;
mod table;
mod bars;
mod matcher;
mod unattended;

mod access;
mod ack;
mod alerts;
mod check;
mod demo;
mod devices;
mod drill;
mod history;
mod incidents;
mod indices;
mod maintenance;
mod notify;
mod partitions;
mod replay;
mod resolve;
mod rules;
mod run;
mod silence;
mod site;
mod status;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rackwatch_runtime::logging;
use rackwatch_runtime::shutdown;

use common::{Failure, Outcome, until_stopped};
use explain::explain;
use output::remark;

/// Time that reads which hang in the kernel get before the program ends without them.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Detect temperature anomalies in data-centre racks
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
    Partitions(partitions::PartitionsArgs),
    Rules(rules::RulesArgs),
    Replay(replay::ReplayArgs),
    Drill(drill::DrillArgs),
}

impl Cli {
    /// Runs the command and returns the exit code of the program.
    pub fn run(self) -> ExitCode {
        let (error, code) = match self.dispatch() {
            Ok(()) => (None, 0),
            Err(Failure::Reported) => (None, 1),
            Err(Failure::CriticalOpen) => (None, 3),
            Err(Failure::Failed(error)) => (Some(error), 1),
            Err(Failure::Usage(error)) => (Some(error), 2),
        };
        if let Some(error) = error {
            remark(&format!("error: {}", explain(&error)));
        }
        logging::flush();
        ExitCode::from(code)
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
                Command::Check(args) => until_stopped(check::run(args), stop).await,
                Command::Alerts(args) => alerts::run(args, stop).await,
                Command::Incidents(args) => until_stopped(incidents::run(args), stop).await,
                Command::Ack(args) => until_stopped(ack::run(args), stop).await,
                Command::Silence(args) => until_stopped(silence::run(args), stop).await,
                Command::Maintenance(args) => until_stopped(maintenance::run(args), stop).await,
                Command::Access(args) => access::run(args),
                Command::Notify(args) => until_stopped(notify::run(args), stop).await,
                Command::Status(args) => until_stopped(status::run(args), stop).await,
                Command::History(args) => until_stopped(history::run(args), stop).await,
                Command::Indices(args) => until_stopped(indices::run(args), stop).await,
                Command::Devices(args) => until_stopped(devices::run(args), stop).await,
                Command::Site(args) => until_stopped(site::run(args), stop).await,
                Command::Partitions(args) => partitions::run(args, stop).await,
                Command::Rules(args) => {
                    rules::run(&args);
                    Ok(())
                }
                Command::Replay(args) => replay::run(args, stop).await,
                Command::Drill(args) => drill::run(args, stop).await,
            }
        });
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        outcome
    }
}
