//! Outliers: one sensor that left its usual place among its neighbours.
//!
//! Sensors at the heights of one rack differ, each by its own usual amount: the top takes in some of the
//! air that left the equipment. A change at one of them alone (a blanking panel left off, a cable that
//! blocks a server, a sensor that loses its calibration) changes that amount. Every two minutes, each
//! device's distance from the median of its neighbours of the same role is compared with the usual
//! distance of the last day. Load that moves, or a cooler that cycles or fails, moves all of them, and the
//! median with them.
//!
//! More than a few kelvin never count as usual: a sensor far hotter than its neighbours is a hot spot
//! from the first day.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detector::{
    Compares, Decision, Detector, DeviceTraits, Finding, Observation, Peer, Spec,
};
use super::fingerprint::SpecFingerprint;
use super::keys::{KelvinLevel, keys};
use super::kind::{
    AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Peak, Phrase, change_phrase,
};
use crate::severity::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

keys! {
    /// The keys of `outlier`.
    pub struct OutlierKeys {
        INFO, WARNING, CRITICAL: KelvinLevel
    }
}

/// `outlier`: left its usual place among its neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Outlier;

impl AnomalyKind for Outlier {
    const INFO: KindInfo = KindInfo {
        headline: "warmer than usual",
        headline_below: Some("colder than usual"),
        peak: Peak::Farthest,
        unit: "K",
        symptom: Some("differs from its neighbours"),
        ..KindInfo::new("outlier", "outlier", Family::Heat)
    };

    type Payload = OutlierPayload;

    fn phrase(payload: Option<&OutlierPayload>, facts: &AlertFacts) -> Phrase {
        let change = payload.map_or(facts.threshold, |outlier| outlier.change);
        change_phrase(change, " from its usual place among its neighbours", None).into()
    }
}

/// A departure from the neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierPayload {
    /// The difference from the usual distance, in kelvin; negative where the sensor became colder.
    pub change: f64,
}

impl Payload for OutlierPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        Some(Self {
            change: extras.change?,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            change: Some(self.change),
            ..Extras::default()
        }
    }
}

impl Detector for Outlier {
    type Keys = OutlierKeys;
    type Spec = OutlierSpec;

    fn spec(
        keys: &OutlierKeys,
        _lasting: Option<Duration>,
        device: &DeviceTraits<'_>,
    ) -> Option<OutlierSpec> {
        let error = device.coarse_error();
        let levels = keys.levels.active();
        let levels = levels.map(|level| level.map(|KelvinLevel(kelvin)| Kelvin(kelvin + error)));
        let is_on = levels.iter().any(Option::is_some);
        is_on.then_some(OutlierSpec { levels })
    }
}

impl Spec for OutlierSpec {
    type State = OutlierState;
    const COMPARES: Compares = Compares::Each;

    fn fingerprint(&self, to: &mut SpecFingerprint) {
        to.numbers(self.levels.map(|level| level.map(|level| level.0)));
    }

    fn threshold(&self, severity: Severity, _lasting: Duration) -> Option<f64> {
        self.levels[severity as usize].map(|level| level.0)
    }

    fn observe(&self, state: &mut OutlierState, now: &Observation) -> Decision {
        if state.is_due(now.at) {
            Decision::NeedsRack
        } else {
            Decision::Decided(state.finding(self, now.at))
        }
    }

    fn observe_rack(
        &self,
        state: &mut OutlierState,
        now: &Observation,
        peers: &[Peer<'_, Self>],
    ) -> Option<Finding> {
        let same_role = peers.iter().filter(|peer| peer.role == now.role);
        let mut values: Vec<f64> = same_role.map(|peer| peer.value.degrees()).collect();
        state.compare(self, now.at, now.value, middle(&mut values));
        state.finding(self, now.at)
    }
}

/// The parameters of an outlier.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierSpec {
    /// Deviation from the usual distance, on either side, from info to critical.
    pub levels: [Option<Kelvin>; 3],
}

impl OutlierSpec {
    fn mildest(&self) -> Option<f64> {
        self.levels.iter().flatten().map(|level| level.0).next()
    }
}

