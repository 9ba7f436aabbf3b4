//! The command line. One file a subcommand.
//!
//! In: arguments. Out: results on stdout, logs and errors on stderr, and an exit code: 0 done,
//! 1 failed, 2 wrong usage or configuration.

mod check;
mod failure;
mod run;
mod sensors;
mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use rackwatch_runtime::logging;

use crate::config::{self, AgentConfig};

/// Reads a rack host's temperatures and publishes them to a Redis Stream.
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

/// Where the settings come from.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration file; without it `/etc/rackwatch/agent.toml` where that is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where Redis is; else `RACKWATCH_REDIS_URL`, the configuration, or `redis://127.0.0.1:6379`.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

impl Settings {
    /// Reads the settings and starts logging; also says which file they came from.
    fn load(&self) -> Result<(AgentConfig, Option<PathBuf>)> {
        let loaded = config::load(self.config.as_deref(), self.redis.as_deref())?;
        logging::init(&loaded.config.log)?;
        Ok((loaded.config, loaded.from))
    }
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into()),
    };
    let result = runtime.block_on(cli.command.execute());
    // A thread that is stuck in a sensor's driver must not keep the program from ending.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
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
