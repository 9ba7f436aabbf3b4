//! `replay`: recorded readings through the rules, without Redis.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use globset::Glob;
use rackwatch_core::alert::AlertKind;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::scan_hash;
use tokio_util::sync::CancellationToken;

use super::when::When;
use super::{Common, Failure, Outcome, remark, rules_file, server, usage};
use crate::analysis::replay::Replay;
use crate::analysis::replay::labels::Labels;
use crate::analysis::replay::recording::{self, Layout, Recording};
use crate::config::CollectorConfig;
use crate::series::{self, Resolution};
use report::{Report, Summary};

/// Run the rules over recorded readings, and print what would have fired
///
/// Files are CSV with a header line: `timestamp` (ms or ISO 8601, UTC unless it says otherwise),
/// `temperature` or `value`, perhaps `device_id`. Devices are judged as inlets.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector replay readings.csv\n  \
    rackwatch-collector replay --history 'inlet-B0*' --from -6h --rules new-rules.toml\n  \
    rackwatch-collector replay machine.csv --only drift --labels windows.json\n  \
    rackwatch-collector replay motes.csv --only spike,drop --columns device=mote_id --interval 5s")]
pub struct ReplayArgs {
    #[command(flatten)]
    common: Common,
    /// CSV files
    #[arg(required_unless_present = "history", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What Redis has of the devices that match, such as 'inlet-B0*', instead of files
    #[arg(long, value_name = "PATTERN", conflicts_with = "files")]
    history: Option<Glob>,
    /// The first instant of the history
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-1h",
        allow_hyphen_values = true
    )]
    from: When,
    /// The last instant of the history
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true
    )]
    to: When,
    /// A configuration file whose [[rules]] are laid over the defaults; without it those of --config
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only rules of these types
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = kind)]
    only: Vec<AlertKind>,
    /// Other names of columns: device=, timestamp=, temperature=
    #[arg(long, value_name = "NAME=COLUMN", value_delimiter = ',', value_parser = column)]
    columns: Vec<(Column, String)>,
    /// For files without times: readings of a device are so far apart, from 1970-01-01 00:00 UTC on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// JSON windows in which something was wrong: adds hits, delays, false alarms and the NAB score
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Print a JSON object for each alert record, and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
enum Column {
    Device,
    Timestamp,
    Temperature,
}

fn kind(text: &str) -> Result<AlertKind, String> {
    let kind = AlertKind::from_name(text).filter(|kind| AlertKind::RULES.contains(kind));
    kind.ok_or_else(|| format!("expected {}", AlertKind::rule_names()))
}

fn column(text: &str) -> Result<(Column, String), String> {
    let wrong = || "expected device=, timestamp= or temperature=, then a column".to_owned();
    let (name, column) = text.split_once('=').ok_or_else(wrong)?;
    let which = match name {
        "device" | "device_id" => Column::Device,
        "timestamp" => Column::Timestamp,
        "temperature" | "value" => Column::Temperature,
        _ => return Err(wrong()),
    };
    Ok((which, column.to_owned()))
}

const HOUR: Duration = Duration::from_secs(3600);

/// Reads, judges, prints.
pub async fn run(args: ReplayArgs, stop: CancellationToken) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let rules = rules(&args, &config).map_err(usage)?;
    let labels = args.labels.as_deref().map(labels).transpose();
    let labels = labels.map_err(usage)?;
    let recordings = match &args.history {
        None => read(&args).map_err(usage)?,
        Some(pattern) => history(&args, &config, pattern).await?,
    };
    let summary = Summary::new(&recordings);
    let mut report = Report::new(args.json, summary);
    let times = labels.is_some().then(|| times(&recordings));
    let mut replay = Replay::new(rules, recordings);
    let began = Instant::now();
    while let Some(records) = replay.go_on() {
        report.take(records);
        if stop.is_cancelled() {
            return Err(Failure::Wrong);
        }
        tokio::task::yield_now().await;
    }
    report.end(replay.open(), began.elapsed());
    if let (Some(labels), Some(times)) = (labels, times) {
        report.score(&labels, &times);
    }
    Ok(())
}

