//! One-minute roll-ups: average, minimum and maximum of each device's minutes.
//!
//! In: points that were stored, in any order. Out: minutes to write. No I/O: the caller reads and
//! writes, and a minute stays due until the caller confirms it.
//!
//! A minute whose readings all came in order of time is summed on the way. Any other is stale, to be
//! computed from the raw readings: the minute that was open when the last collector stopped, and
//! each minute that got a late reading.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys::SeriesKeys;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

use super::{Aggregate, Point, Samples};

/// The length of a minute.
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// One minute of one device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Minute {
    /// Device that it belongs to.
    pub(super) device: DeviceId,
    /// First instant of the minute.
    pub(super) start: Timestamp,
    /// Mean of its readings.
    pub(super) average: Celsius,
    /// Lowest of its readings.
    pub(super) minimum: Celsius,
    /// Highest of its readings.
    pub(super) maximum: Celsius,
}

impl Minute {
    /// Computes the minute that began at `start` from all its readings; none without readings.
    pub(super) fn of(
        device: &DeviceId,
        start: Timestamp,
        samples: &[(Timestamp, Celsius)],
    ) -> Option<Self> {
        let sum = Sum::of(samples.iter().map(|(_, value)| *value))?;
        Some(sum.minute(device, start))
    }

    /// Returns one of its three values.
    pub(super) fn value(&self, which: Aggregate) -> Celsius {
        match which {
            Aggregate::Average => self.average,
            Aggregate::Minimum => self.minimum,
            Aggregate::Maximum => self.maximum,
        }
    }
}

/// Returns the three values of each minute, with their keys.
pub(super) fn values(keys: SeriesKeys, minutes: &[Minute]) -> Vec<(&Minute, Aggregate, String)> {
    minutes
        .iter()
        .flat_map(|minute| Aggregate::ALL.map(|which| (minute, which)))
        .map(|(minute, which)| (minute, which, keys.rollup(&minute.device, which.name())))
        .collect()
}

/// A sum of at least one temperature.
#[derive(Clone, Copy, Debug)]
struct Sum {
    total: f64,
    count: u32,
    minimum: Celsius,
    maximum: Celsius,
}

impl Sum {
    fn new(value: Celsius) -> Self {
        Self {
            total: value.degrees(),
            count: 1,
            minimum: value,
            maximum: value,
        }
    }

    fn of(values: impl IntoIterator<Item = Celsius>) -> Option<Self> {
        let mut values = values.into_iter();
        let mut sum = Self::new(values.next()?);
        values.for_each(|value| sum.add(value));
        Some(sum)
    }

    fn add(&mut self, value: Celsius) {
        self.total += value.degrees();
        self.count = self.count.saturating_add(1);
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
    }

    fn average(&self) -> Celsius {
        // Rounding must not put the mean outside of what was read.
        Celsius::new(self.total / f64::from(self.count))
            .unwrap_or(self.minimum)
            .max(self.minimum)
            .min(self.maximum)
    }

    fn value(&self, which: Aggregate) -> Celsius {
        match which {
            Aggregate::Average => self.average(),
            Aggregate::Minimum => self.minimum,
            Aggregate::Maximum => self.maximum,
        }
    }

    fn minute(&self, device: &DeviceId, start: Timestamp) -> Minute {
        Minute {
            device: device.clone(),
            start,
            average: self.average(),
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}

/// Aggregates samples, which are in order of time, in buckets of `width` counted from 1970.
pub(super) fn buckets(samples: &[(Timestamp, Celsius)], width: Duration, of: Aggregate) -> Samples {
    samples
        .chunk_by(|(a, _), (b, _)| a.floor(width) == b.floor(width))
        .filter_map(|bucket| {
            let start = bucket.first()?.0.floor(width);
            let sum = Sum::of(bucket.iter().map(|(_, value)| *value))?;
            Some((start, sum.value(of)))
        })
        .collect()
}

/// A minute that may still get readings.
#[derive(Debug)]
struct Open {
    start: Timestamp,
    /// Sum of its readings; none if some did not come in order.
    sum: Option<Sum>,
}

/// The progress of a device's minutes.
#[derive(Debug, Default)]
struct Track {
    /// Time of its newest reading.
    last: Timestamp,
    /// Minutes that begin before this are closed.
    closed: Timestamp,
    open: Option<Open>,
}

/// The minutes of all devices, by the state of their writing.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    tracks: HashMap<DeviceId, Track>,
    /// Minutes to compute from the raw readings.
    stale: BTreeSet<(DeviceId, Timestamp)>,
    /// Minutes that are complete and not written.
    finished: Vec<Minute>,
}

impl Rollups {
    /// Returns the devices of `points` that are new.
    pub(super) fn new_devices(&self, points: &[Point]) -> Vec<DeviceId> {
        let mut new: Vec<_> = points
            .iter()
            .filter(|point| !self.tracks.contains_key(&point.device))
            .map(|point| point.device.clone())
            .collect();
        new.sort_unstable();
        new.dedup();
        new
    }

