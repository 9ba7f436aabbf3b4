//! Cooling indices of one rack, row or room over time.

use std::time::Duration;

use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::super::bars::bar;
use super::super::table::Table;
use crate::indices::past::{Points, SeriesRange};
use crate::notify::line::{format_duration, time};
use crate::series::history;

/// Maximum number of points in a sparkline, to fit beside the other columns.
const POINTS: u64 = 60;
/// Interval at which collectors compute indices.
const MIN_WIDTH: Duration = Duration::from_mins(1);

/// Returns the interval between points of a sparkline over the whole range.
pub(super) fn width(from: Timestamp, to: Timestamp) -> Duration {
    history::width(to.since(from), POINTS).max(MIN_WIDTH)
}

/// Presentation of one index.
struct IndexStyle {
    index: &'static str,
    title: &'static str,
    unit: &'static str,
    /// Whether 100 is the best possible value. Bars then end at 100, else at the largest value.
    percentage: bool,
}

/// Indices in the order of the table.
const STYLES: [IndexStyle; 6] = [
    IndexStyle {
        index: "outside",
        title: "within recommended",
        unit: "%",
        percentage: true,
    },
    IndexStyle {
        index: "rci_hi",
        title: "RCI high",
        unit: "%",
        percentage: true,
    },
    IndexStyle {
        index: "rci_lo",
        title: "RCI low",
        unit: "%",
        percentage: true,
    },
    IndexStyle {
        index: "delta_t",
        title: "ΔT",
        unit: "K",
        percentage: false,
    },
    IndexStyle {
        index: "gradient",
        title: "top-to-bottom ΔT",
        unit: "K",
        percentage: false,
    },
    IndexStyle {
        index: "coverage",
        title: "inlets with data",
        unit: "%",
        percentage: true,
    },
];

/// Returns a row for each index with points: average, minimum, maximum and sparkline.
pub(super) fn table(range: SeriesRange<'_>, all: &[(&'static str, Points)]) -> String {
    let zone = TimeZone::system();
    let title = format!(
        "{} {}, {} to {}, a point every {}\n",
        range.scope,
        range.name,
        time(range.from, &zone),
        time(range.to, &zone),
        format_duration(range.width)
    );
    let mut table = Table::new(&["index", "avg", "min", "max", ""], 1);
    let mut is_empty = true;
    for style in &STYLES {
        let points = all.iter().find(|(index, _)| *index == style.index);
        let points = points.map_or(&[][..], |(_, points)| points);
        if points.is_empty() {
            continue;
        }
        is_empty = false;
        let value = |(_, value): &(Timestamp, f64)| match style.index {
            "outside" => 100.0 * (1.0 - value),
            "coverage" => 100.0 * value,
            _ => *value,
        };
        let values: Vec<f64> = points.iter().map(value).collect();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let top = if style.percentage { 100.0 } else { max };
        let share = |value: &f64| match top - min {
            height if height > 0.0 => (value - min) / height,
            _ => 1.0,
        };
        let number = |value: f64| format!("{value:.1} {}", style.unit);
        table.push(vec![
            style.title.to_owned(),
            number(mean),
            number(min),
            number(max),
            values.iter().map(share).map(bar).collect(),
        ]);
    }
    if is_empty {
        return title
            + "No data in this range: a running collector computes indices every minute, for racks with inlet sensors\n";
    }
    title + &table.text()
}

/// Returns the range and its indices as JSON.
pub(super) fn json(range: SeriesRange<'_>, all: Vec<(&'static str, Points)>) -> Value {
    let each = all
        .into_iter()
        .map(|(index, points)| (index.to_owned(), json!(points)));
    json!({
        "scope": range.scope,
        "name": range.name,
        "from": range.from,
        "to": range.to,
        "every_ms": range.width.as_secs() * 1000,
        "indices": each.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_with_points_has_a_row() {
        let at = |minute: u64| Timestamp::from_millis(1_795_000_000_000 + minute * 60_000).unwrap();
        let range = SeriesRange {
            scope: "room",
            name: "hall-1",
            from: at(0),
            to: at(60),
            width: Duration::from_secs(60),
        };
        let all = [
            ("rci_hi", vec![(at(0), 100.0), (at(1), 60.0), (at(2), 80.0)]),
            ("rci_lo", vec![(at(0), 100.0), (at(1), 100.0)]),
            ("outside", vec![(at(0), 0.25)]),
            ("gradient", vec![(at(0), 1.0), (at(1), 3.0)]),
            ("delta_t", Points::new()),
        ];
        let text = table(range, &all);
        let (title, lines) = text.split_once('\n').unwrap();
        assert!(title.starts_with("room hall-1, ") && title.ends_with("every 1m"));
        assert_eq!(
            lines,
            "index                   avg      min      max\n\
             within recommended   75.0 %   75.0 %   75.0 %    ▁\n\
             RCI high             80.0 %   60.0 %  100.0 %  █▁▅\n\
             RCI low             100.0 %  100.0 %  100.0 %   ██\n\
             top-to-bottom ΔT      2.0 K    1.0 K    3.0 K   ▁█\n"
        );
        assert!(table(range, &[]).contains("No data"));
    }

    #[test]
    fn the_width_fits_the_range() {
        let at = |hours: u64| Timestamp::from_millis(hours * 3_600_000).unwrap();
        for (hours, seconds) in [(1, 60), (24, 1800), (7 * 24, 10_800), (90 * 24, 86_400)] {
            assert_eq!(width(at(0), at(hours)).as_secs(), seconds, "{hours}");
        }
    }
}
