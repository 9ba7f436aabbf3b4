//! Indices over time, out of their series.

use std::time::Duration;

use rackwatch_core::indices::Indices;
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, entries};
use redis::{RedisResult, cmd};

use crate::series::{self, SeriesConfig};

/// Points of one read: some 4 ms of Redis' time.
const PAGE: usize = 5_000;

/// What to read of one rack, row or room.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// `rack`, `row` or `room`.
    pub scope: &'a str,
    /// Its name.
    pub name: &'a str,
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub to: Timestamp,
    /// Points so far apart, each an average; at least a minute, since there are no others.
    pub width: Duration,
}

/// One index over time, the oldest first.
pub type Points = Vec<(Timestamp, f64)>;

/// Every index by its name, such as `rci_hi`; without points where there is no such series.
///
/// # Errors
///
/// When Redis does not answer.
pub async fn read(
    connection: &mut Connection,
    config: &SeriesConfig,
    stretch: Stretch<'_>,
) -> RedisResult<Vec<(&'static str, Points)>> {
    let are_time_series = series::are_time_series(connection, config).await?;
    let mut all = Vec::new();
    for index in Indices::NAMES {
        let key = keys::index(stretch.scope, stretch.name, index);
        let points = if are_time_series {
            of_time_series(connection, &key, stretch).await?
        } else {
            of_stream(connection, &key, stretch).await?
        };
        all.push((index, points));
    }
    Ok(all)
}

async fn of_time_series(
    connection: &mut Connection,
    key: &str,
    stretch: Stretch<'_>,
) -> RedisResult<Points> {
    let width = u64::try_from(stretch.width.as_millis()).unwrap_or(u64::MAX);
    let mut range = cmd("TS.RANGE");
    range.arg(key).arg(stretch.from.millis());
    range.arg(stretch.to.millis());
    range.arg(&["AGGREGATION", "avg"]).arg(width);
    let answer: RedisResult<Vec<(u64, f64)>> = range.query_async(connection).await;
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
    stretch: Stretch<'_>,
) -> RedisResult<Points> {
    let mut averages = Averages::every(stretch.width);
    let mut from = stretch.from.millis().to_string();
    loop {
        let mut range = cmd("XRANGE");
        range.arg(key).arg(&from).arg(stretch.to.millis());
        range.arg("COUNT").arg(PAGE);
        // What is no stream of ours has no points.
        let page = entries(range.query_async(connection).await?).unwrap_or_default();
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

/// Averages of stretches that begin at multiples of their length, as `TimeSeries` makes them.
struct Averages {
    width: Duration,
    points: Points,
    /// The stretch that is being added to.
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
