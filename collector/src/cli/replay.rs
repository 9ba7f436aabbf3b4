//! `replay`: evaluation of the rules over recorded readings.

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
use rackwatch_core::words::count;
use rackwatch_runtime::redis::scan_hash;
use tokio_util::sync::CancellationToken;

use super::common::{Common, Failure, Outcome, usage};
use super::output::remark;
use super::server;
use super::time_arg::RangeArgs;
use crate::analysis::replay::Replay;
use crate::analysis::replay::labels::Labels;
use crate::analysis::replay::recording::{self, ColumnMap, Recording};
use crate::config::{CollectorConfig, load_rules};
use crate::series::{self, Resolution};
use report::{Report, Summary};

/// Evaluate the rules over recorded readings, and print the alerts that would have fired
///
/// Files are CSV with a header line: `timestamp` (milliseconds, or ISO 8601, in UTC without a zone),
/// `temperature` or `value`, and optionally `device_id`. Devices count as inlets.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector replay readings.csv\n  \
    rackwatch-collector replay --history 'inlet-B0*' --from -6h --rules new-rules.toml\n  \
    rackwatch-collector replay machine.csv --only drift --labels windows.json\n  \
    rackwatch-collector replay motes.csv --only spike,drop --columns device=mote_id --interval 5s")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    common: Common,
    /// CSV files to read
    #[arg(required_unless_present = "history", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read the stored history of matching devices, such as 'inlet-B0*', instead of files
    #[arg(long, value_name = "PATTERN", conflicts_with = "files")]
    history: Option<Glob>,
    #[command(flatten)]
    range: RangeArgs,
    /// Configuration file whose [[rules]] override the defaults [default: that of --config]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Evaluate only rules of these types
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = kind)]
    only: Vec<AlertKind>,
    /// Names of columns: device=, timestamp=, temperature=
    #[arg(long, value_name = "NAME=COLUMN", value_delimiter = ',', value_parser = column)]
    columns: Vec<(Column, String)>,
    /// Interval of readings in files without times; the first is at 1970-01-01 00:00 UTC
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    interval: Option<Duration>,
    /// JSON file of known anomalies; prints hits, delays, false alarms and the NAB score
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Print only alert records, as JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// Column of a recording that `--columns` can name.
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

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than 0s".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

fn column(text: &str) -> Result<(Column, String), String> {
    let wrong = || "expected device=COLUMN, timestamp=COLUMN or temperature=COLUMN".to_owned();
    let (name, column) = text.split_once('=').ok_or_else(wrong)?;
    let which = match name {
        "device" | "device_id" => Column::Device,
        "timestamp" => Column::Timestamp,
        "temperature" | "value" => Column::Temperature,
        _ => return Err(wrong()),
    };
    Ok((which, column.to_owned()))
}

/// Range to read from Redis at once, so that replies stay small.
const READ_AT_ONCE: Duration = Duration::from_hours(1);

/// Evaluates the recordings and prints the alert records.
pub(super) async fn run(args: ReplayArgs, stop: CancellationToken) -> Outcome {
    let config = args.common.load()?;
    let rules = rules(&args, &config).map_err(usage)?;
    let labels = args.labels.as_deref().map(labels).transpose();
    let labels = labels.map_err(usage)?;
    let recordings = match &args.history {
        None => read(&args).map_err(usage)?,
        Some(pattern) => history(&args, &config, pattern).await?,
    };
    let summary = Summary::new(&recordings);
    let mut report = Report::new(args.json, summary);
    if let (Some(labels), Some(file)) = (&labels, &args.labels) {
        check_labels(labels, file, &recordings).map_err(usage)?;
    }
    let times = labels.is_some().then(|| times(&recordings));
    let mut replay = Replay::new(rules, recordings);
    let started = Instant::now();
    while let Some(records) = replay.step() {
        report.add(records);
        if stop.is_cancelled() {
            return Err(Failure::Reported);
        }
        tokio::task::yield_now().await;
    }
    report.print_totals(replay.open(), started.elapsed());
    if let (Some(labels), Some(times)) = (labels, times) {
        report.print_scores(&labels, &times);
    }
    Ok(())
}

