//! `rackwatch-agent check`: tests whether the agent can run here.

mod spool;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::probe::{Step, StepResult, probe};
use rackwatch_runtime::redis::{ConnectError, Connector, Purpose};
use serde_json::json;

use super::failure;
use super::settings::Settings;
use crate::app;
use crate::sampler::SamplerError;

/// Check the configuration, the access to Redis with temporary keys, and the spool.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-agent check --redis redis://collector:6379")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    settings: Settings,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) async fn execute(self) -> Result<ExitCode> {
        let (mut config, from) = self.settings.load()?;
        config.spool.use_state_directory();
        let sources = app::sources(&config)?;
        if sources.is_empty() {
            return Err(SamplerError::NoSource.into());
        }
        let sources: Vec<_> = sources.iter().map(|source| source.kind()).collect();
        let connector = Connector::new(&config.redis)?;
        let mut steps = check(&connector).await;
        steps.push(spool::check(config.spool.path.as_deref()).await);
        let config = from.map_or("built-in defaults".to_owned(), |file| {
            file.display().to_string()
        });
        let endpoint = connector.endpoint();
        let mut out = io::stdout().lock();
        if self.json {
            let all =
                json!({ "config": config, "sources": sources, "redis": endpoint, "steps": steps });
            writeln!(out, "{all}")?;
        } else {
            writeln!(out, "{:<10} ok       {config}", "config")?;
            writeln!(out, "{:<10} ok       {}", "sources", sources.join(", "))?;
            for step in &steps {
                print(&mut out, step, &endpoint)?;
            }
        }
        let failed = steps.iter().any(Step::failed);
        Ok(if failed {
            ExitCode::from(failure::FAILED)
        } else {
            ExitCode::SUCCESS
        })
    }
}

async fn check(connector: &Connector) -> Vec<Step> {
    let started = Instant::now();
    let opened = connector.open(Purpose::Commands).await;
    let took = started.elapsed();
    match opened {
        Ok(mut connection) => {
            let mut steps = vec![connect_step(StepResult::Ok, took)];
            steps.extend(probe(&mut connection).await);
            steps
        }
        Err(error) => vec![connect_step(refused(&error), took)],
    }
}

fn connect_step(result: StepResult, took: Duration) -> Step {
    Step {
        name: "connect",
        result,
        took,
    }
}

fn refused(error: &ConnectError) -> StepResult {
    StepResult::Failed {
        detail: chain(error),
        advice: "then run this check again",
    }
}

fn print(out: &mut impl Write, step: &Step, endpoint: &str) -> io::Result<()> {
    let name = step.name;
    match &step.result {
        StepResult::Ok => {
            let took = step.took.as_secs_f64() * 1_000.0;
            let detail = match name {
                "connect" => format!("{endpoint}, {took:.1} ms"),
                _ => format!("{took:.1} ms"),
            };
            writeln!(out, "{name:<10} ok       {detail}")
        }
        StepResult::Skipped { detail } => writeln!(out, "{name:<10} skipped  {detail}"),
        StepResult::Failed { detail, advice } => {
            writeln!(out, "{name:<10} FAILED   {detail}")?;
            writeln!(out, "{:<10}          -> {advice}", "")
        }
    }
}
