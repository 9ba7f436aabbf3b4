//! `drill`: simulated failures against the rules.

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

use super::{Failure, Outcome, print, remark, rules_file, usage};
use crate::analysis::drill::scenario::{Drill, Drills, SHIPPED};
use crate::analysis::drill::tally::Tally;
use crate::analysis::drill::{self, Played};
use crate::notify::line::length;

/// Play simulated failures against the rules: how many are found, how soon, and what is said for
/// nothing
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  rackwatch-collector drill --list\n  \
    rackwatch-collector drill 'cooler trip' --seeds 200\n  \
    rackwatch-collector drill my-drills.toml --rules collector.toml")]
pub struct DrillArgs {
    /// Names of shipped drills, or TOML files with [[drill]] tables; all that are shipped without one
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// How many seeds each is played with
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// A configuration file whose [[rules]] are laid over the defaults
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print the names of the shipped drills
    #[arg(long)]
    list: bool,
    /// Print JSON, an object a drill
    #[arg(long)]
    json: bool,
}

/// Plays, counts, prints.
pub async fn run(args: DrillArgs, stop: CancellationToken) -> Outcome {
    let shipped: Drills = toml::from_str(SHIPPED).context("read the shipped drills")?;
    if args.list {
        let names = shipped
            .drill
            .iter()
            .map(|drill| format!("{}\n", drill.name));
        print(&names.collect::<String>());
        return Ok(());
    }
    let drills = chosen(&args, shipped).map_err(usage)?;
    let rules = rules(&args).map_err(usage)?;
    if !args.json {
        print(HEADING);
    }
    for drill in drills {
        let name = drill.name.clone();
        let (rules, stop_here) = (Arc::clone(&rules), stop.clone());
        let count = args.seeds.min(drill.most_seeds.unwrap_or(u64::MAX));
        let seeds = args.first..args.first + count;
        // A day's work for a thread, not for the runtime.
        let played = tokio::task::spawn_blocking(move || play(&drill, &rules, seeds, &stop_here));
        let tally = played.await?.map_err(usage)?;
        if stop.is_cancelled() {
            return Err(Failure::Wrong);
        }
        if args.json {
            print(&format!("{}\n", document(&name, &tally)));
        } else {
            print(&row(&name, &tally));
        }
    }
    if !args.json {
        remark(
            "false alarms are warnings and worse, per sensor-week in which nothing was wrong; in brackets 95 % intervals; \
             notified once: one incident, with one notification",
        );
    }
    Ok(())
}

fn chosen(args: &DrillArgs, shipped: Drills) -> anyhow::Result<Vec<Drill>> {
    if args.scenarios.is_empty() {
        return Ok(shipped.drill);
    }
    let mut all = Vec::new();
    for wanted in &args.scenarios {
        let found: Vec<_> = shipped
            .drill
            .iter()
            .filter(|drill| drill.name == *wanted || drill.name.starts_with(&format!("{wanted},")))
            .cloned()
            .collect();
        if !found.is_empty() {
            all.extend(found);
            continue;
        }
        let what =
            || format!("{wanted} is neither a shipped drill (see --list) nor a file of drills");
        let text = std::fs::read_to_string(wanted).with_context(what)?;
        let drills: Drills =
            toml::from_str(&text).with_context(|| format!("read the drills in {wanted}"))?;
        all.extend(drills.drill);
    }
    Ok(all)
}

fn rules(args: &DrillArgs) -> anyhow::Result<Arc<RuleSet>> {
    let own = args.rules.as_deref().map(rules_file::read).transpose()?;
    Ok(Arc::new(RuleSet::with_defaults(&own.unwrap_or_default())?))
}

/// Every seed, on all cores.
fn play(
    drill: &Drill,
    rules: &Arc<RuleSet>,
    seeds: std::ops::Range<u64>,
    stop: &CancellationToken,
) -> anyhow::Result<Tally> {
    let next = AtomicU64::new(seeds.start);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || -> anyhow::Result<Vec<Played>> {
        let mut played = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || stop.is_cancelled() {
                return Ok(played);
            }
            let what = || format!("play {:?}", drill.name);
            played.push(drill::run(drill, rules, seed).with_context(what)?);
        }
    };
    let mut tally = Tally::default();
    thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let played = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a drill panicked"))??;
            for one in played {
                tally.add(one, drill);
            }
        }
        Ok(())
    })?;
    tally.sort();
    Ok(tally)
}

const HEADING: &str = "| drill | faults | found | median | p95 | notified once | false alarms a sensor-week |\n\
    | --- | ---: | ---: | ---: | ---: | ---: | --- |\n";

fn row(name: &str, tally: &Tally) -> String {
    let percent = |part: f64| format!("{:.1} %", part * 100.0);
    let found = tally
        .rate()
        .map(|(rate, low, _)| format!("{} [≥ {}]", percent(rate), percent(low)));
    let delay = |hundredths| {
        tally
            .delay(hundredths)
            .map_or_else(|| "-".to_owned(), length)
    };
    let once = (tally.to_the_end > 0).then(|| percent(tally.once as f64 / tally.to_the_end as f64));
    let mut alarms = tally.false_alarms_a_week().map_or_else(
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
    let millis = |hundredths| tally.delay(hundredths).map(|d| d.as_millis());
    let interval = |of: Option<(f64, f64, f64)>| {
        of.map(|(rate, low, high)| json!({ "rate": rate, "low": low, "high": high }))
    };
    json!({
        "drill": name,
        "faults": tally.faults,
        "found": tally.found,
        "detection": interval(tally.rate()),
        "median_ms": millis(50),
        "p95_ms": millis(95),
        "told_once": (tally.to_the_end > 0).then_some(tally.once),
        "false_alarms": tally.false_alarms,
        "by_kind": tally.by_kind,
        "sensor_weeks": tally.sensor_weeks,
        "per_sensor_week": interval(tally.false_alarms_a_week()),
    })
}
