//! `incidents`: those that are open, as people are told of them.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::entries;
use redis::Value;

use super::{Common, Outcome, print, server, style, usage};
use crate::notify::line::incident_line;
use crate::scan::scan;

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

/// Records of one read.
const PAGE: usize = 1000;

/// The newest record of each that is open, the oldest incident first.
pub async fn run(args: IncidentsArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let open = scan(&mut connection, incidents::OPEN).await?;
    let mut missing: BTreeSet<String> = open.into_keys().collect();
    let mut found: BTreeMap<(u64, String), IncidentRecord> = BTreeMap::new();
    let mut to = "+".to_owned();
    while !missing.is_empty() {
        let page: Value = redis::cmd("XREVRANGE")
            .arg(keys::INCIDENTS)
            .arg(&to)
            .arg("-")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut connection)
            .await?;
        let page = entries(page)?;
        let Some(last) = page.last() else { break };
        to = format!("({}-{}", last.id.0, last.id.1);
        for entry in page {
            let record = entry.fields.as_ref().map(incident::decode);
            if let Some(Ok(record)) = record
                && missing.remove(record.id.as_str())
            {
                found.insert((record.since.millis(), record.id.to_string()), record);
            }
        }
    }
    if args.json {
        for record in found.values() {
            print(&(serde_json::to_string(record)? + "\n"));
        }
        return Ok(());
    }
    if found.is_empty() {
        print("no incident is open\n");
    }
    let style = style();
    for record in found.values() {
        let by = record.acked_by.as_ref();
        let by = by.map_or_else(String::new, |by| format!("  taken on by {by}"));
        print(&format!("{}{by}\n", incident_line(record, &style)));
    }
    Ok(())
}
