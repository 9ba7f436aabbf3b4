//! One-minute roll-ups: average, minimum and maximum of each device's minutes.
//!
//! In: the points that were kept, in any order. Out: minutes to write. No I/O: what has to be read
//! or written is handed out, and stays due until the caller says that it worked.
//!
//! A minute whose readings all came through here in order of time is added up on the way. Any
//! other is named as stale, to be computed from the raw readings: the minute of the newest reading
//! that was there when a device was met (it was open when the last collector stopped), and each
//! minute that got a reading late.

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
    /// Which device.
    pub(super) device: DeviceId,
    /// When it began.
    pub(super) start: Timestamp,
    /// The mean of its readings.
    pub(super) average: Celsius,
    /// The coldest.
    pub(super) minimum: Celsius,
    /// The warmest.
    pub(super) maximum: Celsius,
}

impl Minute {
    /// The minute that began at `start`, from all its readings; none if there are none.
    pub(super) fn of(
        device: &DeviceId,
        start: Timestamp,
        samples: &[(Timestamp, Celsius)],
    ) -> Option<Self> {
        let sum = Sum::of(samples.iter().map(|(_, value)| *value))?;
        Some(sum.minute(device, start))
    }

    /// One of its three values.
    pub(super) fn value(&self, which: Aggregate) -> Celsius {
        match which {
            Aggregate::Average => self.average,
            Aggregate::Minimum => self.minimum,
            Aggregate::Maximum => self.maximum,
        }
    }
}

/// The three values of each minute, with the keys that they belong under.
pub(super) fn values(keys: SeriesKeys, minutes: &[Minute]) -> Vec<(&Minute, Aggregate, String)> {
    minutes
        .iter()
        .flat_map(|minute| Aggregate::ALL.map(|which| (minute, which)))
        .map(|(minute, which)| (minute, which, keys.rollup(&minute.device, which.name())))
        .collect()
}

/// Temperatures being added up; never none.
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

/// Puts samples, in order of time, together in buckets of `width` counted from 1970.
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

/// A minute that is still being added up.
#[derive(Debug)]
struct Open {
    start: Timestamp,
    /// None where it has readings that did not come through here in order.
    sum: Option<Sum>,
}

/// How far a device's minutes are.
#[derive(Debug, Default)]
struct Track {
    /// Its newest reading.
    last: Timestamp,
    /// Minutes that begin before this are closed.
    closed: Timestamp,
    open: Option<Open>,
}

/// The minutes of all devices.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    tracks: HashMap<DeviceId, Track>,
    /// Minutes to compute from the raw readings.
    stale: BTreeSet<(DeviceId, Timestamp)>,
    /// Minutes to write.
    finished: Vec<Minute>,
}

impl Rollups {
    /// The devices of `points` that were not met yet.
    pub(super) fn newcomers(&self, points: &[Point]) -> Vec<DeviceId> {
        let mut newcomers: Vec<_> = points
            .iter()
            .filter(|point| !self.tracks.contains_key(&point.device))
            .map(|point| point.device.clone())
            .collect();
        newcomers.sort_unstable();
        newcomers.dedup();
        newcomers
    }

    /// Takes note of devices and the newest reading that is kept of each.
    pub(super) fn meet(&mut self, devices: Vec<DeviceId>, newest: Vec<Option<Timestamp>>) {
        for (device, newest) in devices.into_iter().zip(newest) {
            let track = newest.map_or_else(Track::default, Track::since);
            self.tracks.insert(device, track);
        }
    }

    /// Takes a point that is kept, of a device that was met.
    pub(super) fn take(&mut self, point: &Point) {
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

    /// The next minutes, at most `most`, to compute from the raw readings. Drops those whose
    /// readings may be gone in part: what was computed while they were there is better.
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

    /// The minutes that [`Rollups::stale`] gave are computed and written.
    pub(super) fn recomputed(&mut self, stale: &[(DeviceId, Timestamp)]) {
        for minute in stale {
            self.stale.remove(minute);
        }
    }

    /// Minutes to write.
    pub(super) fn finished(&self) -> &[Minute] {
        &self.finished
    }

    /// The minutes that [`Rollups::finished`] gave are written.
    pub(super) fn written(&mut self) {
        self.finished.clear();
    }

    /// Every device seen.
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
    /// A device with readings up to `newest` that did not come through here.
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
