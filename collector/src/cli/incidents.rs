//! `incidents`: the open incidents, and their end by hand.

use clap::{Args, Subcommand};
use rackwatch_core::name::printable;

use super::common::{Common, Outcome};
use super::output::{print, style};
use super::resolve::{self, ResolveArgs};
use super::server;
use super::unattended::remark_if_unattended;
use crate::incidents::correlate::open;
use crate::notify::line::incident_line;

/// List open incidents, oldest first, or resolve one by hand
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  rackwatch-collector incidents --json\n  \
        rackwatch-collector incidents resolve a1b2c3 --note 'sensors were removed'"
)]
pub(super) struct IncidentsArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<IncidentsCommand>,
}

#[derive(Clone, Debug, Subcommand)]
enum IncidentsCommand {
    /// Resolve all open alerts of an incident by hand; a sensor that still crosses its limit alerts again
    #[command(
        after_help = "Example:\n  rackwatch-collector incidents resolve a1b2c3 --note 'sensors were removed'"
    )]
    Resolve(ResolveArgs),
}

/// Runs the chosen subcommand, or prints the latest record of each open incident, oldest incident first.
pub(super) async fn run(args: IncidentsArgs) -> Outcome {
    if let Some(IncidentsCommand::Resolve(args)) = args.command {
        return Box::pin(resolve::incident(args)).await;
    }
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let records = open::newest(&mut connection, |_| true).await?;
    remark_if_unattended(&mut connection).await?;
    if args.json {
        for record in &records {
            print(&(serde_json::to_string(record)? + "\n"));
        }
        return Ok(());
    }
    if records.is_empty() {
        print("No open incidents\n");
    }
    let style = style();
    for record in &records {
        let by = record.acked_by.as_ref();
        let by = by.map_or_else(String::new, |by| {
            format!("  acknowledged by {}", printable(by))
        });
        print(&format!("{}{by}\n", incident_line(record, &style)));
    }
    Ok(())
}