fn rules(args: &ReplayArgs, config: &CollectorConfig) -> anyhow::Result<Arc<RuleSet>> {
    let own = match &args.rules {
        None => config.rules.clone(),
        Some(file) => load_rules(file)?,
    };
    let rules = config.alerts.rule_set(&own)?;
    Ok(Arc::new(if args.only.is_empty() {
        rules
    } else {
        rules.of(&args.only)
    }))
}

fn labels(file: &Path) -> anyhow::Result<Labels> {
    let context = || format!("cannot read the labels in {}", file.display());
    let text = fs::read_to_string(file).with_context(context)?;
    Labels::parse(&text).with_context(context)
}

/// Refuses labels that touch no reading: scores against them would say nothing.
fn check_labels(labels: &Labels, file: &Path, recordings: &[Recording]) -> anyhow::Result<()> {
    let is_touched = recordings.iter().any(|recording| {
        let windows = labels.of(&recording.device);
        let mut times = recording.readings.iter().map(|(at, _)| *at);
        times.any(|at| windows.iter().any(|(from, to)| (*from..=*to).contains(&at)))
    });
    anyhow::ensure!(
        is_touched,
        "no window of {} contains a reading: compare its devices and times with those of the recordings",
        file.display()
    );
    Ok(())
}

fn read(args: &ReplayArgs) -> anyhow::Result<Vec<Recording>> {
    let mut map = ColumnMap {
        interval: args.interval,
        ..ColumnMap::default()
    };
    for (which, name) in &args.columns {
        let column = match which {
            Column::Device => &mut map.device,
            Column::Timestamp => &mut map.timestamp,
            Column::Temperature => &mut map.temperature,
        };
        *column = Some(name.clone());
    }
    let mut all: Vec<Recording> = Vec::new();
    for file in &args.files {
        let read = recording::read(file, &map)?;
        if let Some((line, error)) = read.first_bad {
            let (file, bad) = (file.display(), read.bad_lines);
            remark(&format!(
                "warning: skipped {} of {file} without a reading, first line {line}: {error}",
                count(bad, "line")
            ));
        }
        for recording in read.recordings {
            // Readings of one device can be spread over several files.
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

/// Reads the stored history and the descriptions of the matching devices.
async fn history(
    args: &ReplayArgs,
    config: &CollectorConfig,
    pattern: &Glob,
) -> Result<Vec<Recording>, Failure> {
    let (_, mut connection) = server::open(&config.redis).await?;
    // Readings have Redis' time, whatever this host's clock says.
    let now = server::now(&mut connection).await?;
    let (from, to) = args.range.resolve(now)?;
    let mut series = series::open(connection.clone(), &config.series).await?;
    let matches = pattern.compile_matcher();
    let mut recordings = Vec::new();
    for (id, json) in scan_hash(&mut connection, keys::DEVICES).await? {
        let Some(device) = DeviceId::new(&id).ok().filter(|_| matches.is_match(&id)) else {
            continue;
        };
        let description = Description::from_json(&json).ok().map(Box::new);
        let mut readings = Vec::new();
        let mut start = from;
        while start <= to {
            let next = start.plus(READ_AT_ONCE);
            let end = next.minus(Duration::from_millis(1)).min(to);
            readings.extend(series.range(&device, start, end, Resolution::Raw).await?);
            start = next;
        }
        recordings.push(Recording {
            device,
            description,
            readings,
        });
    }
    recordings.retain(|recording| !recording.readings.is_empty());
    if recordings.is_empty() {
        return Err(Failure::Failed(anyhow::anyhow!(
            "no readings of devices matching {} in this range: check --history, --from and --to",
            pattern.glob()
        )));
    }
    // Redis returns a hash in no particular order.
    recordings.sort_by(|a, b| a.device.cmp(&b.device));
    Ok(recordings)
}

/// Returns the times of all readings of each device, in ascending order.
fn times(recordings: &[Recording]) -> Vec<(DeviceId, Vec<Timestamp>)> {
    let of = |recording: &Recording| {
        let mut times: Vec<_> = recording.readings.iter().map(|(at, _)| *at).collect();
        times.sort_unstable();
        (recording.device.clone(), times)
    };
    recordings.iter().map(of).collect()
}
