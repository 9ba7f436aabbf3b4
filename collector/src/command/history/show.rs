//! A history as text, comma-separated values or JSON.

use jiff::tz::TimeZone;
use rackwatch_core::device::DeviceId;
use serde_json::{Value, json};

use super::super::table::Table;
use crate::history::{Grain, History, Row};
use crate::notify::line::{length, time};

/// Columns of a sparkline at most.
const WIDTH: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The table with a sparkline above, times by the clock on this wall.
pub(super) fn table(device: &DeviceId, history: &History) -> String {
    let zone = TimeZone::system();
    let History {
        span,
        rows,
        rollups_until,
    } = history;
    let mut text = match span.grain {
        Grain::Raw => format!("{device}, °C, each reading\n"),
        Grain::Every(width) => format!("{device}, °C, every {}\n", length(width)),
    };
    if let Some(until) = rollups_until {
        let until = time(*until, &zone);
        text = text + "up to " + &until + " from one-minute roll-ups\n";
    }
    if rows.is_empty() {
        let (from, to) = (time(span.from, &zone), time(span.to, &zone));
        return text + &format!("no readings between {from} and {to}\n");
    }
    text.push_str(&sparkline(rows));
    text.push('\n');
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
    text + &table.text()
}

fn values(row: &Row, raw: bool) -> impl Iterator<Item = f64> {
    [row.avg, row.min, row.max]
        .into_iter()
        .take(if raw { 1 } else { 3 })
}

/// `21.3 ▁▂▃ 27.9`.
fn sparkline(rows: &[Row]) -> String {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for row in rows {
        low = low.min(row.min);
        high = high.max(row.max);
    }
    let chunk = rows.len().div_ceil(WIDTH).max(1);
    let bars = rows.chunks(chunk).map(|chunk| {
        let average = chunk.iter().map(|row| row.avg).sum::<f64>() / chunk.len() as f64;
        bar(if high > low {
            (average - low) / (high - low)
        } else {
            0.0
        })
    });
    let bars: String = bars.collect();
    format!("{low:.1} {bars} {high:.1}")
}

/// The bar that is as high as `share`, from 0 to 1.
fn bar(share: f64) -> char {
    let above = (1..BARS.len())
        .filter(|n| share >= *n as f64 / BARS.len() as f64)
        .count();
    BARS.get(above).copied().unwrap_or('█')
}

/// Comma-separated values with a header.
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

/// Averages have more digits than they know.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// One JSON document.
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
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests {
    use rackwatch_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_sparkline_reaches_from_the_coldest_to_the_warmest() {
        let row = |value| Row {
            at: Timestamp::default(),
            avg: value,
            min: value,
            max: value,
        };
        let rising: Vec<_> = (0..8).map(|n| row(20.0 + f64::from(n))).collect();
        assert_eq!(sparkline(&rising), "20.0 ▁▂▃▄▅▆▇█ 27.0");
        assert_eq!(sparkline(&[row(21.0), row(21.0)]), "21.0 ▁▁ 21.0");
        let many: Vec<_> = (0..1000).map(|n| row(f64::from(n))).collect();
        assert!(sparkline(&many).chars().count() <= WIDTH + 12);
    }
}
