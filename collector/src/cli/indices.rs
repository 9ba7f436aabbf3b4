//! `indices`: how well racks, rows and rooms are cooled right now, or how well one of them was.

mod past;

use clap::{Args, ValueEnum};
use rackwatch_core::keys;
use serde_json::Value;

use super::table::Table;
use super::when::When;
use super::{Common, Outcome, print, server, usage};
use crate::indices::past::SeriesRange;
use crate::indices::{self, NewestIndices};
use crate::stored::read_hash;

/// Show how well racks, rows and rooms are cooled: RCI, the difference of exhaust and inlet, and more
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector indices\n  rackwatch-collector indices room hall-1 --from -7d\n\n\
    RCI is 100 % where no inlet is beyond the limits that ASHRAE recommends, and 0 % where all of them are at\n\
    the allowable ones. Outside is the part of the inlets that are beyond the recommended limits right now."
)]
pub struct IndicesArgs {
    #[command(flatten)]
    common: Common,
    /// Over time, of one: a rack, a row or a room
    #[arg(requires = "name")]
    scope: Option<Scope>,
    /// Its name
    name: Option<String>,
    /// The first instant: -7d, 2026-11-23T14:00, 2026-11-23T14:00:00Z
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-1d",
        allow_hyphen_values = true
    )]
    from: When,
    /// The last instant
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true
    )]
    to: When,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What indices are of.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    Rack,
    Row,
    Room,
}

/// The newest of each, or those of one over time.
pub async fn run(args: IndicesArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    if let (Some(scope), Some(name)) = (args.scope, &args.name) {
        let now = server::now(&mut connection).await?;
        let (from, to) = (args.from.seen_from(now), args.to.seen_from(now));
        if from >= to {
            return Err(usage(anyhow::anyhow!("--from is not before --to")));
        }
        let width = past::width(from, to);
        let range = SeriesRange {
            scope: match scope {
                Scope::Rack => "rack",
                Scope::Row => "row",
                Scope::Room => "room",
            },
            name,
            from: from.floor(width),
            to,
            width,
        };
        let all = indices::past::read(&mut connection, &config.series, range).await?;
        if args.json {
            let document = past::json(range, all);
            print(&(serde_json::to_string_pretty(&document)? + "\n"));
        } else {
            print(&past::table(range, &all));
        }
        return Ok(());
    }
    let mut all: Vec<(String, String, Value)> = Vec::new();
    for (field, newest) in read_hash::<NewestIndices>(&mut connection, keys::INDICES).await? {
        if let Some((scope, name)) = field.split_once(' ') {
            let newest = serde_json::to_value(newest)?;
            all.push((scope.to_owned(), name.to_owned(), newest));
        }
    }
    // Rooms, then rows, then racks: the large before the small.
    let rank = |scope: &str| ["room", "row", "rack"].iter().position(|s| *s == scope);
    all.sort_by(|a, b| (rank(&a.0), &a.1).cmp(&(rank(&b.0), &b.1)));
    if args.json {
        let document = all.into_iter().map(|(scope, name, mut kept)| {
            kept["scope"] = scope.into();
            kept["name"] = name.into();
            kept
        });
        let document = Value::Array(document.collect());
        print(&(serde_json::to_string_pretty(&document)? + "\n"));
        return Ok(());
    }
    if all.is_empty() {
        print("no indices yet: a collector makes them once a minute, of racks with inlets\n");
        return Ok(());
    }
    let headings = [
        "where", "class", "inlets", "RCI high", "RCI low", "ΔT", "gradient", "outside",
    ];
    let mut table = Table::new(&headings, 2);
    for (scope, name, kept) in &all {
        let number = |key: &str, unit: &str, scale: f64, digits: usize| {
            kept[key].as_f64().map_or_else(
                || "-".to_owned(),
                |value| format!("{:.digits$} {unit}", value * scale),
            )
        };
        table.push(vec![
            format!("{scope} {name}"),
            kept["class"].as_str().unwrap_or("-").to_owned(),
            kept["n"].to_string(),
            number("rci_hi", "%", 1.0, 1),
            number("rci_lo", "%", 1.0, 1),
            number("delta_t", "K", 1.0, 1),
            number("gradient", "K", 1.0, 1),
            number("outside", "%", 100.0, 0),
        ]);
    }
    print(&table.text());
    Ok(())
}
