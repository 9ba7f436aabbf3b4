//! `drill`: tests of the rules with simulated failures.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context;
use clap::Args;
use rackwatch_core::rules::RuleSet;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::common::{Failure, Outcome, usage};
use super::output::{print, remark};
use crate::analysis::drill::scenario::{Drill, Drills, SHIPPED};
use crate::analysis::drill::tally::Tally;
use crate::analysis::drill::{self, DrillResult};
use crate::config::load_rules;
use crate::notify::line::format_duration;

/// Test the rules with simulated failures: detection rate, delay and false alarms
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  rackwatch-collector drill --list\n  \
    rackwatch-collector drill 'cooler trip' --seeds 200\n  \
    rackwatch-collector drill my-drills.toml --rules collector.toml")]
pub(super) struct DrillArgs {
    /// Names of built-in drills, or TOML files with [[drill]] tables [default: all built-in drills]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Number of seeds to run each drill with
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// First seed; the others follow it
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Configuration file whose [[rules]] override the defaults
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print the names of the built-in drills
    #[arg(long)]
    list: bool,
    /// Print JSON, one object per drill
    #[arg(long)]
    json: bool,
}

/// Runs the drills and prints one row for each.
pub(super) async fn run(args: DrillArgs, stop: CancellationToken) -> Outcome {
    let shipped: Drills = toml::from_str(SHIPPED).context("cannot read the built-in drills")?;
    if args.list {
        let names = shipped
            .drill
            .iter()
            .map(|drill| format!("{}\n", drill.name));
        print(&names.collect::<String>());
        return Ok(());
    }
    let drills = select(&args, shipped).map_err(usage)?;
    let rules = rules(&args).map_err(usage)?;
    if !args.json {
        print(HEADING);
    }
    for drill in drills {
        let name = drill.name.clone();
        let (rules, stop_here) = (Arc::clone(&rules), stop.clone());
        let count = args.seeds.min(drill.max_seeds.unwrap_or(u64::MAX));
        let seeds = args.first..args.first + count;
        // Runs for seconds to minutes, so it must not block a thread of the runtime.
        let tally =
            tokio::task::spawn_blocking(move || run_seeds(&drill, &rules, seeds, &stop_here));
        let tally = tally.await?.map_err(usage)?;
        if stop.is_cancelled() {
            return Err(Failure::Reported);
        }
        if args.json {
            print(&format!("{}\n", document(&name, &tally)));
        } else {
            print(&row(&name, &tally));
        }
    }
    if !args.json {
        remark(
            "False alarms: warnings and worse per sensor-week without a fault. Brackets: 95 % confidence intervals. \
             Notified once: one incident, with one notification.",
        );
    }
    Ok(())
}

fn select(args: &DrillArgs, shipped: Drills) -> anyhow::Result<Vec<Drill>> {
    if args.scenarios.is_empty() {
        return Ok(shipped.drill);
    }
    let mut all = Vec::new();
    for wanted in &args.scenarios {
        let matching: Vec<_> = shipped
            .drill
            .iter()
            .filter(|drill| drill.name == *wanted || drill.name.starts_with(&format!("{wanted},")))
            .cloned()
            .collect();
        if !matching.is_empty() {
            all.extend(matching);
            continue;
        }
        let context =
            || format!("{wanted} is neither a built-in drill (see --list) nor a readable file");
        let text = std::fs::read_to_string(wanted).with_context(context)?;
        let drills: Drills =
            toml::from_str(&text).with_context(|| format!("cannot read the drills in {wanted}"))?;
        all.extend(drills.drill);
    }
    Ok(all)
}

fn rules(args: &DrillArgs) -> anyhow::Result<Arc<RuleSet>> {
    let own = args.rules.as_deref().map(load_rules).transpose()?;
    Ok(Arc::new(RuleSet::with_defaults(&own.unwrap_or_default())?))
}

/// Runs the drill with every seed, on all cores.
fn run_seeds(
    drill: &Drill,
    rules: &Arc<RuleSet>,
    seeds: std::ops::Range<u64>,
    stop: &CancellationToken,
) -> anyhow::Result<Tally> {
    let next = AtomicU64::new(seeds.start);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || -> anyhow::Result<Vec<DrillResult>> {
        let mut results = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || stop.is_cancelled() {
                return Ok(results);
            }
            let context = || format!("cannot run the drill {:?}", drill.name);
            results.push(drill::run(drill, rules, seed).with_context(context)?);
        }
    };
    let mut tally = Tally::default();
    thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let results = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a drill panicked"))??;
            for result in results {
                tally.add(&result, drill);
            }
        }
        Ok(())
    })?;
    tally.sort();
    Ok(tally)
}

/// Head of the Markdown table, as in `docs/detection.md`.
const HEADING: &str = "| drill | faults | found | median | p95 | one incident | false alarms per sensor-week |\n\
    | --- | ---: | ---: | ---: | ---: | ---: | --- |\n";

fn row(name: &str, tally: &Tally) -> String {
    let percent = |part: f64| format!("{:.1} %", part * 100.0);
    let found = tally
        .detection_rate()
        .map(|(rate, low, _)| format!("{} [≥ {}]", percent(rate), percent(low)));
    let delay = |percent| {
        tally
            .delay(percent)
            .map_or_else(|| "-".to_owned(), format_duration)
    };
    let once =
        (tally.complete > 0).then(|| percent(tally.one_incident as f64 / tally.complete as f64));
    let mut alarms = tally.false_alarm_rate().map_or_else(
        || "-".to_owned(),
        |(rate, low, high)| {
            format!(
                "{rate:.4} [{low:.4} to {high:.4}] in {:.1}",
                tally.sensor_weeks
            )
        },
    );
    for (kind, count) in &tally.by_kind {
        // Writing to a String cannot fail.
        let _ok = write!(alarms, ", {count} {kind}");
    }
    format!(
        "| {name} | {} | {} | {} | {} | {} | {alarms} |\n",
        tally.faults,
        found.unwrap_or_else(|| "-".to_owned()),
        delay(50),
        delay(95),
        once.unwrap_or_else(|| "-".to_owned()),
    )
}

fn document(name: &str, tally: &Tally) -> serde_json::Value {
    let millis = |percent| tally.delay(percent).map(|d| d.as_millis());
    let interval = |of: Option<(f64, f64, f64)>| {
        of.map(|(rate, low, high)| json!({ "rate": rate, "low": low, "high": high }))
    };
    json!({
        "drill": name,
        "faults": tally.faults,
        "found": tally.found,
        "detection": interval(tally.detection_rate()),
        "median_ms": millis(50),
        "p95_ms": millis(95),
        "one_incident": (tally.complete > 0).then_some(tally.one_incident),
        "false_alarms": tally.false_alarms,
        "by_kind": tally.by_kind,
        "sensor_weeks": tally.sensor_weeks,
        "per_sensor_week": interval(tally.false_alarm_rate()),
    })
}
