//! Outliers: one sensor that is no more where its neighbours are.
//!
//! Sensors at the heights of one rack differ, each by its own usual amount: the top takes in some of the
//! air that left the equipment. What changes for one of them alone (a blanking panel left off, a cable
//! that blocks a server, a sensor that loses its calibration) changes that amount. So each device's
//! distance from the median of the others of its role and rack is looked at every two minutes and compared with
//! what was usual for it over the last day. A load that moves, a cooler that cycles or fails move all of
//! them, and the median with them.
//!
//! More than a few kelvin are never taken for usual: a sensor far hotter than its neighbours is a hot spot
//! from the first day.

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::alert::Severity;
use crate::time::Timestamp;
use crate::units::{Celsius, Kelvin};

/// The numbers of an outlier.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierSpec {
    /// From info to critical: how far its distance must be from the usual one, on either side.
    pub levels: [Option<Kelvin>; 3],
}

impl OutlierSpec {
    fn mildest(&self) -> Option<f64> {
        self.levels.iter().flatten().map(|level| level.0).next()
    }
}

/// Others that a median needs: of fewer nobody can say who is the odd one.
pub const LEAST_OTHERS: usize = 3;
/// The others are looked at every so many seconds.
const LOOK: u32 = 120;
/// Time constant of the distance as it is now, in seconds: a reading or two are noise.
const NOW: f64 = 300.0;
/// Time constant of the usual distance: a day, so that the hours of one are in it.
const USUAL: f64 = 86_400.0;
/// A distance of more kelvin is no usual one. ASHRAE's guidance has the air before one rack differ by a few
/// kelvin from its foot to its top; assumed.
const MOST_USUAL: f64 = 4.0;
/// Nothing is said before a device is known for so long, in seconds.
const WARM_UP: u32 = 3_600;
/// After a gap a look counts for so many seconds at most.
const GAP: u32 = 600;

/// What is known of a device: small, since there is one of these for each device of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[repr(Rust, packed(2))]
pub struct OutlierState {
    /// In seconds from 1970; zero before the first look.
    began: u32,
    /// When it was looked last, in units of [`LOOK`]; only differences count.
    looked: u16,
    /// The distance as it is now, and as it usually is, in kelvin.
    now: f32,
    usual: f32,
}

impl OutlierState {
    /// A reading came: whether to look at the others.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.looked != look(at)
    }

    /// Takes what the others of its role and rack have as their median; none where there are too few.
    pub fn look(&mut self, spec: &OutlierSpec, at: Timestamp, value: Celsius, others: Option<f64>) {
        let gap = u32::from(look(at).wrapping_sub(self.looked)) * LOOK;
        self.looked = look(at);
        let Some(median) = others else { return };
        let distance = value.degrees() - median;
        if self.began == 0 {
            self.began = at.seconds().max(1);
            self.now = single(distance);
            self.usual = single(distance.clamp(-MOST_USUAL, MOST_USUAL));
            return;
        }
        let step = f64::from(gap.min(GAP));
        let age = f64::from(at.seconds().saturating_sub(self.began)).max(step);
        // A young average is the plain one of all there is.
        let weight = |constant: f64| 1.0 - (-step / constant.min(age)).exp();
        let now = f64::from(self.now);
        let now = now + weight(NOW) * (distance - now);
        let usual = f64::from(self.usual);
        // While it is unusual it is not learned, or what lasts would be usual before it was seen to.
        let learned = match spec.mildest() {
            Some(level) if (now - usual).abs() >= level && self.is_old(at) => {
                (distance - usual).clamp(-level, level) / 4.0
            }
            _ => distance - usual,
        };
        let usual = (usual + weight(USUAL) * learned).clamp(-MOST_USUAL, MOST_USUAL);
        (self.now, self.usual) = (single(now), single(usual));
    }

    /// What is to be said of it at the time of its newest reading.
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
            .map(|(_, severity)| Finding::of(severity).by(change))
    }

    fn is_old(&self, at: Timestamp) -> bool {
        at.seconds().saturating_sub(self.began) >= WARM_UP
    }
}

/// The middle one; of an even number the mean of the two in the middle. None where there are too few.
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.len() < LEAST_OTHERS {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    })
}

#[expect(clippy::cast_possible_truncation, reason = "only differences count")]
fn look(at: Timestamp) -> u16 {
    (at.seconds() / LOOK) as u16
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

    /// The minute and the severity of each change of what is found, of a sensor that is so far from the
    /// median of the others in a minute.
    fn found(hours: u64, distance: impl Fn(u64) -> f64) -> Vec<(u64, Option<Severity>)> {
        let (mut state, spec) = (OutlierState::default(), spec());
        let mut found = vec![(0, None)];
        for minute in 0..hours * 60 {
            let at = Timestamp::from_millis(1_700_000_000_000 + minute * 60_000).unwrap();
            let value = Celsius::new(22.0 + distance(minute)).unwrap();
            if state.is_due(at) {
                state.look(&spec, at, value, Some(22.0));
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
                state.look(&spec(), at(*second), Celsius::ZERO, None);
            }
            due
        });
        assert_eq!(due.count(), 2);
    }

    #[test]
    fn of_three_nobody_can_say_who_is_odd() {
        assert_eq!(median(&mut [1.0, 9.0]), None);
        assert_eq!(median(&mut [1.0, 9.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [1.0, 9.0, 2.0, 3.0]), Some(2.5));
    }
}
