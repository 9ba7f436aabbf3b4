//! The last minutes of one device, in buckets of five seconds.

use serde::{Deserialize, Serialize};

use super::super::differences;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// Width of a bucket, in milliseconds.
pub(super) const BUCKET: u64 = 5_000;
/// Buckets that are kept: three and a half minutes, and what a slow sensor needs before them.
const LENGTH: u32 = 50;
const KEPT: usize = LENGTH as usize;
/// Span of the rate that an alert reports, in buckets: from half a minute to two and a half.
const SHORTEST_TREND: u32 = 6;
const LONGEST_TREND: u32 = 30;
/// A sensor that is read every half minute has the value of a moment this long after it, in buckets.
const REACH: u32 = 7;
/// A device rises if it has at least this part of the rise that is asked for.
pub(super) const PART: f64 = 0.5;

/// The last minutes of one device; nothing before its first reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RunawayJson", into = "RunawayJson")]
pub struct RunawayState {
    /// The bucket of the newest reading, counted from 1970.
    newest: u32,
    /// Readings in the newest bucket.
    count: u8,
    /// Temperatures in hundredths, each bucket at its number modulo their count; [`EMPTY`] where nothing was
    /// read.
    values: [i16; KEPT],
}

const EMPTY: i16 = i16::MIN;

impl Default for RunawayState {
    fn default() -> Self {
        Self {
            newest: 0,
            count: 0,
            values: [EMPTY; KEPT],
        }
    }
}

impl RunawayState {
    /// Takes in the next reading. Returns whether it begins a bucket and the device rose by much of the
    /// `least` rise of a runaway.
    pub fn observe(&mut self, least: Kelvin, at: Timestamp, value: Celsius) -> bool {
        let now = bucket(at);
        let new = self.newest != now || self.count == 0;
        if new {
            self.turn(now);
        }
        let count = f64::from(self.count);
        let last = &mut self.values[place(now)];
        let mean = if *last == EMPTY {
            value.degrees()
        } else {
            (f64::from(*last) / 100.0 * count + value.degrees()) / (count + 1.0)
        };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to its range")]
        let hundredths = (mean * 100.0).round().clamp(-32_000.0, 32_000.0) as i16;
        *last = hundredths;
        self.count = self.count.saturating_add(1);
        new && self.rises(least)
    }

    fn turn(&mut self, now: u32) {
        let gap = now.wrapping_sub(self.newest);
        if gap as usize >= KEPT {
            self.values = [EMPTY; KEPT];
        }
        for bucket in self.newest.wrapping_add(1)..now.min(self.newest.saturating_add(LENGTH)) {
            self.values[place(bucket)] = EMPTY;
        }
        self.values[place(now)] = EMPTY;
        (self.newest, self.count) = (now, 0);
    }

    /// Returns kelvin per minute up to this reading, over about the last two minutes; `None` where too
    /// little is known. For the words of an alert.
    pub fn rate(&self, at: Timestamp, value: Celsius) -> Option<f64> {
        let now = bucket(at);
        let mut bases = (SHORTEST_TREND..=LONGEST_TREND).rev().map(|age| {
            let value = self.in_bucket(now.wrapping_sub(age))?;
            Some((age, value))
        });
        let (age, before) = bases.find_map(|base| base)?;
        let minutes = f64::from(age) * BUCKET as f64 / 60_000.0;
        Some((value.degrees() - before) / minutes)
    }

    /// Returns whether the neighbours are worth asking.
    fn rises(&self, least: Kelvin) -> bool {
        let Some(now) = self.latest() else {
            return false;
        };
        let risen = |window: u32| {
            let before = self.at(self.newest.wrapping_sub(window));
            before.is_some_and(|before| now - before >= PART * least.0)
        };
        risen(15) || risen(42)
    }

    /// Returns the newest temperature.
    pub(super) fn latest(&self) -> Option<f64> {
        self.at(self.newest)
    }

    /// Returns the temperature in a bucket, or the last one before it.
    fn at(&self, bucket: u32) -> Option<f64> {
        self.known(bucket).map(|(_, value)| value)
    }

    /// Returns the same with its bucket.
    fn known(&self, bucket: u32) -> Option<(u32, f64)> {
        let mut known = (0..REACH).map(|before| bucket.wrapping_sub(before));
        known.find_map(|bucket| Some((bucket, self.in_bucket(bucket)?)))
    }

    /// Returns the temperature in exactly this bucket.
    fn in_bucket(&self, bucket: u32) -> Option<f64> {
        let is_kept = self.newest.wrapping_sub(bucket) < LENGTH;
        let value = self.values[place(bucket)];
        (is_kept && value != EMPTY).then(|| f64::from(value) / 100.0)
    }

    /// Returns the rise within about the `window` before `now`, and the buckets in which it happened: a
    /// sensor that is read seldom has no reading of that very moment.
    pub(super) fn rise(&self, now: u32, window: u32) -> Option<(f64, u32)> {
        // Its own newest may be a little older or newer than the one that asks.
        let now = if now.wrapping_sub(self.newest) < REACH {
            self.newest
        } else {
            now
        };
        let (last, value) = self.known(now)?;
        let (first, before) = self.known(now.wrapping_sub(window))?;
        Some((value - before, last.wrapping_sub(first)))
    }
}

