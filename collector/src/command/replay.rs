//! `replay`: recorded readings through the rules, without Redis.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use globset::Glob;
use jiff::tz::TimeZone;
use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::rules::{RawRule, RuleSet};
use rackwatch_core::time::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::table::Table;
use super::when::When;
use super::{Common, Failure, Outcome, print, remark, server, usage};
use crate::config::CollectorConfig;
use crate::notify::line::{self, Style, length};
use crate::replay::Replay;
use crate::replay::labels::Labels;
use crate::replay::recording::{self, Layout, Recording};
use crate::replay::score::Score;
use crate::scan::scan;
use crate::series::{self, Resolution};

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
    let all = AlertKind::RULES;
    all.into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| {
            let names = all.map(AlertKind::name).join(", ");
            format!("expected one of {names}")
        })
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

/// The part of a configuration file that counts here.
#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    rules: Vec<RawRule>,
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
    let mut report = Report::new(&args, summary);
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
        Some(file) => {
            let what = || format!("read the rules in {}", file.display());
            let text = fs::read_to_string(file).with_context(what)?;
            toml::from_str::<Rules>(&text).with_context(what)?.rules
        }
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
    for (id, json) in scan(&mut connection, keys::DEVICES).await? {
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

#[derive(Debug)]
struct Summary {
    readings: usize,
    devices: usize,
    span: Duration,
}

impl Summary {
    fn new(recordings: &[Recording]) -> Self {
        let all = || {
            recordings
                .iter()
                .flat_map(|r| r.readings.iter().map(|(at, _)| *at))
        };
        let span = all()
            .max()
            .unwrap_or_default()
            .since(all().min().unwrap_or_default());
        Self {
            readings: all().count(),
            devices: recordings.len(),
            span,
        }
    }
}

/// Counts of a rule.
#[derive(Debug, Default)]
struct Count {
    episodes: [usize; 3],
    devices: std::collections::BTreeSet<DeviceId>,
}

/// What is printed.
struct Report {
    json: bool,
    style: Style,
    summary: Summary,
    rules: BTreeMap<String, Count>,
    /// The first record of each episode.
    alarms: BTreeMap<DeviceId, Vec<Timestamp>>,
    /// Severities that were said of open episodes.
    said: BTreeMap<String, Severity>,
}

impl Report {
    fn new(args: &ReplayArgs, summary: Summary) -> Self {
        Self {
            json: args.json,
            style: Style {
                colour: false,
                zone: TimeZone::UTC,
            },
            summary,
            rules: BTreeMap::new(),
            alarms: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    fn take(&mut self, records: Vec<AlertRecord>) {
        let mut text = String::new();
        for record in records {
            if self.json {
                text.push_str(&json!(record).to_string());
            } else {
                text.push_str(&line::line(&record, &self.style));
            }
            text.push('\n');
            self.count(&record);
        }
        print(&text);
    }

    fn count(&mut self, record: &AlertRecord) {
        let id = record.id.as_str().to_owned();
        if record.state == AlertState::Resolved {
            self.said.remove(&id);
            return;
        }
        let count = self.rules.entry(record.rule.clone()).or_default();
        if let Some(before) = self.said.insert(id, record.severity) {
            // It became worse: the episode counts as its worst.
            count.episodes[before as usize] -= 1;
        } else {
            let alarms = self.alarms.entry(record.device.clone()).or_default();
            alarms.push(record.at);
        }
        count.episodes[record.severity as usize] += 1;
        count.devices.insert(record.device.clone());
    }

    fn end(&self, open: usize, took: Duration) {
        if self.json {
            return;
        }
        let Summary {
            readings,
            devices,
            span,
        } = self.summary;
        let faster = span.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let mut text = format!(
            "\n{readings} readings of {devices} devices over {} in {:.2} s, {faster:.0} times as fast as they came; \
             {open} episodes still open\n\n",
            length(span),
            took.as_secs_f64(),
        );
        let mut table = Table::new(&["rule", "info", "warning", "critical", "devices"], 1);
        for (rule, count) in &self.rules {
            let mut row = vec![rule.clone()];
            row.extend(count.episodes.iter().map(usize::to_string));
            row.push(count.devices.len().to_string());
            table.push(row);
        }
        if self.rules.is_empty() {
            text.push_str("nothing would have fired\n");
        } else {
            text.push_str(&table.text());
        }
        print(&text);
    }

    fn score(&self, labels: &Labels, times: &[(DeviceId, Vec<Timestamp>)]) {
        let none = Vec::new();
        let mut text = String::new();
        for (device, times) in times {
            let alarms = self.alarms.get(device).unwrap_or(&none);
            let score = Score::of(times, labels.of(device), alarms);
            if self.json {
                // On stderr, so that stdout has records alone.
                remark(&json!({ "device_id": device, "score": score }).to_string());
                continue;
            }
            let delay = score
                .median_delay()
                .map(|d| format!(", median delay {}", length(d)));
            let nab = score.nab.map(|nab| format!(", NAB score {nab:.1}"));
            // Writing to a String cannot fail.
            let _ok = writeln!(
                text,
                "\n{device}: {} of {} windows hit{}, {} false alarms after the first 15 %{}",
                score.hits(),
                score.windows,
                delay.unwrap_or_default(),
                score.false_alarms,
                nab.unwrap_or_default(),
            );
        }
        print(&text);
    }
}
