//! Stores readings with their minutes, and reads ranges of both.

use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;
use tracing::debug;

use super::backend::{Footprint, PointOutcome, Query, SeriesStore};
use super::rollup::{self, Minute, Rollups};
use super::{Point, Resolution, Samples, SeriesConfig, SeriesError, Stored};
use crate::failpoint;

/// Time without readings after which a minute counts as finished: twice the slowest usual interval.
const IDLE_MINUTE: Duration = Duration::from_mins(2);

/// Minutes computed from raw readings at a time. After a restart every device has one, and reading
/// all at once would double the memory.
const RECOMPUTE_BATCH: usize = 32;

/// The series of a partition's devices, in one backend.
#[derive(Debug)]
pub struct Series {
    store: Box<dyn SeriesStore>,
    rollups: Rollups,
    raw_retention: Duration,
    rollup_retention: Duration,
    max_batch: usize,
}

impl Series {
    pub(super) fn over(
        store: Box<dyn SeriesStore>,
        config: &SeriesConfig,
        raw_retention: Duration,
    ) -> Self {
        Self {
            store,
            rollups: Rollups::default(),
            raw_retention: config.raw_retention.unwrap_or(raw_retention),
            rollup_retention: config.rollup_retention,
            max_batch: config.max_batch.get(),
        }
    }

    /// Returns the name of the backend: `timeseries`, `plain` or `memory`.
    pub fn name(&self) -> &'static str {
        self.store.name()
    }

    /// Returns how long raw readings are kept; roll-ups are kept longer.
    pub fn raw_retention(&self) -> Duration {
        self.raw_retention
    }

    /// Replaces a broken connection. The caller then stores the same batch again.
    pub fn reconnect(&mut self, connection: Connection) {
        self.store.reconnect(connection);
    }

    /// Stores a batch, and the minutes that it completed or changed.
    pub async fn store(&mut self, points: &[Point]) -> Result<Stored, SeriesError> {
        let new = self.rollups.new_devices(points);
        if !new.is_empty() {
            let newest = self.store.newest(&new).await?;
            self.rollups.add_devices(new, newest);
        }
        let outcomes = self.store.append(points).await?;
        for (point, outcome) in points.iter().zip(&outcomes) {
            // A duplicate counts as well: it may have been written just before a crash, and its
            // minute not yet.
            if !matches!(outcome, PointOutcome::Refused(_)) {
                self.rollups.add(point);
            }
        }
        failpoint::pass("before minutes");
        let mut stored = Stored::of(outcomes);
        stored.minutes_refused = self.settle().await?;
        Ok(stored)
    }

    /// Writes open minutes of idle devices. Must be called every few seconds. Returns the device of
    /// each value that was refused.
    pub async fn close_idle(&mut self, now: Timestamp) -> Result<Vec<DeviceId>, SeriesError> {
        self.rollups.close_before(now.minus(IDLE_MINUTE));
        self.settle().await
    }

    /// Writes the minutes that are due; they stay due until that succeeds.
    async fn settle(&mut self) -> Result<Vec<DeviceId>, SeriesError> {
        let mut refused = Vec::new();
        // Minutes are three values each.
        for chunk in self.rollups.finished().chunks(self.max_batch.div_ceil(3)) {
            refused.extend(self.store.write_minutes(chunk).await?);
        }
        self.rollups.written();
        // After the finished ones: a reading may have come late for one of them.
        while let Some(stale) = self.rollups.stale(RECOMPUTE_BATCH, self.raw_retention) {
            let minutes = recompute(self.store.as_mut(), &stale).await?;
            refused.extend(self.store.write_minutes(&minutes).await?);
            self.rollups.recomputed(&stale);
        }
        Ok(refused)
    }

    /// Returns the time of each device's last stored reading; none where no reading is stored.
    pub(crate) async fn newest(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<Vec<Option<Timestamp>>, SeriesError> {
        self.store.newest(devices).await
    }

    /// Reads a range of a device's temperatures; empty if there are none.
    pub async fn range(
        &mut self,
        device: &DeviceId,
        from: Timestamp,
        to: Timestamp,
        resolution: Resolution,
    ) -> Result<Samples, SeriesError> {
        let query = Query {
            device,
            from,
            to,
            resolution,
        };
        let answer = self.store.read(&[query]).await?.pop();
        answer
            .unwrap_or_else(|| Ok(Samples::new()))
            .map_err(|reason| SeriesError::Unreadable {
                device: device.clone(),
                reason,
            })
    }

    /// Labels the series of devices by their descriptions; cheap for those that did not change.
    pub async fn describe(
        &mut self,
        devices: &[(DeviceId, Description)],
    ) -> Result<(), SeriesError> {
        self.store.describe(devices).await
    }

    /// Deletes readings older than the retention, and forgets devices silent for that long; to be
    /// called every hour.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<(), SeriesError> {
        let devices = self.rollups.devices();
        self.store.sweep(now, &devices).await?;
        self.rollups.forget(now.minus(self.raw_retention));
        Ok(())
    }

    /// Estimates the bytes that `devices` devices, read every `interval`, need once the retention is
    /// full.
    pub fn project(&self, devices: u64, interval: Duration) -> u64 {
        let Footprint {
            reading,
            minute,
            device,
        } = self.store.footprint();
        let readings = self.raw_retention.as_secs_f64() / interval.as_secs_f64().max(0.001);
        let minutes = self.rollup_retention.as_secs_f64() / rollup::MINUTE.as_secs_f64();
        let each = device + reading * readings + minute * minutes;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; a cast from a larger float gives the largest integer"
        )]
        let bytes = (each * devices as f64) as u64;
        bytes
    }
}

/// Computes minutes from their raw readings. Leaves out a minute that has none or cannot be read.
async fn recompute(
    store: &mut dyn SeriesStore,
    stale: &[(DeviceId, Timestamp)],
) -> Result<Vec<Minute>, SeriesError> {
    let queries: Vec<_> = stale
        .iter()
        .map(|(device, start)| Query {
            device,
            from: *start,
            to: start.plus(rollup::MINUTE.saturating_sub(Duration::from_millis(1))),
            resolution: Resolution::Raw,
        })
        .collect();
    let answers = store.read(&queries).await?;
    let mut minutes = Vec::with_capacity(stale.len());
    for ((device, start), answer) in stale.iter().zip(answers) {
        match answer {
            Ok(samples) => minutes.extend(Minute::of(device, *start, &samples)),
            Err(reason) => debug!(%device, reason, "minute not recomputed"),
        }
    }
    Ok(minutes)
}

impl Stored {
    fn of(outcomes: Vec<PointOutcome>) -> Self {
        let mut stored = Self::default();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                PointOutcome::Written => stored.written += 1,
                PointOutcome::Duplicate => stored.duplicates += 1,
                PointOutcome::Refused(reason) => stored.refused.push((index, reason)),
            }
        }
        stored
    }
}
