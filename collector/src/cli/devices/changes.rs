//! `devices changes`: hardware that moved, or that another agent reads now.

use clap::Args;
use jiff::tz::TimeZone;
use rackwatch_core::engine::InventoryPlace;
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{RawEntry, entries};
use redis::Value;
use serde::Serialize;

use super::super::common::{Common, Outcome};
use super::super::output::print;
use super::super::server;
use super::super::table::Table;
use crate::notify::line;

/// List inventory changes, newest first: devices with another place, host or agent than before
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices changes")]
pub(super) struct ChangesArgs {
    #[command(flatten)]
    common: Common,
    /// Maximum number of changes
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: u16,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// One inventory change, as printed.
#[derive(Debug, Serialize)]
struct ChangeRow {
    at_ms: u64,
    device_id: String,
    was: String,
    from: InventoryPlace,
    to: InventoryPlace,
}

pub(super) async fn list(args: ChangesArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let reply: Value = redis::cmd("XREVRANGE")
        .arg(keys::INVENTORY_CHANGES)
        .arg(&["+", "-", "COUNT"])
        .arg(args.last)
        .query_async(&mut connection)
        .await?;
    let changes: Vec<ChangeRow> = entries(reply)?.iter().filter_map(change).collect();
    if args.json {
        for change in &changes {
            print(&format!("{}\n", serde_json::to_string(change)?));
        }
    } else if changes.is_empty() {
        print("No inventory changes\n");
    } else {
        print(&table(&changes));
    }
    Ok(())
}

/// Parses an entry. Returns none for an entry of another version.
fn change(entry: &RawEntry) -> Option<ChangeRow> {
    let fields = entry.fields.as_deref()?;
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(n, _)| n == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    };
    Some(ChangeRow {
        at_ms: entry.id.0,
        device_id: field("device_id")?.to_owned(),
        was: field("was")?.to_owned(),
        from: serde_json::from_str(field("from")?).ok()?,
        to: serde_json::from_str(field("to")?).ok()?,
    })
}

fn table(changes: &[ChangeRow]) -> String {
    let headings = ["time", "device", "from", "to"];
    let mut table = Table::new(&headings, headings.len());
    for change in changes {
        let at = Timestamp::from_millis(change.at_ms).unwrap_or_default();
        let was = if change.was == change.device_id {
            String::new()
        } else {
            format!("{}: ", change.was)
        };
        let (from, to) = differences(&change.from, &change.to);
        table.push(vec![
            line::time(at, &TimeZone::system()),
            change.device_id.clone(),
            was + &from,
            to,
        ]);
    }
    table.text()
}

/// Returns what differs, such as `host node7, rack B07` and `host node8, rack B08`.
fn differences(from: &InventoryPlace, to: &InventoryPlace) -> (String, String) {
    let u = |place: &InventoryPlace| place.u.map(|u| u.to_string()).unwrap_or_default();
    let rack = |place: &InventoryPlace| place.rack.clone().unwrap_or_default();
    let properties = [
        ("agent", from.agent.clone(), to.agent.clone()),
        ("host", from.host.clone(), to.host.clone()),
        ("target", from.target.clone(), to.target.clone()),
        ("rack", rack(from), rack(to)),
        ("U", u(from), u(to)),
    ];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (name, old, new) in properties {
        if old != new {
            let text = |value: String| match value.as_str() {
                "" => format!("no {name}"),
                value => format!("{name} {value}"),
            };
            before.push(text(old));
            after.push(text(new));
        }
    }
    (before.join(", "), after.join(", "))
}
