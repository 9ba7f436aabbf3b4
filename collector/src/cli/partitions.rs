//! `partitions`: the partitions of the raw stream, their owners, and resizing.

use std::fmt::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::Partitioning;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::common::{Common, Outcome, until_stopped};
use super::output::{json_text, print};
use super::server;
use super::table::Table;
use crate::ownership::repartition::{self, MovedCounts};

/// Show the partitions of the raw stream, or change their number
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector partitions show")]
pub(super) struct PartitionsArgs {
    #[command(subcommand)]
    command: PartitionsCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PartitionsCommand {
    Show(ShowArgs),
    Resize(ResizeArgs),
}

/// Show partitions and their owners
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector partitions show --zone hall-2")]
struct ShowArgs {
    #[command(flatten)]
    common: Common,
    /// Also show the partition of this zone; can be repeated
    #[arg(long, value_name = "ZONE")]
    zone: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Change the number of partitions
///
/// Collectors and agents keep running. Agents buffer their readings meanwhile, so nothing is lost.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector partitions resize 16")]
struct ResizeArgs {
    #[command(flatten)]
    common: Common,
    /// New number of partitions; 0 for a single stream without a number
    #[arg(value_name = "COUNT", value_parser = partitions)]
    to: Partitions,
    /// Time for collectors to finish the waiting entries and release their partitions
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn partitions(text: &str) -> Result<Partitions, String> {
    let count = text.parse().map_err(|_| "expected a number".to_owned())?;
    Partitions::new(count).map_err(|error| error.to_string())
}

/// Runs the chosen subcommand.
pub(super) async fn run(args: PartitionsArgs, stop: CancellationToken) -> Outcome {
    match args.command {
        PartitionsCommand::Show(args) => until_stopped(show(args), stop).await,
        PartitionsCommand::Resize(args) => resize(args, &stop).await,
    }
}

async fn show(args: ShowArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let partitioning = Partitioning::read(&mut connection).await?;
    let partitions = partitioning.partitions();
    let state = match partitioning {
        Partitioning::Unset => "not set yet",
        Partitioning::Set(_) => "set",
        Partitioning::Draining(_) | Partitioning::Changing(_) => "resizing",
    };
    let mut table = Table::new(&["partition", "stream", "owner"], 0);
    let mut owned = Vec::new();
    for partition in partitions.all() {
        let keys = PartitionKeys::of(partition);
        let mut ask = redis::cmd("GET");
        ask.arg(&keys.lease);
        let owner: Option<String> = ask.query_async(&mut connection).await?;
        let shown = owner.clone().unwrap_or_else(|| "none".to_owned());
        table.push(vec![partition.to_string(), keys.raw.clone(), shown]);
        owned.push(json!({
            "partition": partition.number(), "stream": keys.raw, "owner": owner
        }));
    }
    let zones = args
        .zone
        .iter()
        .map(|zone| (zone, partitions.of_zone(zone)));
    if args.json {
        let zones: serde_json::Map<_, _> = zones
            .map(|(zone, partition)| (zone.clone(), json!(partition.number())))
            .collect();
        let document = json!({
            "partitions": u16::from(partitions), "state": state, "all": owned, "zones": zones
        });
        print(&json_text(&document)?);
        return Ok(());
    }
    let mut text = match partitions {
        Partitions::PLAIN => "One raw stream, without partitions".to_owned(),
        _ => partitions.to_string(),
    };
    text.push_str(match partitioning {
        Partitioning::Unset => ", by default\n\n",
        Partitioning::Set(_) => "\n\n",
        Partitioning::Draining(_) | Partitioning::Changing(_) => ", being resized\n\n",
    });
    text.push_str(&table.text());
    for (zone, partition) in zones {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "Zone {zone} publishes to partition {partition}");
    }
    print(&text);
    Ok(())
}

async fn resize(args: ResizeArgs, stop: &CancellationToken) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let moved = repartition::repartition(&mut connection, args.to, args.timeout, stop).await?;
    if args.json {
        let document = json!({ "partitions": u16::from(args.to), "moved": moved });
        print(&json_text(&document)?);
        return Ok(());
    }
    let MovedCounts {
        slices: _,
        episodes,
        agents,
        alerts,
    } = moved;
    print(&format!(
        "Resized to {}: moved {}, {} and {}\n",
        args.to,
        count(episodes, "open alert"),
        count(agents, "loss ledger entry"),
        count(alerts, "record"),
    ));
    Ok(())
}
