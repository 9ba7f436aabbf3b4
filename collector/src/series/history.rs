//! Reads the history of a device: raw readings, and roll-ups where those are deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

use crate::series::{Aggregate, Resolution, Series, SeriesError};

const MINUTE: Duration = Duration::from_secs(60);

/// The resolution of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Raw readings, one row each.
    Raw,
    /// Readings aggregated in buckets of this width.
    Every(Duration),
}

/// The range and resolution to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) grain: Grain,
}

/// One row of a history; all three values are equal for a raw reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) at: Timestamp,
    pub(crate) avg: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Widths of buckets that people can read off an axis, in seconds.
const WIDTHS: [u64; 13] = [
    1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400,
];

/// Returns the smallest width that divides `range` into at most `points` buckets; at most a day.
pub(crate) fn width(range: Duration, points: u64) -> Duration {
    let fits = |width: &u64| range.as_secs() / width <= points;
    Duration::from_secs(WIDTHS.into_iter().find(fits).unwrap_or(86_400))
}

/// The rows that were read, with their resolution.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Resolution of the rows, which may be coarser than the request.
    pub(crate) span: Span,
    pub(crate) rows: Vec<Row>,
    /// Time up to which rows come from one-minute roll-ups.
    pub(crate) rollups_until: Option<Timestamp>,
}

/// Reads the span at the finest resolution that is still stored.
pub(crate) async fn fetch(
    series: &mut Series,
    device: &DeviceId,
    span: Span,
    now: Timestamp,
) -> Result<History, SeriesError> {
    let kept_from = now.minus(series.raw_retention());
    match span.grain {
        Grain::Raw => each(series, device, span).await,
        Grain::Every(width) if span.from >= kept_from => {
            let from = span.from.floor(width);
            let span = Span { from, ..span };
            let rows = buckets(series, device, span, width).await?;
            let rollups_until = None;
            Ok(History {
                span,
                rows,
                rollups_until,
            })
        }
        Grain::Every(width) => old_and_new(series, device, span, width, kept_from).await,
    }
}

async fn each(series: &mut Series, device: &DeviceId, span: Span) -> Result<History, SeriesError> {
    let Span { from, to, .. } = span;
    let samples = series.range(device, from, to, Resolution::Raw).await?;
    let row = |(at, value): (Timestamp, Celsius)| {
        let value = value.degrees();
        Row {
            at,
            avg: value,
            min: value,
            max: value,
        }
    };
    let rows = samples.into_iter().map(row).collect();
    let rollups_until = None;
    Ok(History {
        span,
        rows,
        rollups_until,
    })
}

/// Reads roll-ups for the part whose readings are deleted, then readings.
async fn old_and_new(
    series: &mut Series,
    device: &DeviceId,
    Span { from, to, .. }: Span,
    width: Duration,
    kept_from: Timestamp,
) -> Result<History, SeriesError> {
    let width = whole_minutes(width);
    let from = from.floor(width);
    let grain = Grain::Every(width);
    // The first bucket that still has all its readings.
    let split = kept_from.floor(width).plus(width);
    let last = split.minus(Duration::from_millis(1)).min(to);
    let old = Span {
        from,
        to: last,
        grain,
    };
    let mut rows = together(read(series, device, old, Resolution::Minutes).await?, width);
    if to >= split {
        let new = Span {
            from: split,
            to,
            grain,
        };
        rows.extend(buckets(series, device, new, width).await?);
    }
    let span = Span { from, to, grain };
    let rollups_until = Some(last);
    Ok(History {
        span,
        rows,
        rollups_until,
    })
}

async fn buckets(
    series: &mut Series,
    device: &DeviceId,
    span: Span,
    width: Duration,
) -> Result<Vec<Row>, SeriesError> {
    let resolution = |which| Resolution::Buckets(width, which);
    read(series, device, span, resolution).await
}

/// Rounds up to whole minutes.
fn whole_minutes(width: Duration) -> Duration {
    MINUTE.saturating_mul(u32::try_from(width.as_secs().div_ceil(60)).unwrap_or(u32::MAX))
}

async fn read(
    series: &mut Series,
    device: &DeviceId,
    Span { from, to, .. }: Span,
    resolution: impl Fn(Aggregate) -> Resolution,
) -> Result<Vec<Row>, SeriesError> {
    let avg = series
        .range(device, from, to, resolution(Aggregate::Average))
        .await?;
    let min = series
        .range(device, from, to, resolution(Aggregate::Minimum))
        .await?;
    let max = series
        .range(device, from, to, resolution(Aggregate::Maximum))
        .await?;
    let min: BTreeMap<_, _> = min.into_iter().collect();
    let max: BTreeMap<_, _> = max.into_iter().collect();
    // A stretch that is being written while this reads may have only some of the three.
    let row = |(at, avg): (Timestamp, Celsius)| {
        let degrees = |of: &BTreeMap<_, Celsius>| of.get(&at).copied().unwrap_or(avg).degrees();
        Row {
            at,
            avg: avg.degrees(),
            min: degrees(&min),
            max: degrees(&max),
        }
    };
    Ok(avg.into_iter().map(row).collect())
}

/// Aggregates minutes in wider buckets.
fn together(minutes: Vec<Row>, width: Duration) -> Vec<Row> {
    let mut rows: Vec<(Row, f64)> = Vec::new();
    for minute in minutes {
        let at = minute.at.floor(width);
        match rows.last_mut() {
            Some((row, count)) if row.at == at => {
                *count += 1.0;
                row.avg += (minute.avg - row.avg) / *count;
                row.min = row.min.min(minute.min);
                row.max = row.max.max(minute.max);
            }
            _ => rows.push((Row { at, ..minute }, 1.0)),
        }
    }
    rows.into_iter().map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_come_together() {
        let minute = |n: u64, avg| {
            let at = Timestamp::from_millis(n * 60_000).unwrap();
            Row {
                at,
                avg,
                min: avg - 1.0,
                max: avg + 1.0,
            }
        };
        let rows = together(
            vec![minute(0, 20.0), minute(4, 22.0), minute(5, 30.0)],
            Duration::from_secs(300),
        );
        assert_eq!(
            rows,
            [
                Row {
                    avg: 21.0,
                    min: 19.0,
                    max: 23.0,
                    ..minute(0, 0.0)
                },
                minute(5, 30.0)
            ]
        );
        assert_eq!(
            whole_minutes(Duration::from_secs(61)),
            Duration::from_secs(120)
        );
    }
}