/// Returns the index of a bucket.
fn place(bucket: u32) -> usize {
    bucket as usize % KEPT
}

/// In JSON an array: the bucket of the newest reading, the readings in it, and the buckets as
/// [differences], the oldest first, from the first one with a reading on.
type RunawayJson = (u32, u8, String);

impl From<RunawayState> for RunawayJson {
    fn from(state: RunawayState) -> Self {
        let buckets = (0..LENGTH).rev().map(|age| state.newest.wrapping_sub(age));
        let values = buckets.map(|bucket| state.values[place(bucket)]);
        let known = values.skip_while(|value| *value == EMPTY);
        let text = differences::text(known.map(|value| (value != EMPTY).then_some(value)));
        (state.newest, state.count, text)
    }
}

impl TryFrom<RunawayJson> for RunawayState {
    type Error = differences::NotDifferences;

    fn try_from((newest, count, text): RunawayJson) -> Result<Self, Self::Error> {
        let values = differences::values(&text, KEPT)?;
        let mut state = Self {
            newest,
            count,
            ..Self::default()
        };
        for (age, value) in (0..LENGTH).zip(values.into_iter().rev()) {
            state.values[place(newest.wrapping_sub(age))] = value.unwrap_or(EMPTY);
        }
        Ok(state)
    }
}

/// Returns the number of the bucket of `at`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
pub(super) fn bucket(at: Timestamp) -> u32 {
    (at.millis() / BUCKET) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u32 = 360_000_000;

    fn at(bucket: u32) -> Timestamp {
        Timestamp::from_millis(u64::from(bucket) * BUCKET).unwrap()
    }

    fn celsius(hundredths: i32) -> Celsius {
        Celsius::new(f64::from(hundredths) / 100.0).unwrap()
    }

    /// Returns the state after these temperatures, in hundredths, in one bucket after the other; none where nothing
    /// is read.
    fn state(temperatures: &[Option<i32>]) -> RunawayState {
        let mut state = RunawayState::default();
        for (bucket, temperature) in (FIRST..).zip(temperatures) {
            if let Some(temperature) = temperature {
                state.observe(Kelvin(1.8), at(bucket), celsius(*temperature));
            }
        }
        state
    }

    #[test]
    fn its_json_has_the_buckets_as_differences() {
        let temperatures = [2200, 2201, 2200, 2212, 2200, 2213, 2200].map(Some);
        let state = state(&temperatures);
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(json, r#"[360000006,1,"2200ZBCXY13Z-13Z"]"#);
        assert_eq!(serde_json::from_str::<RunawayState>(&json).unwrap(), state);
    }

    #[test]
    fn a_bucket_has_the_mean_of_its_readings() {
        let mut state = RunawayState::default();
        for temperature in [2200, 2400, 2450] {
            state.observe(Kelvin(1.8), at(FIRST), celsius(temperature));
        }
        assert_eq!(state.latest(), Some(23.5));
        // A gap that is longer than all that is kept leaves nothing of before.
        state.observe(Kelvin(1.8), at(FIRST + LENGTH), celsius(3000));
        assert_eq!(
            (state.latest(), state.rise(FIRST + LENGTH, 42)),
            (Some(30.0), None)
        );
    }

    #[test]
    fn half_the_rise_within_a_short_time_is_worth_asking_the_neighbours() {
        // Nothing is known of three minutes ago: the sensor is new.
        let is_asked = |last: i32| {
            let mut state = state(&[Some(2200); 16]);
            state.observe(Kelvin(1.8), at(FIRST + 16), celsius(last))
        };
        assert!(is_asked(2291));
        assert!(!is_asked(2289));
    }

    #[test]
    fn a_slow_rise_is_worth_asking_the_neighbours_too() {
        let slow: Vec<_> = (0..45).map(|n| Some(2200 + n * 3)).collect();
        let mut state = state(&slow);
        assert!(state.observe(Kelvin(1.8), at(FIRST + 45), celsius(2335)));
    }

    #[test]
    fn a_rise_is_measured_between_the_readings_that_there_are() {
        // Read every half minute: the value of a moment holds for six buckets more.
        let mut temperatures = vec![None; 31];
        for (n, bucket) in [0, 6, 12, 18, 24, 30].into_iter().enumerate() {
            temperatures[bucket] = Some(2200 + 50 * i32::try_from(n).unwrap());
        }
        let state = state(&temperatures);
        assert_eq!(state.rise(FIRST + 30, 12), Some((1.0, 12)));
        assert_eq!(
            state.rise(FIRST + 33, 12),
            Some((1.0, 12)),
            "another one is newer"
        );
        assert_eq!(
            state.rise(FIRST + 30, 15),
            Some((1.5, 18)),
            "of the reading before"
        );
        assert_eq!(state.rise(FIRST + 30, 42), None, "before the first reading");
        assert_eq!(state.rise(FIRST + 45, 12), None, "no reading since");
    }
}
