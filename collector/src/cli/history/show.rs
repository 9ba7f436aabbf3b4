//! Histories as text, comma-separated values or JSON.

use jiff::tz::TimeZone;
use rackwatch_core::alert::Severity;
use rackwatch_core::device::DeviceId;
use serde_json::{Value, json};

use super::super::bars::bar;
use super::super::output::json_text;
use super::super::table::Table;
use crate::notify::line::{Style, format_duration, time};
use crate::series::history::{Grain, History, Row};
use crate::web::read_model::Limit;

/// Maximum width of a sparkline in characters: fits into 80 columns with both ends labelled.
const SPARKLINE_WIDTH: usize = 60;

/// Returns a sparkline and a table in local time. Rows beyond a limit have the colour of its severity.
pub(super) fn table(
    device: &DeviceId,
    history: &History,
    limits: &[Limit],
    style: &Style,
) -> String {
    let zone = TimeZone::system();
    let History {
        span,
        rows,
        rollups_until,
    } = history;
    let mut text = match span.grain {
        Grain::Raw => format!("{device}, °C, raw readings\n"),
        Grain::Every(width) => format!("{device}, °C, every {}\n", format_duration(width)),
    };
    if let Some(until) = rollups_until {
        let until = time(*until, &zone);
        text = text + "from one-minute roll-ups up to " + &until + "\n";
    }
    if rows.is_empty() {
        let (from, to) = (time(span.from, &zone), time(span.to, &zone));
        return text + &format!("No readings between {from} and {to}\n");
    }
    text.push_str(&sparkline(rows, limits, style));
    text.push('\n');
    if !limits.is_empty() {
        text = text + "limits: " + &describe(limits) + "\n";
    }
    let raw = span.grain == Grain::Raw;
    let headings: &[&str] = if raw {
        &["time", "°C"]
    } else {
        &["time", "avg", "min", "max"]
    };
    let mut table = Table::new(headings, 1);
    for row in rows {
        let mut cells = vec![time(row.at, &zone)];
        cells.extend(values(row, raw).map(|value| format!("{value:.1}")));
        table.push(cells);
    }
    for (index, line) in table.text().lines().enumerate() {
        let row = index.checked_sub(1).and_then(|index| rows.get(index));
        let beyond = row.and_then(|row| beyond(std::slice::from_ref(row), limits));
        match beyond {
            Some(severity) => text.push_str(&style.paint(line, Some(severity))),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Returns the severity of the worst limit that any row crosses.
fn beyond(rows: &[Row], limits: &[Limit]) -> Option<Severity> {
    let crossed = |limit: &&Limit| {
        rows.iter().any(|row| {
            if limit.above {
                row.max > limit.at
            } else {
                row.min < limit.at
            }
        })
    };
    let crossed = limits.iter().filter(crossed);
    crossed.map(|limit| limit.severity).max()
}

/// Returns text such as `warning above 28, critical above 32`.
fn describe(limits: &[Limit]) -> String {
    let parts = limits.iter().map(|limit| {
        let way = if limit.above { "above" } else { "below" };
        format!("{} {way} {}", limit.severity, limit.at)
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn values(row: &Row, raw: bool) -> impl Iterator<Item = f64> {
    [row.avg, row.min, row.max]
        .into_iter()
        .take(if raw { 1 } else { 3 })
}

/// Returns a sparkline such as `21.3 ▁▂▃ 27.9`.
fn sparkline(rows: &[Row], limits: &[Limit], style: &Style) -> String {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for row in rows {
        low = low.min(row.min);
        high = high.max(row.max);
    }
    let chunk = rows.len().div_ceil(SPARKLINE_WIDTH).max(1);
    let bars = rows.chunks(chunk).map(|chunk| {
        let average = chunk.iter().map(|row| row.avg).sum::<f64>() / chunk.len() as f64;
        let bar = bar(if high > low {
            (average - low) / (high - low)
        } else {
            0.0
        });
        match beyond(chunk, limits) {
            Some(severity) => style.paint(&bar.to_string(), Some(severity)),
            None => bar.to_string(),
        }
    });
    let bars: String = bars.collect();
    format!("{low:.1} {bars} {high:.1}")
}

/// Returns comma-separated values with a header.
pub(super) fn csv(history: &History) -> String {
    let raw = history.span.grain == Grain::Raw;
    let mut text = String::from(if raw {
        "timestamp,temperature"
    } else {
        "timestamp,avg,min,max"
    });
    text.push('\n');
    for row in &history.rows {
        text.push_str(&row.at.to_string());
        for value in values(row, raw) {
            text.push(',');
            text.push_str(&rounded(value).to_string());
        }
        text.push('\n');
    }
    text
}

/// Rounds to thousandths, since more digits of an average are noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Returns one JSON document.
pub(super) fn json(device: &DeviceId, history: &History) -> serde_json::Result<String> {
    let raw = history.span.grain == Grain::Raw;
    let row = |row: &Row| -> Value {
        let at = row.at;
        if raw {
            return json!({ "timestamp": at, "temperature": rounded(row.avg) });
        }
        let [avg, min, max] = [row.avg, row.min, row.max].map(rounded);
        json!({ "timestamp": at, "avg": avg, "min": min, "max": max })
    };
    let every = match history.span.grain {
        Grain::Raw => None,
        Grain::Every(width) => Some(width.as_secs() * 1000),
    };
    let document = json!({
        "device_id": device,
        "from": history.span.from,
        "to": history.span.to,
        "every_ms": every,
        "rollups_until": history.rollups_until,
        "rows": history.rows.iter().map(row).collect::<Vec<_>>(),
    });
    json_text(&document)
}

#[cfg(test)]
mod tests {
    use rackwatch_core::time::Timestamp;

    use super::*;

    #[test]
    fn sparklines_span_the_range_of_values() {
        let row = |value| Row {
            at: Timestamp::default(),
            avg: value,
            min: value,
            max: value,
        };
        let rising: Vec<_> = (0..8).map(|n| row(20.0 + f64::from(n))).collect();
        let line = |rows: &[Row]| sparkline(rows, &[], &Style::plain());
        assert_eq!(line(&rising), "20.0 ▁▂▃▄▅▆▇█ 27.0");
        assert_eq!(line(&[row(21.0), row(21.0)]), "21.0 ▁▁ 21.0");
        let many: Vec<_> = (0..1000).map(|n| row(f64::from(n))).collect();
        assert!(line(&many).chars().count() <= SPARKLINE_WIDTH + 12);
    }

    #[test]
    fn values_beyond_a_limit_have_the_colour_of_its_severity() {
        let row = |value| Row {
            at: Timestamp::default(),
            avg: value,
            min: value,
            max: value,
        };
        let limit = |severity, at, above| Limit {
            rule: "inlet".to_owned(),
            severity,
            at,
            above,
        };
        let limits = [
            limit(Severity::Warning, 28.0, true),
            limit(Severity::Critical, 32.0, true),
            limit(Severity::Warning, 15.0, false),
        ];
        for (value, worst) in [
            (28.0, None),
            (28.1, Some(Severity::Warning)),
            (33.0, Some(Severity::Critical)),
            (14.0, Some(Severity::Warning)),
        ] {
            assert_eq!(beyond(&[row(value)], &limits), worst, "{value}");
        }
        let style = Style {
            colour: true,
            ..Style::plain()
        };
        let line = sparkline(&[row(20.0), row(33.0)], &limits, &style);
        assert_eq!(line, "20.0 ▁\x1b[1;31m█\x1b[0m 33.0");
        assert_eq!(
            describe(&limits),
            "warning above 28, critical above 32, warning below 15"
        );
    }
}
