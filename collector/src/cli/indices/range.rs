//! Indices of one rack, row or room over time.

use std::time::Duration;

use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::super::bars::bar;
use super::super::table::Table;
use crate::indices::past::{Points, SeriesRange};
use crate::notify::line::{length, time};
use crate::series::history;

/// Points in a line.
const POINTS: u64 = 60;

/// The width that gives a line of points; there is one a minute.
pub(super) fn width(from: Timestamp, to: Timestamp) -> Duration {
    history::width(to.since(from), POINTS).max(Duration::from_secs(60))
}

/// A number as people read it.
struct Shown {
    index: &'static str,
    title: &'static str,
    unit: &'static str,
    /// It is a part of a whole, where 100 is best; else the largest is the worst.
    of_a_whole: bool,
}

const SHOWN: [Shown; 5] = [
    Shown {
        index: "outside",
        title: "within recommended",
        unit: "%",
        of_a_whole: true,
    },
    Shown {
        index: "rci_hi",
        title: "RCI high",
        unit: "%",
        of_a_whole: true,
    },
    Shown {
        index: "rci_lo",
        title: "RCI low",
        unit: "%",
        of_a_whole: true,
    },
    Shown {
        index: "delta_t",
        title: "ΔT",
        unit: "K",
        of_a_whole: false,
    },
    Shown {
        index: "gradient",
        title: "top above foot",
        unit: "K",
        of_a_whole: false,
    },
];

/// A line for each index that there is: on average, from least to most, and as bars.
pub(super) fn table(stretch: SeriesRange<'_>, all: &[(&'static str, Points)]) -> String {
    let zone = TimeZone::system();
    let title = format!(
        "{} {}, {} to {}, a point every {}\n",
        stretch.scope,
        stretch.name,
        time(stretch.from, &zone),
        time(stretch.to, &zone),
        length(stretch.width)
    );
    let mut table = Table::new(&["", "average", "least", "most", ""], 1);
    let mut is_empty = true;
    for shown in &SHOWN {
        let points = all.iter().find(|(index, _)| *index == shown.index);
        let points = points.map_or(&[][..], |(_, points)| points);
        if points.is_empty() {
            continue;
        }
        is_empty = false;
        let value = |(_, value): &(Timestamp, f64)| match shown.index {
            "outside" => 100.0 * (1.0 - value),
            _ => *value,
        };
        let values: Vec<f64> = points.iter().map(value).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let top = if shown.of_a_whole { 100.0 } else { most };
        let share = |value: &f64| match top - least {
            range if range > 0.0 => (value - least) / range,
            _ => 1.0,
        };
        let number = |value: f64| format!("{value:.1} {}", shown.unit);
        table.push(vec![
            shown.title.to_owned(),
            number(mean),
            number(least),
            number(most),
            values.iter().map(share).map(bar).collect(),
        ]);
    }
    if is_empty {
        return title
            + "no numbers in this time: a collector makes them once a minute, of racks with inlets\n";
    }
    title + &table.text()
}

/// One JSON document.
pub(super) fn json(stretch: SeriesRange<'_>, all: Vec<(&'static str, Points)>) -> Value {
    let each = all
        .into_iter()
        .map(|(index, points)| (index.to_owned(), json!(points)));
    json!({
        "scope": stretch.scope,
        "name": stretch.name,
        "from": stretch.from,
        "to": stretch.to,
        "every_ms": stretch.width.as_secs() * 1000,
        "indices": each.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_was() {
        let at = |minute: u64| Timestamp::from_millis(1_795_000_000_000 + minute * 60_000).unwrap();
        let stretch = SeriesRange {
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
        let text = table(stretch, &all);
        let (title, lines) = text.split_once('\n').unwrap();
        assert!(title.starts_with("room hall-1, ") && title.ends_with("every 1m"));
        assert_eq!(
            lines,
            "                    average    least     most\n\
             within recommended   75.0 %   75.0 %   75.0 %    ▁\n\
             RCI high             80.0 %   60.0 %  100.0 %  █▁▅\n\
             RCI low             100.0 %  100.0 %  100.0 %   ██\n\
             top above foot        2.0 K    1.0 K    3.0 K   ▁█\n"
        );
        assert!(table(stretch, &[]).contains("no numbers"));
    }

    #[test]
    fn a_width_gives_a_line_of_points() {
        let at = |hours: u64| Timestamp::from_millis(hours * 3_600_000).unwrap();
        for (hours, seconds) in [(1, 60), (24, 1800), (7 * 24, 10_800), (90 * 24, 86_400)] {
            assert_eq!(width(at(0), at(hours)).as_secs(), seconds, "{hours}");
        }
    }
}
