//! `layout`: how readings are spread over partitions, and how to change that.

use std::fmt::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::Layout;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::table::Table;
use super::{Common, Outcome, print, server, stoppable, usage};
use crate::ownership::repartition::{self, Moved};

/// Show how readings are spread over partitions, or change that
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector layout show")]
pub struct LayoutArgs {
    #[command(subcommand)]
    command: LayoutCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LayoutCommand {
    Show(ShowArgs),
    Migrate(MigrateArgs),
}

/// Show the partitions, their owners, and which zones go to which
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector layout show --zone hall-2")]
struct ShowArgs {
    #[command(flatten)]
    common: Common,
    /// Say which partition agents of this zone publish to
    #[arg(long, value_name = "ZONE")]
    zone: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Change the number of partitions while collectors and agents run: agents keep their readings until
/// it is done, and nothing is lost
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector layout migrate 16")]
struct MigrateArgs {
    #[command(flatten)]
    common: Common,
    /// The number of partitions; 0 for the plain names
    #[arg(value_name = "PARTITIONS", value_parser = partitions)]
    to: Partitions,
    /// How long collectors may take to finish what is there
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn partitions(text: &str) -> Result<Partitions, String> {
    let count = text.parse().map_err(|_| "not a number".to_owned())?;
    Partitions::new(count).map_err(|error| error.to_string())
}

/// Does what was asked.
pub async fn run(args: LayoutArgs, stop: CancellationToken) -> Outcome {
    match args.command {
        LayoutCommand::Show(args) => stoppable(show(args), stop).await,
        LayoutCommand::Migrate(args) => migrate(args, &stop).await,
    }
}

async fn show(args: ShowArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let layout = Layout::read(&mut connection).await?;
    let partitions = layout.partitions();
    let state = match layout {
        Layout::Unset => "as nobody has set it",
        Layout::Set(_) => "set",
        Layout::Draining(_) | Layout::Changing(_) => "being changed",
    };
    let mut table = Table::new(&["partition", "stream", "owner"], 0);
    let mut owned = Vec::new();
    for partition in partitions.all() {
        let keys = PartitionKeys::of(partition);
        let mut ask = redis::cmd("GET");
        ask.arg(&keys.lease);
        let owner: Option<String> = ask.query_async(&mut connection).await?;
        let shown = owner.clone().unwrap_or_else(|| "nobody".to_owned());
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
        print(&(serde_json::to_string_pretty(&document)? + "\n"));
        return Ok(());
    }
    let mut text = format!("{partitions}, {state}\n\n{}", table.text());
    for (zone, partition) in zones {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "zone {zone} goes to partition {partition}");
    }
    print(&text);
    Ok(())
}

async fn migrate(args: MigrateArgs, stop: &CancellationToken) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let found = Layout::read(&mut connection).await?;
    let moved = if found == Layout::Set(args.to) {
        Moved::default()
    } else {
        repartition::migrate(&mut connection, args.to, args.patience, stop).await?
    };
    if args.json {
        let document = json!({ "partitions": u16::from(args.to), "moved": moved });
        print(&(serde_json::to_string_pretty(&document)? + "\n"));
        return Ok(());
    }
    let Moved {
        slices: _,
        episodes,
        agents,
        alerts,
    } = moved;
    print(&format!(
        "{} now: moved {episodes} open episodes, the numbers of {agents} agents and {alerts} records\n",
        args.to
    ));
    Ok(())
}
