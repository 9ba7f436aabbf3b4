//! Episodes: idle → pending → firing → clearing → idle, for one rule on one device.
//!
//! A [`Tracker`] is moved by findings alone, so it is a function of the readings, like detector
//! state, and can be brought back by running them again. An [`Episode`] is what has been said: it
//! is stored together with the record that said it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertId, AlertKind, Severity};
use crate::detect::Finding;
use crate::device::{DeviceId, Role};
use crate::time::Timestamp;
use crate::units::Celsius;

/// When a finding becomes an episode, and when that ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// How long a severity must stay crossed before it is said.
    pub dwell: Duration,
    /// How long all must stay clear before the episode is over.
    pub hold: Duration,
    /// An episode that begins so soon after the last one must stay clear for as long: an input that
    /// flaps at its limit is said twice, and then once when it is over. Zero where that is off.
    pub flap: Duration,
}

/// An open episode as it was said: kept in `rackwatch:episodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Its name for all time.
    pub id: AlertId,
    /// On which device.
    pub device: DeviceId,
    /// By which rule.
    pub rule: String,
    /// What kind of anomaly.
    pub kind: AlertKind,
    /// The first reading beyond.
    pub started: Timestamp,
    /// The worst that was said.
    pub severity: Severity,
    /// What was crossed for that severity.
    pub threshold: f64,
    /// The reading that made the last record.
    pub temperature: Celsius,
    /// When that reading was taken.
    pub at: Timestamp,
    /// Where the device stood.
    pub rack: String,
    /// Height in the rack, in rack units.
    #[serde(default)]
    pub u: Option<u16>,
    /// What the device measured.
    pub role: Role,
}

/// Where one rule on one device is: nowhere, nearly always, which takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tracker(Option<Box<Crossed>>);

/// What is crossed, or open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Crossed {
    /// Since when each severity or a worse one has been crossed without a break.
    since: [Option<Timestamp>; 3],
    /// The episode, once it fires.
    open: Option<Open>,
    /// When the last one ended, while another would be one that flaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
}

/// The part of a tracker that an open episode adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The first reading beyond.
    pub started: Timestamp,
    /// The worst so far.
    pub severity: Severity,
    /// The extreme so far.
    pub peak: Celsius,
    /// Since when all is clear, while it is held open.
    pub clear: Option<Timestamp>,
    /// It began soon after another had ended.
    #[serde(default)]
    pub flaps: bool,
}

/// What a reading did to an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It began.
    Began(Open),
    /// It is worse than what was said.
    Worsened(Open),
    /// It ended; `clear` says since when.
    Ended(Open),
}

impl Tracker {
    /// Takes what the detector saw in the next reading. `further` picks the more extreme of two.
    pub fn observe(
        &mut self,
        timing: Timing,
        at: Timestamp,
        value: Celsius,
        finding: Option<Finding>,
        further: fn(Celsius, Celsius) -> Celsius,
    ) -> Option<Change> {
        if finding.is_none() && self.0.is_none() {
            return None;
        }
        let crossed = self.0.get_or_insert_default();
        let change = crossed.observe(timing, at, value, finding, further);
        if **crossed == Crossed::default() {
            self.0 = None;
        }
        change
    }

    /// Forgets an empty state.
    pub fn settle(&mut self) {
        if self.0.as_deref() == Some(&Crossed::default()) {
            self.0 = None;
        }
    }

    /// Nothing is crossed and nothing open.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// The open episode.
    pub fn open(&self) -> Option<&Open> {
        self.0.as_ref()?.open.as_ref()
    }

    /// A new time begins at `at`: what has lasted so far lasts from there on.
    pub fn rebase(&mut self, at: Timestamp) {
        let Some(crossed) = &mut self.0 else { return };
        for since in crossed.since.iter_mut().flatten() {
            *since = at;
        }
        if let Some(ended) = &mut crossed.ended {
            *ended = at;
        }
        if let Some(clear) = crossed.open.as_mut().and_then(|open| open.clear.as_mut()) {
            *clear = at;
        }
    }

    /// Brings the tracker in line with what was said: `said` is the stored episode.
    pub fn align(&mut self, said: Option<&Episode>) {
        if said.is_some() || self.0.is_some() {
            self.0.get_or_insert_default().align(said);
        }
    }
}

