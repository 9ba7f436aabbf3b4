//! Readings out of the series: raw ones, and roll-ups where those are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;

use crate::series::{Aggregate, Resolution, Series, SeriesError};

const MINUTE: Duration = Duration::from_secs(60);

/// How fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// Each reading by itself.
    Raw,
    /// Those together that fall into one stretch of this length.
    Every(Duration),
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) grain: Grain,
}

/// One line of a history; all three the same for a single reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) at: Timestamp,
    pub(super) avg: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// As it was read in the end, which may be coarser than asked for.
    pub(super) span: Span,
    pub(super) rows: Vec<Row>,
    /// Up to here the rows are made of one-minute roll-ups.
    pub(super) rollups_until: Option<Timestamp>,
}

/// Reads the span, as fine as it is still kept.
pub(super) async fn fetch(
    series: &mut Series,
    device: &DeviceId,
    span: Span,
    now: Timestamp,
) -> Result<History, SeriesError> {
    let Grain::Every(width) = span.grain else {
        let samples = series
            .range(device, span.from, span.to, Resolution::Raw)
            .await?;
        let row = |(at, value): (Timestamp, rackwatch_core::units::Celsius)| {
            let value = value.degrees();
            Row {
                at,
                avg: value,
                min: value,
                max: value,
            }
        };
        let rows = samples.into_iter().map(row).collect();
        return Ok(History {
            span,
            rows,
            rollups_until: None,
        });
    };
    let kept_from = now.minus(series.raw_retention());
    if span.from >= kept_from {
        let span = Span {
            from: span.from.floor(width),
            ..span
        };
        let rows = read(series, device, span, |which| {
            Resolution::Buckets(width, which)
        })
        .await?;
        return Ok(History {
            span,
            rows,
            rollups_until: None,
        });
    }
    let width = whole_minutes(width);
    let grain = Grain::Every(width);
    let span = Span {
        from: span.from.floor(width),
        to: span.to,
        grain,
    };
    // The first stretch of which no reading is gone yet.
    let split = kept_from.floor(width).plus(width);
    let last = split.minus(Duration::from_millis(1)).min(span.to);
    let old = Span { to: last, ..span };
    let mut rows = together(read(series, device, old, Resolution::Minutes).await?, width);
    if span.to >= split {
        let new = Span {
            from: split,
            ..span
        };
        rows.extend(
            read(series, device, new, |which| {
                Resolution::Buckets(width, which)
            })
            .await?,
        );
    }
    Ok(History {
        span,
        rows,
        rollups_until: Some(last),
    })
}

/// The next whole number of minutes.
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
    let row = |(at, avg): (Timestamp, rackwatch_core::units::Celsius)| {
        let degrees = |of: &BTreeMap<_, rackwatch_core::units::Celsius>| {
            of.get(&at).copied().unwrap_or(avg).degrees()
        };
        Row {
            at,
            avg: avg.degrees(),
            min: degrees(&min),
            max: degrees(&max),
        }
    };
    Ok(avg.into_iter().map(row).collect())
}

/// Minutes put together in longer stretches.
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
