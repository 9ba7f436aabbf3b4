//! The backend of series: what each of the three kinds does.

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;

use super::rollup::Minute;
use super::{Point, Resolution, Samples, SeriesError};

/// The outcome of storing one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PointOutcome {
    /// The point is stored.
    Written,
    /// A value of that time was stored before, and stays.
    Duplicate,
    /// The backend refuses it, for this reason.
    Refused(String),
}

/// A range of one device's temperatures, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// Device whose series to read.
    pub(super) device: &'a DeviceId,
    /// First instant of the range.
    pub(super) from: Timestamp,
    /// Last instant of the range.
    pub(super) to: Timestamp,
    /// Resolution of the answer.
    pub(super) resolution: Resolution,
}

/// A rough estimate of the memory that one series takes, in bytes: good enough for a warning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Footprint {
    /// Bytes of a raw reading.
    pub(super) reading: f64,
    /// Bytes of the three roll-up values of one minute.
    pub(super) minute: f64,
    /// Bytes of a device without readings.
    pub(super) device: f64,
}

/// A backend that stores series.
#[async_trait]
pub(super) trait SeriesStore: Send + std::fmt::Debug {
    /// Returns the name in configuration and status.
    fn name(&self) -> &'static str;

    /// Estimates the memory that a series takes.
    fn footprint(&self) -> Footprint;

    /// Replaces a broken connection.
    fn reconnect(&mut self, connection: Connection);

    /// Writes points; the first value of a time stays. Returns the outcome of each point.
    async fn append(&mut self, points: &[Point]) -> Result<Vec<PointOutcome>, SeriesError>;

    /// Writes minutes; the last value of a minute stays. Returns the device of each value (three
    /// a minute) that was refused.
    async fn write_minutes(&mut self, minutes: &[Minute]) -> Result<Vec<DeviceId>, SeriesError>;

    /// Reads ranges. Returns the samples of each, or the reason why it cannot be read.
    async fn read(
        &mut self,
        queries: &[Query<'_>],
    ) -> Result<Vec<Result<Samples, String>>, SeriesError>;

    /// Returns the time of each device's newest raw reading.
    async fn newest(&mut self, devices: &[DeviceId])
    -> Result<Vec<Option<Timestamp>>, SeriesError>;

    /// Labels the series of devices, if the backend has labels.
    async fn describe(&mut self, devices: &[(DeviceId, Description)]) -> Result<(), SeriesError>;

    /// Deletes readings older than the retention, if the backend does not do so by itself.
    async fn sweep(&mut self, now: Timestamp, devices: &[DeviceId]) -> Result<(), SeriesError>;
}
