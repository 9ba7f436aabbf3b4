//! `incidents`: those that are open, as people are told of them.

use clap::Args;

use super::{Common, Outcome, print, server, style, usage};
use crate::incidents::correlate::open;
use crate::notify::line::incident_line;

/// List the incidents that are open
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector incidents --json")]
pub struct IncidentsArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// The newest record of each that is open, the oldest incident first.
pub async fn run(args: IncidentsArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let found = open::newest(&mut connection, |_| true).await?;
    if args.json {
        for record in &found {
            print(&(serde_json::to_string(record)? + "\n"));
        }
        return Ok(());
    }
    if found.is_empty() {
        print("no incident is open\n");
    }
    let style = style();
    for record in &found {
        let by = record.acked_by.as_ref();
        let by = by.map_or_else(String::new, |by| format!("  acknowledged by {by}"));
        print(&format!("{}{by}\n", incident_line(record, &style)));
    }
    Ok(())
}