    /// Adds new devices, with the newest stored reading of each.
    pub(super) fn add_devices(&mut self, devices: Vec<DeviceId>, newest: Vec<Option<Timestamp>>) {
        for (device, newest) in devices.into_iter().zip(newest) {
            let track = newest.map_or_else(Track::default, Track::since);
            self.tracks.insert(device, track);
        }
    }

    /// Adds a stored point of a known device.
    pub(super) fn add(&mut self, point: &Point) {
        let Some(track) = self.tracks.get_mut(&point.device) else {
            return;
        };
        let start = point.at.floor(MINUTE);
        let late = track.open.is_some() && point.at <= track.last || start < track.closed;
        track.last = track.last.max(point.at);
        match &mut track.open {
            Some(open) if open.start == start && late => open.sum = None,
            Some(open) if open.start == start => {
                if let Some(sum) = &mut open.sum {
                    sum.add(point.value);
                }
            }
            _ if late => {
                self.stale.insert((point.device.clone(), start));
            }
            open => {
                let sum = Some(Sum::new(point.value));
                if let Some(done) = open.replace(Open { start, sum }) {
                    close(&point.device, &done, &mut self.finished, &mut self.stale);
                }
                track.closed = start;
            }
        }
    }

    /// Closes the minutes that ended before `limit`.
    pub(super) fn close_before(&mut self, limit: Timestamp) {
        for (device, track) in &mut self.tracks {
            if let Some(done) = track.open.take_if(|open| open.end() <= limit) {
                track.closed = done.end();
                close(device, &done, &mut self.finished, &mut self.stale);
            }
        }
    }

    /// Returns the next stale minutes, at most `most`. Drops those whose readings may be deleted in
    /// part: the value computed earlier is better.
    pub(super) fn stale(
        &mut self,
        most: usize,
        retention: Duration,
    ) -> Option<Vec<(DeviceId, Timestamp)>> {
        let tracks = &self.tracks;
        self.stale.retain(|(device, start)| {
            tracks
                .get(device)
                .is_none_or(|track| *start >= track.last.minus(retention))
        });
        let next: Vec<_> = self.stale.iter().take(most).cloned().collect();
        (!next.is_empty()).then_some(next)
    }

    /// Confirms that the minutes of [`Rollups::stale`] are computed and written.
    pub(super) fn recomputed(&mut self, stale: &[(DeviceId, Timestamp)]) {
        for minute in stale {
            self.stale.remove(minute);
        }
    }

    /// Returns the minutes to write.
    pub(super) fn finished(&self) -> &[Minute] {
        &self.finished
    }

    /// Confirms that the minutes of [`Rollups::finished`] are written.
    pub(super) fn written(&mut self) {
        self.finished.clear();
    }

    /// Returns every known device.
    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.tracks.keys().cloned().collect()
    }

    /// Forgets devices without a reading since `limit`.
    pub(super) fn forget(&mut self, limit: Timestamp) {
        self.tracks
            .retain(|_, track| track.open.is_some() || track.last >= limit);
    }
}

impl Track {
    /// Creates the progress of a device whose readings up to `newest` were stored by another collector.
    fn since(newest: Timestamp) -> Self {
        let start = newest.floor(MINUTE);
        Self {
            last: newest,
            closed: start,
            open: Some(Open { start, sum: None }),
        }
    }
}

impl Open {
    fn end(&self) -> Timestamp {
        self.start.plus(MINUTE)
    }
}

fn close(
    device: &DeviceId,
    done: &Open,
    finished: &mut Vec<Minute>,
    stale: &mut BTreeSet<(DeviceId, Timestamp)>,
) {
    match &done.sum {
        Some(sum) => finished.push(sum.minute(device, done.start)),
        None => {
            stale.insert((device.clone(), done.start));
        }
    }
}
