//! Runaway: lost cooling, found while the air is still cool.
//!
//! Air without cooling warms by one to several kelvin a minute (Khankari, "Rate of Heating Analysis
//! of Data Centers during Power Shutdown", ASHRAE Transactions 117(1), 2011), and all sensors of a
//! rack see it. A cooler that cycles, an opened door or a sensor that steps can look the same for a
//! while, so three things are asked for together: the mean rise of a rack's sensors within a
//! window, less what their quantisation and noise may feign, is beyond what normal operation does;
//! at least two of them rise; and it is so fast that waiting would be worse. The faster it is, the
//! shorter the window that suffices.
//!
//! Each device keeps its last minutes in `buckets` of five seconds; `rise` adds them up.

mod buckets;

use std::fmt::Write;
use std::time::Duration;

pub use buckets::RunawayState;

use self::buckets::{BUCKET, PART, bucket};
use super::detector::{Decision, Detector, DeviceTraits, Finding, Needs, Observation, Spec};
use super::fingerprint::SpecFingerprint;
use super::keys::{KelvinLevel, NumberRange, keys};
use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Peak, Phrase};
use crate::severity::Severity;
use crate::time::{Timestamp, format_duration};
use crate::units::{Celsius, Kelvin};

keys! {
    /// The keys of `runaway`.
    pub struct RunawayKeys {
        CRITICAL: KelvinLevel;
        /// Least rate of a runaway, in kelvin per minute.
        rate: f64 = NumberRange { least: 0.2, most: 20.0, unit: " kelvin per minute" }, default 1.0
    }
}

/// `runaway`: a rack that warms so fast that its cooling must be lost.
#[derive(Clone, Copy, Debug)]
pub struct Runaway;

impl AnomalyKind for Runaway {
    const INFO: KindInfo = KindInfo {
        headline: "cooling is failing",
        rank: 3,
        peak: Peak::Highest,
        unit: "K",
        ..KindInfo::new("runaway", "cooling failure", Family::Heat)
    };

    type Payload = RunawayPayload;

    fn phrase(payload: Option<&RunawayPayload>, facts: &AlertFacts) -> Phrase {
        let rate = facts.rate.unwrap_or_default();
        let mut text = format!(", its rack {rate:+.1} °C/min");
        // Writing to a String cannot fail.
        if let Some(rise) = payload {
            let _ok = write!(text, " for {}", format_duration(rise.window));
        }
        if let Some((least, most)) = payload.and_then(|rise| rise.left) {
            let _ok = write!(
                text,
                ", critical in {} to {}",
                format_duration(least),
                format_duration(most)
            );
        }
        Phrase {
            text,
            is_complete: true,
        }
    }
}

/// The rise of a rack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunawayPayload {
    /// The mean rise of the rack's sensors, in kelvin.
    pub change: f64,
    /// The time in which they rose.
    pub window: Duration,
    /// Time until the first sensor is critical, at least and at most.
    pub left: Option<(Duration, Duration)>,
}

impl Payload for RunawayPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        let (change, window) = extras.change.zip(extras.window)?;
        Some(Self {
            change,
            window,
            left: extras.left,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            change: Some(self.change),
            window: Some(self.window),
            left: self.left,
            ..Extras::default()
        }
    }
}

impl Detector for Runaway {
    type Keys = RunawayKeys;
    type Spec = RunawaySpec;

    fn spec(
        keys: &RunawayKeys,
        _lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<RunawaySpec> {
        let KelvinLevel(rise) = keys.levels.active()[Severity::Critical as usize]?;
        Some(RunawaySpec {
            rise: Kelvin(rise),
            rate: keys.rate(),
            resolution: device.step(),
            critical: None,
        })
    }
}

/// The parameters of a runaway.
#[derive(Clone, Debug, PartialEq)]
pub struct RunawaySpec {
    /// The least rise, after the allowance for quantisation.
    pub rise: Kelvin,
    /// The least rate, in kelvin per minute.
    pub rate: f64,
    /// The step of this device's readings.
    pub resolution: Kelvin,
    /// The critical limit of the device, to which the time left is measured.
    pub critical: Option<Celsius>,
}

impl Spec for RunawaySpec {
    type State = Box<RunawayState>;
    const NEEDS: Needs = Needs::Peers;
    const KNOWS_RATE: bool = true;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.number(self.rise.0);
        to.number(self.rate);
        to.number(self.resolution.0);
        to.numbers([self.critical.map(Celsius::degrees)]);
    }

