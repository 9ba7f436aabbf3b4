//! `indices`: cooling indices of racks, rows and rooms.

mod range;

use clap::{Args, ValueEnum};
use rackwatch_core::keys;
use rackwatch_runtime::redis::Connection;
use serde_json::Value;

use super::common::{Common, Failure, Outcome};
use super::output::{json_text, print};
use super::server;
use super::table::Table;
use super::time_arg::RangeArgs;
use crate::config::CollectorConfig;
use crate::indices::past::SeriesRange;
use crate::indices::{self, NewestIndices};
use crate::stored::read_hash;

/// Show cooling indices of racks, rows and rooms: RCI, ΔT, vertical gradient
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector indices\n  rackwatch-collector indices room hall-1 --from -7d\n\n\
    RCI is 100 % if all inlets are within the limits that ASHRAE recommends, and 0 % if all are at the allowable\n\
    limits. Outside is the share of inlets that are beyond the recommended limits now. Indices that rest on less\n\
    than half of the inlets are unknown.",
    mut_arg("from", |from| from.default_value("-1d"))
)]
pub(super) struct IndicesArgs {
    #[command(flatten)]
    common: Common,
    /// Show one rack, row or room over time
    #[arg(requires = "name")]
    scope: Option<Scope>,
    /// Name of the rack, row or room
    name: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Area to which indices apply.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    Rack,
    Row,
    Room,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Rack => "rack",
            Self::Row => "row",
            Self::Room => "room",
        }
    }
}

/// Current indices of one rack, row or room.
struct CurrentIndices {
    scope: String,
    name: String,
    values: Value,
}

/// Prints the current indices of all, or those of one over time.
pub(super) async fn run(args: IndicesArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    match (args.scope, &args.name) {
        (Some(scope), Some(name)) => {
            print_range(&args, (scope, name), &config, &mut connection).await
        }
        _ => print_current(&args, &mut connection).await,
    }
}

async fn print_range(
    args: &IndicesArgs,
    (scope, name): (Scope, &str),
    config: &CollectorConfig,
    connection: &mut Connection,
) -> Outcome {
    let now = server::now(connection).await?;
    let (from, to) = args.range.resolve(now)?;
    let width = range::width(from, to);
    let range = SeriesRange {
        scope: scope.name(),
        name,
        from: from.floor(width),
        to,
        width,
    };
    let all = indices::past::read(connection, &config.series, range).await?;
    if all.iter().all(|(_, points)| points.is_empty()) && !is_known(connection, scope, name).await?
    {
        let scope = scope.name();
        return Err(Failure::Failed(anyhow::anyhow!(
            "no indices of {scope} {name:?}: `rackwatch-collector indices` lists every {scope} that has some"
        )));
    }
    if args.json {
        let document = range::json(range, all);
        print(&json_text(&document)?);
    } else {
        print(&range::table(range, &all));
    }
    Ok(())
}

/// Returns whether collectors have computed indices of the area.
async fn is_known(connection: &mut Connection, scope: Scope, name: &str) -> Result<bool, Failure> {
    let mut ask = redis::cmd("HEXISTS");
    ask.arg(keys::INDICES)
        .arg(format!("{} {name}", scope.name()));
    Ok(ask.query_async(connection).await?)
}

async fn print_current(args: &IndicesArgs, connection: &mut Connection) -> Outcome {
    let all = current(connection).await?;
    if args.json {
        let document = all.into_iter().map(|mut one| {
            one.values["scope"] = one.scope.into();
            one.values["name"] = one.name.into();
            one.values
        });
        let document = Value::Array(document.collect());
        print(&json_text(&document)?);
    } else if all.is_empty() {
        print(
            "No indices: a running collector computes them every minute, for racks with inlet sensors\n",
        );
    } else {
        print(&table(&all));
    }
    Ok(())
}

/// Reads the current indices: rooms first, then rows, then racks, each in the order of names.
async fn current(connection: &mut Connection) -> Result<Vec<CurrentIndices>, Failure> {
    let mut all = Vec::new();
    for (field, newest) in read_hash::<NewestIndices>(connection, keys::INDICES).await? {
        if let Some((scope, name)) = field.split_once(' ') {
            all.push(CurrentIndices {
                scope: scope.to_owned(),
                name: name.to_owned(),
                values: serde_json::to_value(newest)?,
            });
        }
    }
    let rank = |scope: &str| ["room", "row", "rack"].iter().position(|s| *s == scope);
    all.sort_by(|a, b| (rank(&a.scope), &a.name).cmp(&(rank(&b.scope), &b.name)));
    Ok(all)
}

fn table(all: &[CurrentIndices]) -> String {
    let headings = [
        "area", "class", "inlets", "RCI high", "RCI low", "ΔT", "gradient", "outside",
    ];
    let mut table = Table::new(&headings, 2);
    for CurrentIndices {
        scope,
        name,
        values,
    } in all
    {
        let number = |key: &str, unit: &str, scale: f64, digits: usize| {
            values[key].as_f64().map_or_else(
                || "-".to_owned(),
                |value| format!("{:.digits$} {unit}", value * scale),
            )
        };
        table.push(vec![
            format!("{scope} {name}"),
            values["class"].as_str().unwrap_or("-").to_owned(),
            inlets(values),
            known_or(values, number("rci_hi", "%", 1.0, 1)),
            known_or(values, number("rci_lo", "%", 1.0, 1)),
            number("delta_t", "K", 1.0, 1),
            number("gradient", "K", 1.0, 1),
            known_or(values, number("outside", "%", 100.0, 0)),
        ]);
    }
    table.text()
}

/// Returns the number of inlets with a present value, and of all where some have none.
fn inlets(values: &Value) -> String {
    let count = |key: &str| values[key].as_u64().unwrap_or(0);
    match (count("n"), count("missing")) {
        (n, 0) => n.to_string(),
        (n, missing) => format!("{n} of {}", n + missing),
    }
}

/// Returns `unknown` in place of a missing index of an area that has inlets.
fn known_or(values: &Value, text: String) -> String {
    if text == "-" && !values["coverage"].is_null() {
        "unknown".to_owned()
    } else {
        text
    }
}
