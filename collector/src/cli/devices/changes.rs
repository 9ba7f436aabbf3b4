//! `devices moves`: what stands elsewhere than before.

use jiff::tz::TimeZone;
use rackwatch_core::engine::InventoryPlace;
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{RawEntry, entries};
use redis::Value;
use serde::Serialize;

use super::super::table::Table;
use super::super::{Outcome, print, server, usage};
use super::ListMovesArgs;
use crate::notify::line;

/// A move as it is listed.
#[derive(Debug, Serialize)]
struct Told {
    at_ms: u64,
    device_id: String,
    was: String,
    from: InventoryPlace,
    to: InventoryPlace,
}

pub(super) async fn list(args: ListMovesArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let found: Value = redis::cmd("XREVRANGE")
        .arg(keys::MOVES)
        .arg(&["+", "-", "COUNT"])
        .arg(args.last)
        .query_async(&mut connection)
        .await?;
    let told: Vec<Told> = entries(found)?.iter().filter_map(told).collect();
    if args.json {
        for told in &told {
            print(&format!("{}\n", serde_json::to_string(told)?));
        }
    } else if told.is_empty() {
        print("nothing stands elsewhere than before\n");
    } else {
        print(&table(&told));
    }
    Ok(())
}

/// None for an entry that another version wrote.
fn told(entry: &RawEntry) -> Option<Told> {
    let fields = entry.fields.as_deref()?;
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(n, _)| n == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    };
    Some(Told {
        at_ms: entry.id.0,
        device_id: field("device_id")?.to_owned(),
        was: field("was")?.to_owned(),
        from: serde_json::from_str(field("from")?).ok()?,
        to: serde_json::from_str(field("to")?).ok()?,
    })
}

fn table(all: &[Told]) -> String {
    let headings = ["when", "device", "from", "to"];
    let mut table = Table::new(&headings, headings.len());
    for told in all {
        let at = Timestamp::from_millis(told.at_ms).unwrap_or_default();
        let was = if told.was == told.device_id {
            String::new()
        } else {
            format!("{} of ", told.was)
        };
        let (from, to) = differences(&told.from, &told.to);
        table.push(vec![
            line::time(at, &TimeZone::system()),
            told.device_id.clone(),
            was + &from,
            to,
        ]);
    }
    table.text()
}

/// What differs, in words: `host node7, rack B07` and `host node8, rack B08`.
fn differences(from: &InventoryPlace, to: &InventoryPlace) -> (String, String) {
    let u = |stand: &InventoryPlace| stand.u.map(|u| u.to_string()).unwrap_or_default();
    let rack = |stand: &InventoryPlace| stand.rack.clone().unwrap_or_default();
    let all = [
        ("agent", from.agent.clone(), to.agent.clone()),
        ("host", from.host.clone(), to.host.clone()),
        ("target", from.target.clone(), to.target.clone()),
        ("rack", rack(from), rack(to)),
        ("U", u(from), u(to)),
    ];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (name, one, other) in all {
        if one != other {
            let word = |value: String| match value.as_str() {
                "" => format!("no {name}"),
                value => format!("{name} {value}"),
            };
            before.push(word(one));
            after.push(word(other));
        }
    }
    (before.join(", "), after.join(", "))
}
