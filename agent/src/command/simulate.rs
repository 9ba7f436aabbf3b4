//! `rackwatch-agent simulate`: publishes simulated racks.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rackwatch_core::wire::EntryFormat;
use rackwatch_core::words::count;
use rackwatch_runtime::shutdown;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::settings::Settings;
use crate::app::{self, RunError};
use crate::config::{AgentConfig, SourcesConfig};
use crate::publisher::Summary;
use crate::sampler::SHORTEST_INTERVAL;
use crate::source::simulated::SimulatedConfig;

const EXAMPLES: &str = "\
Examples:
  rackwatch-agent simulate --for 60s
  rackwatch-agent simulate --racks 4 --sensors 16 --scenario 'cooler-trip@30s/5m'

A scenario is `quiet`, `demo` (an anomaly now and then), or a list of
<fault>[:<target>]@<start>[/<length>[/<period>]]. At the end the devices are removed from
rackwatch:devices; their readings stay in the stream.";

/// Publish simulated racks, to try things out without hardware.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    settings: Settings,
    /// Number of racks to simulate.
    #[arg(long, default_value_t = 2)]
    racks: usize,
    /// Number of sensors in all racks together.
    #[arg(long, default_value_t = 8)]
    sensors: usize,
    /// Time between two reads.
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Seed of all random numbers: the same seed gives the same temperatures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults to simulate, see below.
    #[arg(long, value_name = "SPEC", default_value = "demo")]
    scenario: String,
    /// Duration of the run; by default until stopped.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
    /// Format of stream entries; by default as configured.
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    /// One entry per reading.
    Reading,
    /// One entry for all readings of a tick.
    Frame,
}

impl SimulateArgs {
    pub(super) async fn execute(self) -> Result<ExitCode> {
        let (mut config, _) = self.settings.load()?;
        self.configure(&mut config);
        let stop = shutdown::on_signals()?;
        let sent = publish(&config, self.length, stop).await?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&sent)?)?;
        } else {
            let Summary {
                entries,
                readings,
                dropped,
                unsent,
                spooled: _,
            } = sent;
            writeln!(
                out,
                "sent {} with {}",
                count(entries, "entry"),
                count(readings, "reading")
            )?;
            if dropped + unsent > 0 {
                writeln!(
                    out,
                    "lost {} that Redis did not accept",
                    count(dropped + unsent, "reading")
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn configure(&self, config: &mut AgentConfig) {
        // Simulated readings need not outlive this run, and the folder may be that of a real agent.
        if let Some(path) = config.spool.path.take() {
            let path = path.display();
            warn!(%path, "simulate does not use spool.path, readings wait in memory only");
        }
        config.targets.clear();
        config.sources = SourcesConfig::none();
        config.sources.simulated = SimulatedConfig {
            enabled: true,
            racks: self.racks,
            sensors: self.sensors,
            interval: self.interval,
            seed: self.seed,
            scenario: self.scenario.clone(),
        };
        match self.format {
            Some(FormatArg::Reading) => config.publish.format = EntryFormat::Reading,
            Some(FormatArg::Frame) => config.publish.format = EntryFormat::Frame,
            None => {}
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < SHORTEST_INTERVAL {
        return Err(format!("the shortest interval is {SHORTEST_INTERVAL:?}"));
    }
    Ok(interval)
}

async fn publish(
    config: &AgentConfig,
    length: Option<Duration>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let sources = app::sources(config)?;
    let publishing = app::pipeline(config, sources, stop.clone());
    tokio::pin!(publishing);
    let time_is_up = async {
        match length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        sent = &mut publishing => sent,
        () = time_is_up => {
            stop.cancel();
            publishing.await
        }
    }
}
