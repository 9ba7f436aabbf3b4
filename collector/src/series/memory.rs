//! Series in this process, for the demo.
//!
//! In: points. Out: the same answers as from Redis. Bounded by the retention, counted from a
//! device's newest reading; all is lost when the process ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;

use super::backend::{Footprint, PointOutcome, Query, SeriesStore};
use super::rollup::{Minute, buckets};
use super::{Aggregate, Point, Resolution, Samples, SeriesConfig, SeriesError};

/// Default retention of raw readings: longer than a demo runs.
pub(super) const RETENTION: Duration = Duration::from_hours(6);

#[derive(Debug, Default)]
struct Device {
    raw: BTreeMap<Timestamp, Celsius>,
    minutes: BTreeMap<Timestamp, [Celsius; 3]>,
}

/// Samples and minutes, shared by all that have the series open.
#[derive(Debug)]
pub(super) struct DeviceSeries {
    devices: HashMap<DeviceId, Device>,
    raw_retention: Duration,
    rollup_retention: Duration,
}

/// A backend in this process.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Mutex<DeviceSeries>>);

impl Memory {
    pub(super) fn new(config: &SeriesConfig) -> Self {
        Self(Arc::new(Mutex::new(DeviceSeries::new(config))))
    }

    fn kept(&self) -> MutexGuard<'_, DeviceSeries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeviceSeries {
    fn new(config: &SeriesConfig) -> Self {
        Self {
            devices: HashMap::new(),
            raw_retention: config.raw_retention.unwrap_or(RETENTION),
            rollup_retention: config.rollup_retention,
        }
    }

    fn device(&mut self, id: &DeviceId) -> &mut Device {
        // Not `entry`: it wants a key of its own for each point.
        if !self.devices.contains_key(id) {
            self.devices.insert(id.clone(), Device::default());
        }
        self.devices.entry(id.clone()).or_default()
    }

    fn keep(&mut self, point: &Point) -> PointOutcome {
        let retention = self.raw_retention;
        let raw = &mut self.device(&point.device).raw;
        let newest = raw.last_key_value().map_or(point.at, |(at, _)| *at);
        let oldest = newest.max(point.at).minus(retention);
        if point.at < oldest {
            return PointOutcome::Refused("older than the retention".to_owned());
        }
        if raw.contains_key(&point.at) {
            return PointOutcome::Duplicate;
        }
        raw.insert(point.at, point.value);
        drop_before(raw, oldest);
        PointOutcome::Written
    }

    fn answer(&self, query: &Query<'_>) -> Samples {
        let Some(device) = self.devices.get(query.device) else {
            return Samples::new();
        };
        if query.from > query.to {
            return Samples::new();
        }
        let span = query.from..=query.to;
        let raw = || {
            device
                .raw
                .range(span.clone())
                .map(|(at, value)| (*at, *value))
        };
        match query.resolution {
            Resolution::Raw => raw().collect(),
            Resolution::Buckets(width, which) => buckets(&raw().collect::<Samples>(), width, which),
            Resolution::Minutes(which) => device
                .minutes
                .range(span)
                .map(|(at, values)| (*at, values[which as usize]))
                .collect(),
        }
    }
}

fn drop_before<V>(kept: &mut BTreeMap<Timestamp, V>, oldest: Timestamp) {
    while let Some(first) = kept.first_entry()
        && *first.key() < oldest
    {
        first.remove();
    }
}

#[async_trait]
impl SeriesStore for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            reading: 24.0,
            minute: 48.0,
            device: 500.0,
        }
    }

    fn reconnect(&mut self, _connection: Connection) {}

    async fn append(&mut self, points: &[Point]) -> Result<Vec<PointOutcome>, SeriesError> {
        let mut kept = self.kept();
        Ok(points.iter().map(|point| kept.keep(point)).collect())
    }

    async fn write_minutes(&mut self, minutes: &[Minute]) -> Result<Vec<DeviceId>, SeriesError> {
        let mut all = self.kept();
        let retention = all.rollup_retention;
        for minute in minutes {
            let kept = &mut all.device(&minute.device).minutes;
            kept.insert(
                minute.start,
                Aggregate::ALL.map(|which| minute.value(which)),
            );
            if let Some((newest, _)) = kept.last_key_value() {
                let oldest = newest.minus(retention);
                drop_before(kept, oldest);
            }
        }
        Ok(Vec::new())
    }

    async fn read(
        &mut self,
        queries: &[Query<'_>],
    ) -> Result<Vec<Result<Samples, String>>, SeriesError> {
        let kept = self.kept();
        Ok(queries.iter().map(|query| Ok(kept.answer(query))).collect())
    }

    async fn newest(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<Vec<Option<Timestamp>>, SeriesError> {
        let kept = self.kept();
        let newest = |id| {
            let (at, _) = kept.devices.get(id)?.raw.last_key_value()?;
            Some(*at)
        };
        Ok(devices.iter().map(newest).collect())
    }

    async fn describe(&mut self, _devices: &[(DeviceId, Description)]) -> Result<(), SeriesError> {
        Ok(())
    }

    async fn sweep(&mut self, now: Timestamp, _devices: &[DeviceId]) -> Result<(), SeriesError> {
        let mut kept = self.kept();
        let (raw, minutes) = (kept.raw_retention, kept.rollup_retention);
        for device in kept.devices.values_mut() {
            drop_before(&mut device.raw, now.minus(raw));
            drop_before(&mut device.minutes, now.minus(minutes));
        }
        kept.devices
            .retain(|_, device| !(device.raw.is_empty() && device.minutes.is_empty()));
        Ok(())
    }
}
