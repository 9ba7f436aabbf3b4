//! Series of indices, in whichever form the series of devices have.

use std::collections::HashSet;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use redis::aio::ConnectionLike as _;

use crate::series::{self, SeriesConfig};

/// Points in one pipeline, so that Redis answers others in between.
const POINTS_PER_PIPELINE: usize = 500;

/// Writes points of index series.
#[derive(Debug)]
pub(super) struct SeriesWriter {
    time_series: bool,
    retention: Duration,
    /// Series that were created before.
    created: HashSet<String>,
}

impl SeriesWriter {
    /// Detects the form of series that Redis supports.
    pub(super) async fn detect(
        connection: &mut Connection,
        config: &SeriesConfig,
    ) -> RedisResult<Self> {
        Ok(Self {
            time_series: series::are_time_series(connection, config).await?,
            retention: config.rollup_retention,
            created: HashSet::new(),
        })
    }

    /// Writes one point of each series. A point that exists already stays as it is.
    pub(super) async fn write(
        &mut self,
        connection: &mut Connection,
        points: &[(String, f64)],
        at: Timestamp,
    ) -> RedisResult<()> {
        for chunk in points.chunks(POINTS_PER_PIPELINE) {
            let mut pipeline = redis::pipe();
            for (key, value) in chunk {
                if self.time_series {
                    self.sample(&mut pipeline, key, *value, at);
                } else {
                    self.entry(&mut pipeline, key, *value, at);
                }
            }
            // One refused point, such as one that exists already, must not fail the others.
            let count = pipeline.len();
            connection.req_packed_commands(&pipeline, 0, count).await?;
        }
        Ok(())
    }

    fn sample(&mut self, pipeline: &mut redis::Pipeline, key: &str, value: f64, at: Timestamp) {
        let retention = millis(self.retention);
        if self.created.insert(key.to_owned()) {
            pipeline
                .cmd("TS.CREATE")
                .arg(key)
                .arg("RETENTION")
                .arg(retention)
                .arg(&["DUPLICATE_POLICY", "FIRST"]);
        }
        pipeline.cmd("TS.ADD").arg(key).arg(at.millis()).arg(value);
    }

    fn entry(&self, pipeline: &mut redis::Pipeline, key: &str, value: f64, at: Timestamp) {
        let oldest = at.minus(self.retention);
        pipeline
            .cmd("XADD")
            .arg(key)
            .arg("MINID")
            .arg("~")
            .arg(oldest.millis())
            .arg(format!("{}-0", at.millis()))
            .arg("v")
            .arg(format!("{value:.3}"));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
