//! Runaway: cooling is lost, told while it is still cool.
//!
//! Air without cooling warms by one to several kelvin a minute (Khankari, "Rate of Heating Analysis
//! of Data Centers during Power Shutdown", ASHRAE Transactions 117(1), 2011), and all sensors of a
//! rack see it. A cooler that cycles, an opened door or a sensor that steps can look the same for a
//! while, so three things are asked for together: the mean rise of a rack's sensors within a
//! window, less what their quantisation and noise may feign, is beyond what normal operation does;
//! at least two of them rise; and it is so fast that waiting would be worse. The faster it is, the
//! shorter the window that suffices.
//!
//! This is the part of one device: its last minutes, in buckets of five seconds. What they come to
//! together is [`rise`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The numbers of a runaway.
#[derive(Clone, Debug, PartialEq)]
pub struct RunawaySpec {
    /// The least rise that is spoken of, after the allowance for quantisation.
    pub rise: Kelvin,
    /// The least rate, in kelvin per minute.
    pub rate: f64,
    /// The step of this device's readings.
    pub resolution: Kelvin,
    /// Where the device becomes critical: the time left until then is told.
    pub critical: Option<Celsius>,
}

/// Width of a bucket, in milliseconds.
const BUCKET: u64 = 5_000;
/// Buckets that are kept: three and a half minutes, and what a slow sensor needs before them.
const LENGTH: u32 = 50;
const KEPT: usize = LENGTH as usize;
/// How far back the rate in the words of an alert goes, in buckets: from half a minute to two and a half.
const SHORTEST_TREND: u32 = 6;
const LONGEST_TREND: u32 = 30;
/// A sensor that is read every half minute has the value of a moment this long after it, in buckets.
const REACH: u32 = 7;
/// The windows, in buckets: from half a minute to three and a half.
const WINDOWS: [u32; 9] = [6, 9, 12, 15, 18, 21, 24, 30, 42];
/// Up to this length of a window, in seconds, the rate must be a third more than the least: a cooler
/// that cycles by 3 K in 10 minutes while a door opens that lets a kelvin of warm air in comes to 2.0 K
/// in 90 s and 2.9 K in 150 s.
const SHORT: f64 = 150.0;
const MARGIN: f64 = 1.35;
/// Beyond it the rise must be more than these two are high together, in kelvin.
const BEYOND_CYCLES: f64 = 4.0;
/// Noise of a sensor (standard deviation), in kelvin: the upper end of what small probes have.
const NOISE: f64 = 0.1;
/// How many standard errors are allowed for.
const ERRORS: f64 = 2.25;
/// One device counts for at most so much more than the second of its rack: a hot spot at one sensor
/// is not a rack.
const CAPPED: f64 = 1.5;
/// The rate may have been another before, and the hottest be hotter by now than its mean says.
const UNSURE: f64 = 0.1;
/// A device rises if it has at least this part of the rise that is asked for.
const PART: f64 = 0.5;

