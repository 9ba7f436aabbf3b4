//! The command line. One file for each subcommand.
//!
//! In: arguments. Out: results on stdout, logs and errors on stderr, and an exit code: 0 success,
//! 1 failure, 2 wrong usage or configuration.

mod check;
mod failure;
mod run;
mod sensors;
mod settings;
mod simulate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rackwatch_runtime::logging;

/// Reads the temperatures of a rack host and publishes them to a Redis stream.
#[derive(Debug, Parser)]
#[command(
    name = "rackwatch-agent",
    version,
    after_help = "Example:\n  rackwatch-agent run --redis redis://collector:6379"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Sensors(sensors::SensorsArgs),
    Simulate(simulate::SimulateArgs),
    Check(check::CheckArgs),
}

/// Runs the program with the arguments of this process, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into()),
    };
    let result = runtime.block_on(cli.command.execute());
    // A thread that is stuck in a sensor's driver must not delay the exit.
    runtime.shutdown_background();
    let code = match result {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    };
    logging::flush();
    code
}

impl Command {
    async fn execute(self) -> Result<ExitCode> {
        match self {
            Self::Run(args) => args.execute().await,
            Self::Sensors(args) => args.execute().await,
            Self::Simulate(args) => args.execute().await,
            Self::Check(args) => args.execute().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands().filter(|c| c.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.unwrap_or_default().contains("Example"),
                "{}",
                command.get_name()
            );
        }
    }
}
