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
const KEPT: usize = 50;
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunawayState {
    /// The bucket of the newest reading, counted from 1970.
    newest: u32,
    /// Readings in it.
    count: u8,
    /// Temperatures in hundredths, the newest last; [`EMPTY`] where nothing was read.
    #[serde(with = "packed")]
    values: Vec<i16>,
}

const EMPTY: i16 = i16::MIN;

impl RunawayState {
    /// Takes the next reading; whether it begins a bucket, and the device may be running away.
    pub fn observe(&mut self, spec: &RunawaySpec, at: Timestamp, value: Celsius) -> bool {
        let now = bucket(at);
        let new = self.newest != now || self.values.is_empty();
        if new {
            self.turn(now);
        }
        let count = f64::from(self.count);
        if let Some(last) = self.values.last_mut() {
            let mean = if *last == EMPTY {
                value.degrees()
            } else {
                (f64::from(*last) / 100.0 * count + value.degrees()) / (count + 1.0)
            };
            #[expect(clippy::cast_possible_truncation, reason = "clamped to its range")]
            let hundredths = (mean * 100.0).round().clamp(-32_000.0, 32_000.0) as i16;
            *last = hundredths;
        }
        self.count = self.count.saturating_add(1);
        new && self.rises(spec)
    }

    fn turn(&mut self, now: u32) {
        let gap = usize::try_from(now.wrapping_sub(self.newest)).unwrap_or(KEPT);
        if self.values.is_empty() || gap >= KEPT {
            self.values.clear();
            self.values.reserve_exact(KEPT);
        } else {
            let out = (self.values.len() + gap).saturating_sub(KEPT);
            self.values.drain(..out);
            self.values
                .extend(std::iter::repeat_n(EMPTY, gap.saturating_sub(1)));
        }
        self.values.push(EMPTY);
        (self.newest, self.count) = (now, 0);
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
        let back = usize::try_from(self.newest.wrapping_sub(bucket)).ok()?;
        let upto = self.values.len().checked_sub(back)?;
        let known = self.values[..upto].iter().rev().zip(0..REACH);
        let (value, before) = known.into_iter().find(|(value, _)| **value != EMPTY)?;
        Some((bucket.wrapping_sub(before), f64::from(*value) / 100.0))
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

/// The ring as one word in JSON: as a list of numbers it would be most of a device's state, and come back
/// with room for half as many again.
mod packed {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::KEPT;

    /// Four hexadecimal digits each.
    pub(super) fn serialize<S: Serializer>(values: &[i16], to: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::with_capacity(values.len() * 4);
        for value in values {
            // Writing to a String cannot fail.
            let _ok = write!(text, "{:04x}", value.cast_unsigned());
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i16>, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() > KEPT * 4 || !text.is_ascii() {
            return Err(Error::custom("not the last minutes of a device"));
        }
        let mut values = Vec::new();
        if !text.is_empty() {
            values.reserve_exact(KEPT);
        }
        for start in (0..text.len()).step_by(4) {
            let word = text.get(start..start + 4).unwrap_or_default();
            let value = u16::from_str_radix(word, 16).map_err(Error::custom)?;
            values.push(value.cast_signed());
        }
        Ok(values)
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