fn rules(args: &ReplayArgs, config: &CollectorConfig) -> anyhow::Result<Arc<RuleSet>> {
    let own = match &args.rules {
        None => config.rules.clone(),
        Some(file) => rules_file::read(file)?,
    };
    let rules = RuleSet::of_profile(config.alerts.profile, &own)?.damped(config.alerts.flap);
    Ok(Arc::new(if args.only.is_empty() {
        rules
    } else {
        rules.of(&args.only)
    }))
}

fn labels(file: &Path) -> anyhow::Result<Labels> {
    let what = || format!("read the labels in {}", file.display());
    let text = fs::read_to_string(file).with_context(what)?;
    Labels::parse(&text).with_context(what)
}

fn read(args: &ReplayArgs) -> anyhow::Result<Vec<Recording>> {
    let mut layout = Layout {
        interval: args.interval,
        ..Layout::default()
    };
    for (which, name) in &args.columns {
        let column = match which {
            Column::Device => &mut layout.device,
            Column::Timestamp => &mut layout.timestamp,
            Column::Temperature => &mut layout.temperature,
        };
        *column = Some(name.clone());
    }
    let mut all: Vec<Recording> = Vec::new();
    for file in &args.files {
        let read = recording::read(file, &layout)?;
        if let Some((line, why)) = read.first_bad {
            let (file, bad) = (file.display(), read.bad_lines);
            remark(&format!(
                "warning: {bad} lines of {file} are no readings, the first is line {line}: {why}"
            ));
        }
        for recording in read.recordings {
            // A device may go on in the next file.
            match all
                .iter_mut()
                .find(|known| known.device == recording.device)
            {
                Some(known) => known.readings.extend(recording.readings),
                None => all.push(recording),
            }
        }
    }
    Ok(all)
}

/// What Redis has of the devices that match, with what is known of them.
async fn history(
    args: &ReplayArgs,
    config: &CollectorConfig,
    pattern: &Glob,
) -> Result<Vec<Recording>, Failure> {
    let now = server::local_now();
    let (from, to) = (args.from.seen_from(now), args.to.seen_from(now));
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut series = series::open(connection.clone(), &config.series).await?;
    let matches = pattern.compile_matcher();
    let mut recordings = Vec::new();
    for (id, json) in scan_hash(&mut connection, keys::DEVICES).await? {
        let Some(device) = DeviceId::new(&id).ok().filter(|_| matches.is_match(&id)) else {
            continue;
        };
        let description = Description::from_json(&json).ok().map(Box::new);
        let mut readings = Vec::new();
        let mut begins = from;
        // An hour at a time: a reply of days would be large.
        while begins <= to {
            let ends = begins.plus(HOUR).minus(Duration::from_millis(1)).min(to);
            readings.extend(series.range(&device, begins, ends, Resolution::Raw).await?);
            begins = begins.plus(HOUR);
        }
        recordings.push(Recording {
            device,
            description,
            readings,
        });
    }
    recordings.retain(|recording| !recording.readings.is_empty());
    if recordings.is_empty() {
        let why = format!(
            "Redis has no readings of devices like {} in that time",
            pattern.glob()
        );
        return Err(Failure::Failed(anyhow::anyhow!(why)));
    }
    // A hash has no order.
    recordings.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(recordings)
}

/// When each device was read, in order, and without what came late.
fn times(recordings: &[Recording]) -> Vec<(DeviceId, Vec<Timestamp>)> {
    let of = |recording: &Recording| {
        let mut times: Vec<_> = recording.readings.iter().map(|(at, _)| *at).collect();
        times.sort_unstable();
        (recording.device.clone(), times)
    };
    recordings.iter().map(of).collect()
}
