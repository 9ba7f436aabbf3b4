//! Indices over time, read from their series.

use std::time::Duration;

use rackwatch_core::indices::Indices;
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, entries};
use redis::{RedisResult, cmd};

use crate::series::{self, SeriesConfig};

/// Points of one read, which takes Redis some 4 ms.
const PAGE: usize = 5_000;

/// A range of the index series of one place.
#[derive(Clone, Copy, Debug)]
pub struct SeriesRange<'a> {
    /// The kind of place: `rack`, `row` or `room`.
    pub scope: &'a str,
    /// The name of the place.
    pub name: &'a str,
    /// The start of the range, inclusive.
    pub from: Timestamp,
    /// The end of the range, inclusive.
    pub to: Timestamp,
    /// The time that one point averages: at least a minute, the interval of stored points.
    pub width: Duration,
}

/// The points of one index, the oldest first.
pub type Points = Vec<(Timestamp, f64)>;

/// Reads every index, with its name such as `rci_hi`. A missing series has no points.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read(
    connection: &mut Connection,
    config: &SeriesConfig,
    range: SeriesRange<'_>,
) -> RedisResult<Vec<(&'static str, Points)>> {
    let are_time_series = series::are_time_series(connection, config).await?;
    let mut all = Vec::new();
    for index in Indices::NAMES {
        let key = keys::index(range.scope, range.name, index);
        let points = if are_time_series {
            of_time_series(connection, &key, range).await?
        } else {
            of_stream(connection, &key, range).await?
        };
        all.push((index, points));
    }
    Ok(all)
}

async fn of_time_series(
    connection: &mut Connection,
    key: &str,
    range: SeriesRange<'_>,
) -> RedisResult<Points> {
    let width = u64::try_from(range.width.as_millis()).unwrap_or(u64::MAX);
    let mut read = cmd("TS.RANGE");
    read.arg(key).arg(range.from.millis());
    read.arg(range.to.millis());
    read.arg(&["AGGREGATION", "avg"]).arg(width);
    let answer: RedisResult<Vec<(u64, f64)>> = read.query_async(connection).await;
    let points = match answer {
        Err(error) if series::is_missing(&error) => Vec::new(),
        answer => answer?,
    };
    let point = |(at, value)| Some((Timestamp::from_millis(at)?, value));
    Ok(points.into_iter().filter_map(point).collect())
}

async fn of_stream(
    connection: &mut Connection,
    key: &str,
    range: SeriesRange<'_>,
) -> RedisResult<Points> {
    let mut averages = Averages::every(range.width);
    let mut from = range.from.millis().to_string();
    loop {
        let mut read = cmd("XRANGE");
        read.arg(key).arg(&from).arg(range.to.millis());
        read.arg("COUNT").arg(PAGE);
        // A stream of another program has no points.
        let page = entries(read.query_async(connection).await?).unwrap_or_default();
        for entry in &page {
            let fields = entry.fields.as_deref().unwrap_or_default();
            let value = fields.iter().find(|(name, _)| name == b"v");
            let value = value.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
            if let (Some(at), Some(value)) = (Timestamp::from_millis(entry.id.0), value) {
                averages.add(at, value);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => from = format!("({}-{}", last.id.0, last.id.1),
            _ => return Ok(averages.points()),
        }
    }
}

/// Averages over buckets that begin at multiples of their width, as `TimeSeries` computes them.
struct Averages {
    width: Duration,
    points: Points,
    /// The start, sum and count of the current bucket.
    open: Option<(Timestamp, f64, u32)>,
}

impl Averages {
    fn every(width: Duration) -> Self {
        Self {
            width,
            points: Points::new(),
            open: None,
        }
    }

    fn add(&mut self, at: Timestamp, value: f64) {
        let begin = at.floor(self.width);
        match &mut self.open {
            Some((of, sum, count)) if *of == begin => {
                *sum += value;
                *count += 1;
            }
            _ => {
                self.close();
                self.open = Some((begin, value, 1));
            }
        }
    }

    fn close(&mut self) {
        if let Some((begin, sum, count)) = self.open.take() {
            self.points.push((begin, sum / f64::from(count)));
        }
    }

    fn points(mut self) -> Points {
        self.close();
        self.points
    }
}