impl Crossed {
    fn observe(
        &mut self,
        timing: Timing,
        at: Timestamp,
        value: Celsius,
        finding: Option<Finding>,
        further: fn(Celsius, Celsius) -> Celsius,
    ) -> Option<Change> {
        if self
            .ended
            .is_some_and(|ended| at.since(ended) >= timing.flap)
        {
            self.ended = None;
        }
        for (since, severity) in self.since.iter_mut().zip(Severity::ALL) {
            *since = match finding {
                Some(finding) if finding.severity >= severity => since.or(Some(at)),
                _ => None,
            };
        }
        let asserted = self.asserted(timing, at);
        match &mut self.open {
            None => {
                let severity = asserted?;
                let started = self.since.iter().flatten().min().copied().unwrap_or(at);
                let open = Open {
                    started,
                    severity,
                    peak: value,
                    clear: None,
                    flaps: self.ended.take().is_some(),
                };
                self.open = Some(open);
                Some(Change::Began(open))
            }
            Some(open) => {
                open.peak = further(open.peak, value);
                let change = open.go_on(timing, at, finding.is_some(), asserted);
                if matches!(change, Some(Change::Ended(_))) {
                    self.open = None;
                    self.ended = (!timing.flap.is_zero()).then_some(at);
                }
                change
            }
        }
    }

    /// The worst severity that has been crossed for long enough.
    fn asserted(&self, timing: Timing, at: Timestamp) -> Option<Severity> {
        let long_enough =
            |since: &Option<Timestamp>| since.is_some_and(|since| at.since(since) >= timing.dwell);
        let asserted = self
            .since
            .iter()
            .zip(Severity::ALL)
            .filter(|(since, _)| long_enough(since));
        asserted.map(|(_, severity)| severity).max()
    }

    fn align(&mut self, said: Option<&Episode>) {
        self.open = said.map(|said| {
            let open = self.open.filter(|open| open.started == said.started);
            let base = open.unwrap_or(Open {
                started: said.started,
                severity: said.severity,
                peak: said.temperature,
                clear: None,
                flaps: false,
            });
            Open {
                severity: said.severity,
                ..base
            }
        });
    }
}

impl Open {
    fn go_on(
        &mut self,
        timing: Timing,
        at: Timestamp,
        crossed: bool,
        asserted: Option<Severity>,
    ) -> Option<Change> {
        if !crossed {
            let clear = *self.clear.get_or_insert(at);
            let hold = if self.flaps {
                timing.hold.max(timing.flap)
            } else {
                timing.hold
            };
            return (at.since(clear) >= hold).then_some(Change::Ended(*self));
        }
        self.clear = None;
        let worse = asserted.filter(|severity| *severity > self.severity)?;
        self.severity = worse;
        Some(Change::Worsened(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timing: Timing, findings: &[(u64, Option<Severity>)]) -> Vec<(u64, &'static str)> {
        let mut tracker = Tracker::default();
        let mut changes = Vec::new();
        for (second, severity) in findings {
            let at = Timestamp::from_millis(1_000_000 + second * 1000).unwrap();
            let finding = severity.map(Finding::of);
            let value = Celsius::new(20.0).unwrap();
            let change = tracker.observe(timing, at, value, finding, Celsius::max);
            changes.extend(change.map(|change| match change {
                Change::Began(_) => (*second, "began"),
                Change::Worsened(_) => (*second, "worsened"),
                Change::Ended(_) => (*second, "ended"),
            }));
        }
        changes
    }

    #[test]
    fn said_once_again_when_worse_and_once_when_over() {
        use Severity::{Critical, Warning};
        let readings = [
            (0, Some(Warning)),
            (1, Some(Warning)),
            (2, Some(Critical)),
            (3, Some(Warning)),
            (4, Some(Critical)),
            (5, None),
            (6, None),
        ];
        let said = run(Timing::default(), &readings);
        assert_eq!(said, [(0, "began"), (2, "worsened"), (5, "ended")]);
    }

    #[test]
    fn dwell_lets_a_burst_pass_and_hold_bridges_a_pause() {
        use Severity::Warning;
        let timing = Timing {
            dwell: Duration::from_secs(3),
            hold: Duration::from_secs(5),
            ..Timing::default()
        };
        let readings = [
            (0, Some(Warning)),
            (2, None),
            (3, Some(Warning)),
            (6, Some(Warning)),
            (7, None),
            (9, Some(Warning)),
            (10, None),
            (14, None),
            (15, None),
        ];
        assert_eq!(run(timing, &readings), [(6, "began"), (15, "ended")]);
    }
    #[test]
    fn what_flaps_is_said_twice_and_over_once() {
        use Severity::Warning;
        let timing = Timing {
            flap: Duration::from_mins(30),
            ..Timing::default()
        };
        let hour = (0..3600).map(|second| (second, (second / 10 % 2 == 0).then_some(Warning)));
        let mut readings: Vec<_> = hour.collect();
        assert_eq!(
            run(timing, &readings),
            [(0, "began"), (10, "ended"), (20, "began")]
        );
        // And over once it is quiet; what comes long after is another matter.
        readings.extend((3600..9000).map(|second| (second, None)));
        readings.extend([(9000, Some(Warning)), (9001, None)]);
        let said = run(timing, &readings);
        assert_eq!(
            said[3..],
            [(3590 + 1800, "ended"), (9000, "began"), (9001, "ended")]
        );
    }
}
