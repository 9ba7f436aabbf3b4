//! The range over which a device moved lately: short ago in periods of ten minutes, before that in hours.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::differences;
use crate::units::Celsius;

/// The length of a short period, in seconds.
const PERIOD: u32 = 600;
/// The number of short periods, and of those that make a long one.
const SHORT: u32 = 6;
/// The number of long periods.
const LONG: u32 = 6;
/// The time constant of the mean that stands for the temperature, in seconds. The air in front of a rack swings by
/// half a kelvin from one sample to the next, which is no movement of the room.
const MEAN: f64 = 30.0;

/// The range over which a device moved lately. Each period has a lowest and a highest temperature, in tenths of a
/// degree: a tenth more or less decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HistoryJson", into = "HistoryJson")]
pub struct MovementHistory {
    /// The mean of the last readings, in °C.
    mean: f32,
    /// The number of the newest short period, counted from 1970; zero before the first reading.
    newest: u32,
    /// The short periods, each at its number modulo their count.
    short: [Range; SHORT as usize],
    /// The long ones, in the same way.
    long: [Range; LONG as usize],
}

/// The lowest and the highest temperature of a period, in tenths of a degree.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    low: i16,
    high: i16,
}

impl Range {
    const EMPTY: Self = Self {
        low: i16::MAX,
        high: i16::MIN,
    };

    fn add(&mut self, other: Self) {
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
    }
}

impl Default for MovementHistory {
    fn default() -> Self {
        Self {
            mean: 0.0,
            newest: 0,
            short: [Range::EMPTY; SHORT as usize],
            long: [Range::EMPTY; LONG as usize],
        }
    }
}

impl MovementHistory {
    /// Takes in the temperature at `at`, in seconds from 1970, `gap` after the last one.
    pub fn observe(&mut self, at: u32, gap: Duration, value: Celsius) {
        let period = at / PERIOD;
        let value = value.degrees();
        let mean = if self.newest == 0 {
            value
        } else {
            let gap = gap.as_secs_f64();
            let mean = f64::from(self.mean);
            mean + (value - mean) * gap / (gap + MEAN)
        };
        self.turn(period);
        #[expect(clippy::cast_possible_truncation, reason = "temperatures are small")]
        let tenths = (mean * 10.0).round() as i16;
        let now = Range {
            low: tenths,
            high: tenths,
        };
        self.short[place(period, SHORT)].add(now);
        self.long[place(period / SHORT, LONG)].add(now);
        #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
        let mean = mean as f32;
        self.mean = mean;
    }

    /// Empties the periods between the newest one and this one.
    fn turn(&mut self, period: u32) {
        clear(&mut self.short, SHORT, self.newest, period);
        clear(&mut self.long, LONG, self.newest / SHORT, period / SHORT);
        self.newest = self.newest.max(period);
    }

    /// Returns the range, in hundredths of a kelvin, over which the device has moved since a time in seconds from
    /// 1970, within the periods that are kept; none where it was read for less than half of that time.
    pub fn since(&self, since: u32) -> Option<i16> {
        // Periods that began later. The one in which it falls may have moved before it.
        let first = since / PERIOD + 1;
        let first_hour = first.div_ceil(SHORT);
        let mut range = Range::EMPTY;
        let mut oldest = self.newest;
        let hours = recent(&self.long, LONG, self.newest / SHORT, first_hour);
        let periods = recent(&self.short, SHORT, self.newest, first);
        let hours = hours.map(|(hour, range)| (hour * SHORT, range));
        for (period, known) in hours.chain(periods) {
            range.add(known);
            oldest = oldest.min(period);
        }
        let is_old =
            self.newest.saturating_sub(oldest) * 2 >= self.newest.saturating_sub(first).min(REACH);
        (range.low <= range.high && is_old)
            .then(|| range.high.saturating_sub(range.low).saturating_mul(10))
    }
}

/// The short periods that the long ones reach back.
const REACH: u32 = (LONG - 1) * SHORT;

/// Returns the index of a period.
fn place(period: u32, count: u32) -> usize {
    (period % count) as usize
}

/// Empties the periods after the `newest` one up to `now`.
fn clear(periods: &mut [Range], count: u32, newest: u32, now: u32) {
    for period in (newest.saturating_add(1)..=now).rev().take(periods.len()) {
        periods[place(period, count)] = Range::EMPTY;
    }
}

/// Returns the periods that are kept, from the `first` on, which have readings.
fn recent(
    periods: &[Range],
    count: u32,
    newest: u32,
    first: u32,
) -> impl Iterator<Item = (u32, Range)> {
    let oldest = newest.saturating_sub(count - 1).max(first);
    let kept = (oldest..=newest).map(move |period| (period, periods[place(period, count)]));
    kept.filter(|(_, range)| range.low <= range.high)
}

/// In JSON an array: the mean, the newest period, and lowest and highest of the short and the long periods as
/// [differences], the oldest first.
type HistoryJson = (f32, u32, String);

impl From<MovementHistory> for HistoryJson {
    fn from(history: MovementHistory) -> Self {
        let newest = history.newest;
        let short = oldest_first(newest, SHORT).map(|place| history.short[place]);
        let long = oldest_first(newest / SHORT, LONG).map(|place| history.long[place]);
        let values = short.chain(long).flat_map(|range| {
            let is_known = range.low <= range.high;
            [range.low, range.high].map(|value| is_known.then_some(value))
        });
        let text = if newest == 0 {
            String::new()
        } else {
            differences::text(values)
        };
        (history.mean, newest, text)
    }
}

impl TryFrom<HistoryJson> for MovementHistory {
    type Error = differences::NotDifferences;

    fn try_from((mean, newest, text): HistoryJson) -> Result<Self, Self::Error> {
        let mut values = differences::values(&text, (SHORT + LONG) as usize * 2)?.into_iter();
        let mut history = Self {
            mean,
            newest,
            ..Self::default()
        };
        let short = oldest_first(newest, SHORT).map(|place| (true, place));
        let long = oldest_first(newest / SHORT, LONG).map(|place| (false, place));
        for (is_short, place) in short.chain(long) {
            let (Some(low), Some(high)) = (values.next().flatten(), values.next().flatten()) else {
                continue;
            };
            let periods = if is_short {
                &mut history.short
            } else {
                &mut history.long
            };
            periods[place] = Range { low, high };
        }
        Ok(history)
    }
}

/// Returns the indices of the periods, that of the oldest first.
fn oldest_first(newest: u32, count: u32) -> impl Iterator<Item = usize> {
    (1..=count).map(move |after| place(newest % count + after, count))
}
