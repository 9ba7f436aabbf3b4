//! The output of a replay: alert records, counts by rule, and scores against labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use jiff::tz::TimeZone;
use rackwatch_core::alert::{AlertRecord, AlertState, Severity};
use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use rackwatch_core::words;
use serde_json::json;

use super::super::output::{print, remark};
use super::super::table::Table;
use crate::analysis::replay::labels::Labels;
use crate::analysis::replay::recording::Recording;
use crate::analysis::replay::score::Score;
use crate::notify::line::{self, Style, format_duration};

/// Extent of the recordings.
#[derive(Debug)]
pub(super) struct Summary {
    readings: usize,
    devices: usize,
    span: Duration,
}

impl Summary {
    /// Sums up the recordings.
    pub(super) fn new(recordings: &[Recording]) -> Self {
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

/// Counts of one rule.
#[derive(Debug, Default)]
struct Count {
    /// Episodes by the worst severity that each reached.
    episodes: [usize; 3],
    devices: BTreeSet<DeviceId>,
}

/// Printer of alert records, which also counts them.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    style: Style,
    summary: Summary,
    rules: BTreeMap<String, Count>,
    /// Time of the first record of each episode.
    alarms: BTreeMap<DeviceId, Vec<Timestamp>>,
    /// Last severity of each open episode, by alert id.
    open: BTreeMap<String, Severity>,
}

impl Report {
    /// Creates a report as text or JSON.
    pub(super) fn new(json: bool, summary: Summary) -> Self {
        Self {
            json,
            style: Style {
                colour: false,
                zone: TimeZone::UTC,
            },
            summary,
            rules: BTreeMap::new(),
            alarms: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// Prints and counts records.
    pub(super) fn add(&mut self, records: Vec<AlertRecord>) {
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
        if record.state() == AlertState::Resolved {
            self.open.remove(&id);
            return;
        }
        let count = self.rules.entry(record.rule.clone()).or_default();
        if let Some(before) = self.open.insert(id, record.severity) {
            // The episode got worse, so it moves to the worse severity.
            count.episodes[before as usize] -= 1;
        } else {
            let alarms = self
                .alarms
                .entry(record.subject.as_id().clone())
                .or_default();
            alarms.push(record.at);
        }
        count.episodes[record.severity as usize] += 1;
        count.devices.insert(record.subject.as_id().clone());
    }

    /// Prints totals and the counts of each rule.
    pub(super) fn print_totals(&self, open: usize, elapsed: Duration) {
        if self.json {
            return;
        }
        let Summary {
            readings,
            devices,
            span,
        } = self.summary;
        let faster = span.as_secs_f64() / elapsed.as_secs_f64().max(1e-6);
        let mut text = format!(
            "\n{} of {} over {} in {:.2} s, {faster:.0} times real time; {} still open\n\n",
            words::count(readings, "reading"),
            words::count(devices, "device"),
            format_duration(span),
            elapsed.as_secs_f64(),
            words::count(open, "alert"),
        );
        let mut table = Table::new(&["rule", "info", "warning", "critical", "devices"], 1);
        for (rule, count) in &self.rules {
            let mut row = vec![rule.clone()];
            row.extend(count.episodes.iter().map(usize::to_string));
            row.push(count.devices.len().to_string());
            table.push(row);
        }
        if self.rules.is_empty() {
            text.push_str("No alerts would have fired\n");
        } else {
            text.push_str(&table.text());
        }
        print(&text);
    }

    /// Prints the score of each device. `times` are the times of its readings.
    pub(super) fn print_scores(&self, labels: &Labels, times: &[(DeviceId, Vec<Timestamp>)]) {
        let none = Vec::new();
        let mut text = String::new();
        for (device, times) in times {
            let alarms = self.alarms.get(device).unwrap_or(&none);
            let score = Score::of(times, labels.of(device), alarms);
            if self.json {
                // On stderr, so that stdout contains only records.
                remark(&json!({ "device_id": device, "score": score }).to_string());
                continue;
            }
            let delay = score
                .median_delay()
                .map(|d| format!(", median delay {}", format_duration(d)));
            let nab = score.nab.map(|nab| format!(", NAB score {nab:.1}"));
            // Writing to a String cannot fail.
            let _ok = writeln!(
                text,
                "\n{device}: {} of {} anomalies detected{}, {} false alarms after the first 15 %{}",
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
