//! Where the series of indices are kept.

use std::collections::HashSet;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use redis::aio::ConnectionLike as _;

use crate::series::{self, SeriesConfig};

/// Points in one pipeline.
const AT_ONCE: usize = 500;

/// Writes points.
#[derive(Debug)]
pub(super) struct Keeper {
    time_series: bool,
    retention: Duration,
    /// Series that are there.
    made: HashSet<String>,
}

impl Keeper {
    /// As the series of devices are kept.
    pub(super) async fn find(
        connection: &mut Connection,
        config: &SeriesConfig,
    ) -> RedisResult<Self> {
        Ok(Self {
            time_series: series::are_time_series(connection, config).await?,
            retention: config.rollup_retention,
            made: HashSet::new(),
        })
    }

    /// Keeps one point of each series; one that is there already stays.
    pub(super) async fn keep(
        &mut self,
        connection: &mut Connection,
        points: &[(String, f64)],
        at: Timestamp,
    ) -> RedisResult<()> {
        for some in points.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for (key, value) in some {
                if self.time_series {
                    self.sample(&mut pipeline, key, *value, at);
                } else {
                    self.entry(&mut pipeline, key, *value, at);
                }
            }
            // What one of them refuses (a point that is there already) is no trouble for the others.
            let count = pipeline.len();
            connection.req_packed_commands(&pipeline, 0, count).await?;
        }
        Ok(())
    }

    fn sample(&mut self, pipeline: &mut redis::Pipeline, key: &str, value: f64, at: Timestamp) {
        let retention = millis(self.retention);
        if self.made.insert(key.to_owned()) {
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
