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
use super::detector::{
    Compares, Decision, Detector, DeviceTraits, Finding, Observation, Peer, Spec,
};
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
    const COMPARES: Compares = Compares::Rack;
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
            Decision::NeedsRack
        } else {
            Decision::Undecided
        }
    }

    fn observe_rack(
        &self,
        state: &mut Box<RunawayState>,
        now: &Observation,
        peers: &[Peer<'_, Self>],
    ) -> Option<Finding> {
        let own = std::iter::once((self, &*state));
        let members = own.chain(peers.iter().map(|peer| (peer.spec, peer.state)));
        let found = rise(self, now.at, &members.collect::<Vec<_>>(), now.is_open)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunawaySpec {
        RunawaySpec {
            rise: Kelvin(1.8),
            rate: 1.0,
            resolution: Kelvin(0.0),
            critical: Celsius::new(32.0).ok(),
        }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + second * 1000).unwrap()
    }

    /// Returns the state after 22 °C for five minutes, and then this rise in kelvin per minute for `seconds`; a
    /// reading each second.
    fn rising(rate: f64, seconds: u64) -> RunawayState {
        let mut state = RunawayState::default();
        for second in 0..=300 + seconds {
            let risen = second.saturating_sub(300) as f64 / 60.0 * rate;
            let value = Celsius::new(22.0 + risen).unwrap();
            state.observe(Kelvin(1.8), at(second), value);
        }
        state
    }

    /// Returns the common rise of devices that rise at these rates, `seconds` after they began.
    fn found(spec: &RunawaySpec, rates: &[f64], seconds: u64, is_open: bool) -> Option<RackRise> {
        let states = rates.iter().map(|rate| Box::new(rising(*rate, seconds)));
        let states: Vec<_> = states.collect();
        let members: Vec<_> = states.iter().map(|state| (spec, state)).collect();
        rise(spec, at(300 + seconds), &members, is_open)
    }

    /// Returns the seconds after which devices at these rates are found.
    fn after(spec: &RunawaySpec, rates: &[f64]) -> Option<u64> {
        (0..600).find(|seconds| found(spec, rates, *seconds, false).is_some())
    }

    fn left(kelvin: f64, rate: f64, error: f64) -> Option<(u64, u64)> {
        let rise = RackRise {
            rise: 2.0,
            window: Duration::from_mins(1),
            rate,
            error,
            left: None,
        };
        let left = rise.left(kelvin)?;
        Some((left.0.as_secs(), left.1.as_secs()))
    }

    #[test]
    fn the_time_left_allows_for_two_errors_and_a_tenth_of_the_rate() {
        // Six kelvin at 2 K/min take three minutes; at 2.3 and at 1.7 K/min:
        assert_eq!(left(6.0, 2.0, 0.05), Some((157, 212)));
        // However unsure the rate is, half of it is the least.
        assert_eq!(left(6.0, 2.0, 1.0), Some((86, 360)));
        // More than a day is as good as never.
        assert_eq!(left(9_000.0, 2.0, 0.0), Some((86_400, 86_400)));
        assert_eq!(left(0.0, 2.0, 0.05), None, "critical already");
        assert_eq!(left(-1.0, 2.0, 0.05), None);
    }

    #[test]
    fn a_steady_rise_is_found_with_its_rate_and_the_time_to_the_limit_of_the_hottest() {
        let spec = spec();
        let found = found(&spec, &[4.0, 4.0, 4.0], 60, false).unwrap();
        assert!((found.rate - 4.0).abs() < 0.3, "{found:?}");
        let minutes = found.window.as_secs_f64() / 60.0;
        assert!((found.rise - 4.0 * minutes).abs() < 0.3, "{found:?}");
        // At 26 °C, six kelvin below the limit.
        let (least, most) = found.left.unwrap();
        assert!((60..90).contains(&least.as_secs()), "{found:?}");
        assert!((90..130).contains(&most.as_secs()), "{found:?}");
        // The noise of three sensors, in and out: a tenth of a kelvin each.
        let error = (6.0_f64 * 0.01).sqrt() / 3.0 / minutes;
        assert!((found.error - error).abs() < 0.01, "{found:?} {error}");
    }

    #[test]
    fn the_time_left_is_unknown_without_a_limit() {
        let spec = RunawaySpec {
            critical: None,
            ..spec()
        };
        assert_eq!(found(&spec, &[4.0, 4.0], 60, false).unwrap().left, None);
    }

    #[test]
    fn the_faster_a_rack_warms_the_sooner_it_is_found_and_below_the_rate_never() {
        let spec = spec();
        let seconds = [8.0, 4.0, 2.0, 1.5].map(|rate| after(&spec, &[rate; 4]));
        assert_eq!(seconds, [15, 30, 60, 90].map(Some));
        // Less than a third above the least rate: only once it is more than cycles of a cooler.
        let slow = after(&spec, &[1.3; 4]).unwrap();
        let rise = found(&spec, &[1.3; 4], slow, false).unwrap();
        assert!(rise.window > Duration::from_secs(150), "{slow} s {rise:?}");
        assert!((4.0..4.5).contains(&rise.rise), "{slow} s {rise:?}");
        assert_eq!(after(&spec, &[0.9; 4]), None);
    }

    #[test]
    fn a_greater_rate_is_asked_of_every_window() {
        let spec = RunawaySpec {
            rate: 2.0,
            ..spec()
        };
        assert_eq!(after(&spec, &[1.9; 4]), None);
        let slow = after(&spec, &[2.5; 4]).unwrap();
        assert!(slow > 150, "not a third above the rate: {slow} s");
        assert!(after(&spec, &[3.5; 4]).unwrap() < 60);
    }

    #[test]
    fn coarse_sensors_need_a_greater_rise() {
        let coarse = RunawaySpec {
            resolution: Kelvin(2.0),
            ..spec()
        };
        let (fine, coarse) = (after(&spec(), &[4.0; 2]), after(&coarse, &[4.0; 2]));
        assert!(fine.unwrap() + 15 < coarse.unwrap(), "{fine:?} {coarse:?}");
    }

    /// A hot spot beside one sensor, or a sensor that jumps.
    #[test]
    fn one_device_is_no_rack_and_counts_for_half_more_than_the_second() {
        let spec = spec();
        assert_eq!(after(&spec, &[8.0]), None);
        assert_eq!(after(&spec, &[8.0, 0.0, 0.0, 0.0]), None);
        let beside = |hot: f64| {
            let mut rates = [0.0; 8];
            (rates[0], rates[1]) = (hot, 9.0);
            found(&spec, &rates, 60, false).unwrap()
        };
        let spot = beside(36.0);
        let mean = (13.5 + 9.0) / 8.0;
        assert!((spot.rate - mean).abs() < 0.3, "{spot:?}");
        assert_eq!(spot, beside(18.0));
        assert!(spot.rate > beside(11.0).rate);
    }

    #[test]
    fn an_open_runaway_goes_on_at_half_the_rise_and_half_the_rate() {
        let spec = spec();
        let slow = [0.6; 4];
        assert_eq!(found(&spec, &slow, 210, false), None);
        assert!(found(&spec, &slow, 210, true).is_some());
        assert!(found(&spec, &slow, 150, true).is_some(), "1.5 K");
        assert_eq!(found(&spec, &[0.4; 4], 210, true), None, "too slow");
        assert_eq!(found(&spec, &slow, 60, true), None, "too little");
    }

    #[test]
    fn the_rate_of_a_device_is_that_of_two_minutes_and_unknown_at_first() {
        let spec = spec();
        let warm = |second: u64| Celsius::new(22.0 + second as f64 / 60.0 * 3.0).unwrap();
        let rate = |seconds| {
            let state = Box::new(rising(3.0, seconds));
            spec.rate(&state, at(300 + seconds), warm(seconds)).unwrap()
        };
        assert!((rate(180) - 3.0).abs() < 0.1, "{}", rate(180));
        // Half of the two and a half minutes were still.
        assert!((rate(75) - 1.5).abs() < 0.1, "{}", rate(75));
        assert_eq!(spec.rate(&Box::default(), at(300), warm(0)), None);
    }

    #[test]
    fn what_an_alert_says_is_complete() {
        let facts = AlertFacts {
            is_firing: true,
            temperature: None,
            threshold: 1.8,
            rate: Some(2.0),
        };
        let payload = RunawayPayload {
            change: 2.5,
            window: Duration::from_secs(75),
            left: Some((Duration::from_mins(3), Duration::from_mins(4))),
        };
        let text = Runaway::phrase(Some(&payload), &facts).text;
        assert_eq!(
            text,
            ", its rack +2.0 °C/min for 1m15s, critical in 3m to 4m"
        );
        let text = Runaway::phrase(None, &facts).text;
        assert_eq!(text, ", its rack +2.0 °C/min");
    }
}