/// Two neighbours that differ by more than this do not say which of the three is the odd one, in kelvin.
const AGREEMENT: f64 = 2.0;

/// Returns the middle of the neighbours' temperatures; none where it is unclear which one is odd.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    match *values {
        [] | [_] => None,
        [low, high] => (high - low <= AGREEMENT).then(|| f64::midpoint(low, high)),
        _ => {
            let (before, after) = ((values.len() - 1) / 2, values.len() / 2);
            Some(f64::midpoint(values[before], values[after]))
        }
    }
}

/// Seconds between two comparisons with the neighbours.
const PERIOD: u32 = 120;
/// Time constant of the distance as it is now, in seconds: a reading or two are noise.
const NOW: f64 = 300.0;
/// Time constant of the usual distance: a day, so that the hours of one are in it.
const USUAL: f64 = 86_400.0;
/// The largest usual distance, in kelvin. ASHRAE's guidance has the air in front of a rack differ by a few
/// kelvin from bottom to top; assumed.
const MAX_USUAL: f64 = 4.0;
/// Seconds for which a device must be known before it can be an outlier.
const WARM_UP: u32 = 3_600;
/// The most seconds that a comparison after a gap counts for.
const GAP: u32 = 600;

/// The distance of a device from its neighbours: small, since there is one of these for each device of a
/// site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "OutlierJson", into = "OutlierJson")]
#[repr(Rust, packed(2))]
pub struct OutlierState {
    /// The first comparison, in seconds from 1970; zero before it.
    began: u32,
    /// The last comparison, in units of [`PERIOD`]; only differences count.
    compared: u16,
    /// The distance as it is now, and as it usually is, in kelvin.
    now: f32,
    usual: f32,
}

/// In JSON an array: first comparison, period of the last one, distance now, usual distance.
type OutlierJson = (u32, u16, f32, f32);

impl From<OutlierState> for OutlierJson {
    fn from(state: OutlierState) -> Self {
        (state.began, state.compared, state.now, state.usual)
    }
}

impl From<OutlierJson> for OutlierState {
    fn from((began, compared, now, usual): OutlierJson) -> Self {
        Self {
            began,
            compared,
            now,
            usual,
        }
    }
}

