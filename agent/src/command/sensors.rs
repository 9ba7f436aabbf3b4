//! `rackwatch-agent sensors`: lists and reads all sensors, without Redis.

mod row;
mod snippet;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use futures_util::future::join_all;
use rackwatch_core::quality;
use rackwatch_core::reading::Fault;
use rackwatch_runtime::{host, shutdown};

use self::row::SensorRow;
use super::settings::Settings;
use crate::app;
use crate::inventory::Inventory;
use crate::sampler::SamplerError;
use crate::source::{DiscoveredDevice, Source};
use rackwatch_runtime::clock;

/// Time between two reads with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// List all sensors with their roles, readings and limits, and the time that a read takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-agent sensors\n  rackwatch-agent sensors --json --watch\n  \
    rackwatch-agent sensors --config-snippet > agent.toml"
)]
pub(super) struct SensorsArgs {
    #[command(flatten)]
    settings: Settings,
    /// Repeat every two seconds until stopped.
    #[arg(long)]
    watch: bool,
    /// Print JSON, one array per repetition.
    #[arg(long)]
    json: bool,
    /// Print a configuration to start from.
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    config_snippet: bool,
}

impl SensorsArgs {
    pub(super) async fn execute(self) -> Result<ExitCode> {
        let (config, _) = self.settings.load()?;
        let mut sources = app::sources(&config)?;
        if sources.is_empty() {
            return Err(SamplerError::NoSource.into());
        }
        let inventory = Inventory::new(&config.agent, host::ids(), config.devices.clone());
        let stop = shutdown::on_signals()?;
        loop {
            let read = stop.run_until_cancelled(read_all(&mut sources, &inventory));
            let Some(rows) = read.await else { break };
            if self.config_snippet {
                let text = snippet::snippet(&config.agent.name, &rows);
                io::stdout().lock().write_all(text.as_bytes())?;
                break;
            }
            print(&mut io::stdout().lock(), &rows, self.json)?;
            let wait = stop.run_until_cancelled(tokio::time::sleep(WATCH_EVERY));
            if !self.watch || wait.await.is_none() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads all sources concurrently: one that hangs delays the list by its deadline at most.
async fn read_all(sources: &mut [Box<dyn Source>], inventory: &Inventory) -> Vec<SensorRow> {
    let each = sources
        .iter_mut()
        .map(|source| read_one(source.as_mut(), inventory));
    join_all(each).await.into_iter().flatten().collect()
}

async fn read_one(source: &mut dyn Source, inventory: &Inventory) -> Vec<SensorRow> {
    let devices = source.discover().await;
    let started = Instant::now();
    let read = tokio::time::timeout(source.deadline(), source.read(clock::now())).await;
    let took = started.elapsed();
    let row = |DiscoveredDevice {
                   device,
                   description,
               }| {
        let value = match &read {
            Ok(outcomes) => outcomes
                .iter()
                .find(|(id, _)| *id == device)
                .map_or(Err(Fault::NO_READING), |(_, value)| value.clone()),
            Err(_) => Err(Fault::TIMEOUT),
        };
        let value =
            value.and_then(|value| quality::check(description.role, description.range, value));
        SensorRow {
            description: inventory.complete(&device, description),
            off: !inventory.is_on(&device),
            device,
            value,
            took,
        }
    };
    devices.into_iter().map(row).collect()
}

fn print(out: &mut impl Write, rows: &[SensorRow], json: bool) -> Result<()> {
    if json {
        let rows: Vec<_> = rows.iter().map(SensorRow::json).collect();
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
    } else if rows.is_empty() {
        writeln!(out, "no sensors found")?;
    } else {
        table(out, rows)?;
    }
    Ok(())
}

const HEAD: [&str; 7] = [
    "DEVICE",
    "SOURCE",
    "ROLE",
    "VALUE",
    "LIMITS",
    "BMC VERDICT",
    "READ TIME",
];

fn table(out: &mut impl Write, rows: &[SensorRow]) -> io::Result<()> {
    let cells: Vec<[String; 7]> = rows.iter().map(SensorRow::cells).collect();
    let mut widths = HEAD.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(HEAD.map(str::to_owned)).chain(cells) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Values and times are aligned to the right, as numbers are.
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = match column {
                3 | 6 => (padding.as_str(), ""),
                _ => ("", padding.as_str()),
            };
            line = line + before + cell + after + "  ";
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rackwatch_core::device::{Description, DeviceId};
    use rackwatch_core::units::Celsius;

    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |name: &str, value| SensorRow {
            device: DeviceId::new(name).unwrap(),
            description: Description::default(),
            off: false,
            value,
            took: Duration::from_millis(2),
        };
        let rows = [
            row("cpu-a-1", Ok(Celsius::new(41.0).unwrap())),
            row("cpu-long-name-2", Err(Fault::TIMEOUT)),
        ];
        let mut out = Vec::new();
        table(&mut out, &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        let ends: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
        assert!(
            text.contains("41.0 °C") && text.contains("!timeout"),
            "{text}"
        );
    }
}