    fn threshold(&self, severity: Severity, _lasting: Duration) -> Option<f64> {
        (severity == Severity::Critical).then_some(self.rise.0)
    }

    fn set_critical_limit(&mut self, limit: Option<Celsius>) {
        self.critical = limit;
    }

    fn observe(&self, state: &mut Box<RunawayState>, now: &Observation) -> Decision {
        if state.observe(self.rise, now.at, now.value) || now.is_open {
            Decision::NeedsInput
        } else {
            Decision::Undecided
        }
    }

    fn observe_peers(
        &self,
        now: &Observation,
        peers: &[(&Self, &Box<RunawayState>)],
    ) -> Option<Finding> {
        let found = rise(self, now.at, peers, now.is_open)?;
        Some(Finding {
            window: Some(found.window),
            rate: Some(found.rate),
            left: found.left,
            ..Finding::of(Severity::Critical).with_change(found.rise)
        })
    }

    fn rate(&self, state: &Box<RunawayState>, at: Timestamp, value: Celsius) -> Option<f64> {
        state.rate(at, value)
    }
}

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
/// Allowance for noise, in standard errors.
const ERRORS: f64 = 2.25;
/// One device counts for at most so much more than the second of its rack: a hot spot at one sensor
/// is not a rack.
const CAPPED: f64 = 1.5;
/// Uncertainty of the rate: it may have been different before, and the hottest sensor is hotter than the mean.
const UNSURE: f64 = 0.1;

/// The common rise of a rack's devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RackRise {
    /// The mean rise, in kelvin.
    pub rise: f64,
    /// The time in which they rose.
    pub window: Duration,
    /// The mean rate, in kelvin per minute.
    pub rate: f64,
    /// The standard error of the rate.
    pub error: f64,
    /// Time until the first of them is critical, at least and at most; `None` where the limit is unknown
    /// or already crossed.
    pub left: Option<(Duration, Duration)>,
}

impl RackRise {
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

/// Returns the common rise of a rack's devices if they run away, at the time of the newest reading of one
/// of them. While an episode is open, half the rate is enough.
#[expect(clippy::borrowed_box, reason = "states are kept in boxes")]
fn rise(
    spec: &RunawaySpec,
    at: Timestamp,
    members: &[(&RunawaySpec, &Box<RunawayState>)],
    is_open: bool,
) -> Option<RackRise> {
    let now = bucket(at);
    let mut rises: Vec<f64> = Vec::with_capacity(members.len());
    for window in WINDOWS {
        rises.clear();
        let (mut variance, mut buckets) = (0.0, 0);
        for (spec, state) in members {
            let Some((rise, within)) = state.rise(now, window) else {
                continue;
            };
            rises.push(rise);
            buckets += within;
            // Of a difference: quantisation is uniform, so a twelfth of its square, twice.
            variance += spec.resolution.0.powi(2) / 6.0 + 2.0 * NOISE.powi(2);
        }
        // Their mean, as of the rises.
        let seconds = f64::from(buckets) * BUCKET as f64 / 1000.0 / rises.len().max(1) as f64;
        if let Some(mut found) = together(spec, seconds, &mut rises, variance, is_open) {
            let hottest = members.iter().filter_map(|(_, state)| state.latest());
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
    is_open: bool,
) -> Option<RackRise> {
    rises.sort_unstable_by(|a, b| b.total_cmp(a));
    let second = *rises.get(1)?;
    let count = rises.len() as f64;
    let sum: f64 = rises.iter().map(|rise| rise.min(second * CAPPED)).sum();
    let (mean, error) = (sum / count, variance.sqrt() / count);
    let minutes = seconds / 60.0;
    let found = RackRise {
        rise: mean,
        window: Duration::from_secs_f64(seconds),
        rate: mean / minutes,
        error: error / minutes,
        left: None,
    };
    if is_open {
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