impl OutlierState {
    /// Returns whether a comparison with the neighbours is due.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.compared != period(at)
    }

    /// Takes in the median of the neighbours of the same role; `None` where there are too few.
    pub fn compare(
        &mut self,
        spec: &OutlierSpec,
        at: Timestamp,
        value: Celsius,
        median: Option<f64>,
    ) {
        let gap = u32::from(period(at).wrapping_sub(self.compared)) * PERIOD;
        self.compared = period(at);
        let Some(median) = median else { return };
        let distance = value.degrees() - median;
        if self.began == 0 {
            self.began = at.seconds().max(1);
            self.now = single(distance);
            self.usual = single(distance.clamp(-MAX_USUAL, MAX_USUAL));
            return;
        }
        let step = f64::from(gap.min(GAP));
        let age = f64::from(at.seconds().saturating_sub(self.began)).max(step);
        // A young average is the plain one of all there is.
        let weight = |constant: f64| 1.0 - (-step / constant.min(age)).exp();
        let now = f64::from(self.now);
        let now = now + weight(NOW) * (distance - now);
        let usual = f64::from(self.usual);
        // An unusual distance is learned slowly, or it would be usual before anyone attends to it.
        let learned = match spec.mildest() {
            Some(level) if (now - usual).abs() >= level && self.is_old(at) => {
                (distance - usual).clamp(-level, level) / 4.0
            }
            _ => distance - usual,
        };
        let usual = (usual + weight(USUAL) * learned).clamp(-MAX_USUAL, MAX_USUAL);
        (self.now, self.usual) = (single(now), single(usual));
    }

    /// Returns what is found at the time of the newest reading.
    pub fn finding(&self, spec: &OutlierSpec, at: Timestamp) -> Option<Finding> {
        if self.began == 0 || !self.is_old(at) {
            return None;
        }
        let change = f64::from(self.now) - f64::from(self.usual);
        let levels = spec.levels.iter().zip(Severity::ALL).rev();
        let mut beyond =
            levels.filter(|(level, _)| level.is_some_and(|level| change.abs() >= level.0));
        beyond
            .next()
            .map(|(_, severity)| Finding::of(severity).with_change(change))
    }

    fn is_old(&self, at: Timestamp) -> bool {
        at.seconds().saturating_sub(self.began) >= WARM_UP
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only differences count")]
fn period(at: Timestamp) -> u16 {
    (at.seconds() / PERIOD) as u16
}

#[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
fn single(kelvin: f64) -> f32 {
    kelvin as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> OutlierSpec {
        OutlierSpec {
            levels: [Some(Kelvin(2.0)), Some(Kelvin(4.0)), None],
        }
    }

    /// Returns minute and severity of each change of the finding, for a sensor at this distance from the
    /// median of its neighbours.
    fn found(hours: u64, distance: impl Fn(u64) -> f64) -> Vec<(u64, Option<Severity>)> {
        let (mut state, spec) = (OutlierState::default(), spec());
        let mut found = vec![(0, None)];
        for minute in 0..hours * 60 {
            let at = Timestamp::from_millis(1_700_000_000_000 + minute * 60_000).unwrap();
            let value = Celsius::new(22.0 + distance(minute)).unwrap();
            if state.is_due(at) {
                state.compare(&spec, at, value, Some(22.0));
            }
            let now = state.finding(&spec, at).map(|finding| finding.severity);
            if found.last().map(|(_, before)| *before) != Some(now) {
                found.push((minute, now));
            }
        }
        found.remove(0);
        found
    }

    #[test]
    fn the_middle_of_two_that_agree_and_of_more_than_two() {
        assert_eq!(middle(&mut [21.0]), None);
        assert_eq!(middle(&mut [21.0, 22.0]), Some(21.5));
        assert_eq!(middle(&mut [24.0, 21.0]), None);
        assert_eq!(middle(&mut [1.0, 9.0, 2.0]), Some(2.0));
        assert_eq!(middle(&mut [1.0, 9.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn what_was_always_so_is_usual() {
        assert_eq!(found(72, |_| 3.5), []);
        let daily =
            |minute: u64| 1.0 + 0.8 * (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        assert_eq!(found(240, daily), []);
    }

    #[test]
    fn one_that_leaves_the_others_is_found_in_minutes_and_lasts() {
        let leaves = |minute: u64| if minute < 3000 { 1.0 } else { 4.0 };
        let all = found(96, leaves);
        assert!(
            matches!(all[0], (3003..3012, Some(Severity::Info))),
            "{all:?}"
        );
        assert!(
            all.get(1)
                .is_none_or(|(minute, _)| *minute > 3000 + 24 * 60),
            "{all:?}"
        );
        let far = found(60, |minute| if minute < 3000 { 1.0 } else { -6.0 });
        assert_eq!(far[1].1, Some(Severity::Warning), "{far:?}");
    }

    #[test]
    fn what_lasts_for_days_becomes_usual_in_either_direction() {
        for sign in [1.0, -1.0] {
            let moves = |minute: u64| sign * if minute < 3 * 1440 { 3.5 } else { -1.0 };
            let all = found(12 * 24, moves);
            let (began, ended) = (all[0].0, all[all.len() - 1]);
            assert!((4320..4335).contains(&began), "{all:?}");
            let days = (ended.0 - began) / 1440;
            assert!(
                (4..7).contains(&days) && ended.1.is_none(),
                "{days}: {all:?}"
            );
        }
    }

    #[test]
    fn nobody_is_so_hot_as_a_rule() {
        let all = found(48, |_| 9.0);
        assert_eq!(all, [(60, Some(Severity::Warning))]);
    }

    #[test]
    fn where_there_are_too_few_they_are_not_asked_with_each_reading() {
        let mut state = OutlierState::default();
        let at = |second: u64| Timestamp::from_millis(1_699_999_920_000 + second * 1000).unwrap();
        let due = (0..240).filter(|second| {
            let due = state.is_due(at(*second));
            if due {
                state.compare(&spec(), at(*second), Celsius::ZERO, None);
            }
            due
        });
        assert_eq!(due.count(), 2);
    }
}