/// The last minutes of one device; nothing before its first reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
pub struct RunawayState {
    /// The bucket of the newest reading, counted from 1970.
    newest: u32,
    /// Readings in it.
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
    /// Takes the next reading; whether it begins a bucket, and the device may be running away.
    pub fn observe(&mut self, spec: &RunawaySpec, at: Timestamp, value: Celsius) -> bool {
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
        new && self.rises(spec)
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

    /// Kelvin per minute up to this reading, over the last two minutes or so; none where too little is
    /// known. For the words of an alert.
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

    /// Whether it may be worth to ask the neighbours.
    fn rises(&self, spec: &RunawaySpec) -> bool {
        let Some(now) = self.at(self.newest) else {
            return false;
        };
        let risen = |window: u32| {
            let before = self.at(self.newest.wrapping_sub(window));
            before.is_some_and(|before| now - before >= PART * spec.rise.0)
        };
        risen(15) || risen(42)
    }

    /// The temperature in a bucket, or the last one before it.
    fn at(&self, bucket: u32) -> Option<f64> {
        self.known(bucket).map(|(_, value)| value)
    }

    /// The same, with its bucket.
    fn known(&self, bucket: u32) -> Option<(u32, f64)> {
        let mut known = (0..REACH).map(|before| bucket.wrapping_sub(before));
        known.find_map(|bucket| Some((bucket, self.in_bucket(bucket)?)))
    }

    /// The temperature in just this bucket.
    fn in_bucket(&self, bucket: u32) -> Option<f64> {
        let is_kept = self.newest.wrapping_sub(bucket) < LENGTH;
        let value = self.values[place(bucket)];
        (is_kept && value != EMPTY).then(|| f64::from(value) / 100.0)
    }

    /// How far it has risen within about the `window` before `now`, and within how many buckets it
    /// was: a sensor that is read now and then has no reading of just that moment.
    fn rise(&self, now: u32, window: u32) -> Option<(f64, u32)> {
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

/// Where a bucket is kept.
fn place(bucket: u32) -> usize {
    bucket as usize % KEPT
}

/// The ring in JSON, as one word: as a list of numbers it would be most of a device's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Packed {
    newest: u32,
    count: u8,
    /// Four hexadecimal digits each, the newest last; what was never read is left out.
    values: String,
}

impl From<RunawayState> for Packed {
    fn from(state: RunawayState) -> Self {
        use std::fmt::Write;
        let buckets = (0..LENGTH).rev().map(|age| state.newest.wrapping_sub(age));
        let values = buckets.map(|bucket| state.values[place(bucket)]);
        let mut text = String::new();
        for value in values.skip_while(|value| *value == EMPTY) {
            // Writing to a String cannot fail.
            let _ok = write!(text, "{:04x}", value.cast_unsigned());
        }
        Self {
            newest: state.newest,
            count: state.count,
            values: text,
        }
    }
}

impl TryFrom<Packed> for RunawayState {
    type Error = &'static str;

    fn try_from(packed: Packed) -> Result<Self, Self::Error> {
        let wrong = "not the last minutes of a device";
        let text = packed.values.as_bytes();
        if text.len() > KEPT * 4 || !text.len().is_multiple_of(4) {
            return Err(wrong);
        }
        let mut state = Self {
            newest: packed.newest,
            count: packed.count,
            ..Self::default()
        };
        for (age, word) in (0..).zip(text.rchunks_exact(4)) {
            let word = std::str::from_utf8(word).map_err(|_| wrong)?;
            let value = u16::from_str_radix(word, 16).map_err(|_| wrong)?;
            state.values[place(packed.newest.wrapping_sub(age))] = value.cast_signed();
        }
        Ok(state)
    }
}

/// What a rack's devices come to together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runaway {
    /// The mean rise, in kelvin.
    pub rise: f64,
    /// Within how long.
    pub window: Duration,
    /// Kelvin per minute: the mean, and how far it may be off.
    pub rate: f64,
    /// The standard error of the rate.
    pub error: f64,
    /// How long it is until the first of them is critical, at least and at most; none where that is
    /// not known, or it is already.
    pub left: Option<(Duration, Duration)>,
}

impl Runaway {
    fn left(&self, kelvin: f64) -> Option<(Duration, Duration)> {
        if kelvin <= 0.0 {
            return None;
        }
        let after =
            |rate: f64| Duration::from_secs_f64((kelvin / rate * 60.0).round().min(86_400.0));
        let off = 2.0 * self.error + self.rate * UNSURE;
        // Air warms more slowly as it goes: at most is not much more than a guess.
        Some((
            after(self.rate + off),
            after((self.rate - off).max(self.rate / 2.0)),
        ))
    }
}

/// Whether the devices of a rack run away, at the time of the newest reading of one of them. `goes_on`
/// is asked of what was said already: then half the rate is enough.
pub fn rise(
    spec: &RunawaySpec,
    at: Timestamp,
    members: &[(&RunawayState, Kelvin)],
    goes_on: bool,
) -> Option<Runaway> {
    let now = bucket(at);
    let mut rises: Vec<f64> = Vec::with_capacity(members.len());
    for window in WINDOWS {
        rises.clear();
        let (mut variance, mut buckets) = (0.0, 0);
        for (state, resolution) in members {
            let Some((rise, within)) = state.rise(now, window) else {
                continue;
            };
            rises.push(rise);
            buckets += within;
            // Of a difference: quantisation is uniform, so a twelfth of its square, twice.
            variance += resolution.0.powi(2) / 6.0 + 2.0 * NOISE.powi(2);
        }
        // Their mean, as of the rises.
        let seconds = f64::from(buckets) * BUCKET as f64 / 1000.0 / rises.len().max(1) as f64;
        if let Some(mut found) = together(spec, seconds, &mut rises, variance, goes_on) {
            let hottest = members
                .iter()
                .filter_map(|(state, _)| state.at(state.newest));
            let hottest = hottest.fold(f64::NEG_INFINITY, f64::max);
            found.left = spec
                .critical
                .and_then(|limit| found.left(limit.degrees() - hottest));
            return Some(found);
        }
    }
    None
}

fn together(
    spec: &RunawaySpec,
    seconds: f64,
    rises: &mut [f64],
    variance: f64,
    goes_on: bool,
) -> Option<Runaway> {
    rises.sort_unstable_by(|a, b| b.total_cmp(a));
    let second = *rises.get(1)?;
    let count = rises.len() as f64;
    let sum: f64 = rises.iter().map(|rise| rise.min(second * CAPPED)).sum();
    let (mean, error) = (sum / count, variance.sqrt() / count);
    let minutes = seconds / 60.0;
    let found = Runaway {
        rise: mean,
        window: Duration::from_secs_f64(seconds),
        rate: mean / minutes,
        error: error / minutes,
        left: None,
    };
    if goes_on {
        let far = spec.rate * minutes / 2.0;
        return (mean >= far && mean >= spec.rise.0 / 2.0).then_some(found);
    }
    let asked = if seconds <= SHORT {
        spec.rise.0.max(MARGIN * spec.rate * minutes)
    } else {
        spec.rise.0.max(BEYOND_CYCLES).max(spec.rate * minutes)
    };
    (second >= PART * asked && mean - ERRORS * error >= asked).then_some(found)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only differences count, and they are small"
)]
fn bucket(at: Timestamp) -> u32 {
    (at.millis() / BUCKET) as u32
}
