//! Episodes: idle → pending → firing → clearing → idle, for one rule on one device.
//!
//! Findings alone move a [`Tracker`]. It is a function of the readings, like detector state, and comes back when
//! they are taken in again. An [`Episode`] is what was reported. It is stored in one step with its record.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{
    AlertId, AlertKind, AlertRecord, Detail, EndedBy, Extras, Resolution, Severity,
};
use crate::detect::{Family, Finding};
use crate::device::Role;
use crate::stored::{IfRefused, StoredValue};
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The times after which a finding becomes an episode, and an episode ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// The time for which a severity must stay crossed before it is reported: `for` in rules.
    pub pending_for: Duration,
    /// The time for which all levels must stay clear before the episode ends.
    pub keep_firing_for: Duration,
    /// The time after an episode in which another one counts as flapping. A flapping episode must stay clear
    /// for as long before it ends. So a value that flaps at its limit is reported twice, and then once when it
    /// is over. Zero switches this off.
    pub flap: Duration,
}

/// An open episode as it was reported: a value of `rackwatch:episodes`.
///
/// A collector refuses the episodes of another version. One whose alert an incident still has open is made again from
/// its record. It starts without the others: if the problem is still there, its alert fires again. While the input stream still has the first reading beyond, the state comes to the same
/// start as before, so that the record has the same alert id and receivers drop it as a repeat. Otherwise the
/// alert has a new id, and the former one is never resolved. A refused value stays in Redis until an alert of
/// the same subject and rule replaces it; a collector that understands it takes it over again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The permanent id, which its records carry.
    #[serde(rename = "id")]
    pub id: AlertId,
    /// The sensor, target or agent.
    #[serde(rename = "device")]
    pub subject: Subject,
    /// The name of the rule.
    #[serde(rename = "rule")]
    pub rule: String,
    /// The kind of its records.
    #[serde(rename = "kind")]
    pub kind: AlertKind,
    /// The first reading beyond.
    #[serde(rename = "started")]
    pub started: Timestamp,
    /// The worst severity so far.
    #[serde(rename = "severity")]
    pub severity: Severity,
    /// The value that was crossed for that severity.
    #[serde(rename = "threshold")]
    pub threshold: f64,
    /// The reading that caused the last record.
    #[serde(rename = "temperature")]
    pub temperature: Celsius,
    /// The time of that reading.
    #[serde(rename = "at")]
    pub at: Timestamp,
    /// The rack; empty where it is unknown.
    #[serde(rename = "rack")]
    pub rack: String,
    /// Height in the rack, in rack units.
    #[serde(rename = "u", default)]
    pub u: Option<u16>,
    /// The role of the sensor.
    #[serde(rename = "role")]
    pub role: Role,
}

impl Episode {
    /// Returns the open episode that a firing record reported, for one whose stored value was lost.
    pub fn of_record(record: &AlertRecord) -> Self {
        Self {
            id: record.id.clone(),
            subject: record.subject.clone(),
            rule: record.rule.clone(),
            kind: record.kind(),
            started: record.started,
            severity: record.severity,
            threshold: record.threshold,
            temperature: record.temperature.unwrap_or(Celsius::ZERO),
            at: record.at,
            rack: record.rack.clone(),
            u: record.u,
            role: record.role,
        }
    }

    /// Returns the record by which a person ends an episode that no engine knows, since its stored value was lost. Of
    /// the time after its last record nothing is known.
    pub fn ended_by_hand(&self) -> AlertRecord {
        let resolution = Resolution {
            duration: self.at.since(self.started),
            peak: None,
            ended_by: EndedBy::Operator,
        };
        AlertRecord {
            temperature: None,
            resolution: Some(resolution),
            ..self.record()
        }
    }

    /// Returns the last record of the episode, without the details that only the record itself had.
    pub fn record(&self) -> AlertRecord {
        let has_temperature = matches!(self.kind.info().family, Family::Heat | Family::Cold);
        AlertRecord {
            subject: self.subject.clone(),
            temperature: has_temperature.then_some(self.temperature),
            at: self.at,
            threshold: self.threshold,
            severity: self.severity,
            id: self.id.clone(),
            rule: self.rule.clone(),
            rack: self.rack.clone(),
            u: self.u,
            role: self.role,
            started: self.started,
            rate: None,
            detail: Detail::new(self.kind, Extras::default()),
            resolution: None,
            historical: false,
        }
    }
}

impl StoredValue for Episode {
    const NAME: &'static str = "episode";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("alerts that still hold fire again");
}

/// The position of one rule on one device: idle, nearly always, which takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tracker(Option<Box<Crossed>>);

/// A rule that is not idle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Crossed {
    /// For each severity, the time since when it or a worse one has been crossed without a break.
    #[serde(rename = "since")]
    since: [Option<Timestamp>; 3],
    /// The episode, once it fires.
    #[serde(rename = "open", default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    /// The end of the last episode, while another one would flap.
    #[serde(rename = "ended", default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
}

/// A firing or clearing episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The first reading beyond.
    #[serde(rename = "started")]
    pub started: Timestamp,
    /// The worst severity so far.
    #[serde(rename = "severity")]
    pub severity: Severity,
    /// The most extreme temperature so far.
    #[serde(rename = "peak")]
    pub peak: Celsius,
    /// The time since when all levels are clear, while the episode is held open.
    #[serde(rename = "clear", default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Timestamp>,
    /// Whether it began soon after another one ended.
    #[serde(rename = "flaps", default, skip_serializing_if = "std::ops::Not::not")]
    pub flaps: bool,
    /// The threshold that was reported, if the rule has another by now.
    #[serde(rename = "former", default, skip_serializing_if = "Option::is_none")]
    pub former: Option<f64>,
}

/// A change of an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The first report: the episode began.
    Began(Open),
    /// A further report: the severity rose.
    Worsened(Open),
    /// The episode ended; `clear` is the time since when.
    Ended(Open),
}

impl Tracker {
    /// Takes in the detector's finding in the next reading. `further` picks the more extreme of the peak so far
    /// and a new temperature.
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

    /// Frees the memory of an idle state.
    pub fn settle(&mut self) {
        if self.0.as_deref() == Some(&Crossed::default()) {
            self.0 = None;
        }
    }

    /// Returns whether nothing is crossed and no episode is open.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the open episode.
    pub fn open(&self) -> Option<&Open> {
        self.0.as_ref()?.open.as_ref()
    }

    /// Moves everything that lasts to a new time, which begins at `at`.
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

    /// Brings the tracker in line with the stored episode, or with there being none.
    pub fn align(&mut self, stored: Option<&Episode>) {
        match stored {
            Some(episode) => self.open_with(Open {
                started: episode.started,
                severity: episode.severity,
                peak: episode.temperature,
                clear: None,
                flaps: false,
                former: None,
            }),
            None => {
                if let Some(crossed) = &mut self.0 {
                    crossed.open = None;
                }
            }
        }
    }

    /// Notes the threshold at which the open episode was reported, if the rule has another by now.
    pub fn set_former(&mut self, former: Option<f64>) {
        if let Some(open) = self.0.as_mut().and_then(|crossed| crossed.open.as_mut()) {
            open.former = former;
        }
    }

    /// Opens an episode. If it is the one that is open already, only its severity changes.
    pub fn open_with(&mut self, open: Open) {
        let crossed = self.0.get_or_insert_default();
        let known = crossed.open.filter(|known| known.started == open.started);
        crossed.open = Some(Open {
            severity: open.severity,
            ..known.unwrap_or(open)
        });
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
        let lasting = self.lasting(timing, at);
        match &mut self.open {
            None => {
                let severity = lasting?;
                let started = self.since.iter().flatten().min().copied().unwrap_or(at);
                let open = Open {
                    started,
                    severity,
                    peak: value,
                    clear: None,
                    flaps: self.ended.take().is_some(),
                    former: None,
                };
                self.open = Some(open);
                Some(Change::Began(open))
            }
            Some(open) => {
                open.peak = further(open.peak, value);
                let change = open.observe(timing, at, finding.is_some(), lasting);
                if matches!(change, Some(Change::Ended(_))) {
                    self.open = None;
                    self.ended = (!timing.flap.is_zero()).then_some(at);
                }
                change
            }
        }
    }

    /// Returns the worst severity that has been crossed for long enough.
    fn lasting(&self, timing: Timing, at: Timestamp) -> Option<Severity> {
        let long_enough = |since: &Option<Timestamp>| {
            since.is_some_and(|since| at.since(since) >= timing.pending_for)
        };
        let lasting = self
            .since
            .iter()
            .zip(Severity::ALL)
            .filter(|(since, _)| long_enough(since));
        lasting.map(|(_, severity)| severity).max()
    }
}

impl Open {
    fn observe(
        &mut self,
        timing: Timing,
        at: Timestamp,
        crossed: bool,
        lasting: Option<Severity>,
    ) -> Option<Change> {
        if !crossed {
            let clear = *self.clear.get_or_insert(at);
            let wait = if self.flaps {
                timing.keep_firing_for.max(timing.flap)
            } else {
                timing.keep_firing_for
            };
            return (at.since(clear) >= wait).then_some(Change::Ended(*self));
        }
        self.clear = None;
        let worse = lasting.filter(|severity| *severity > self.severity)?;
        self.severity = worse;
        self.former = None;
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
    fn an_episode_is_reported_when_it_begins_worsens_and_ends() {
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
        let reported = run(Timing::default(), &readings);
        assert_eq!(reported, [(0, "began"), (2, "worsened"), (5, "ended")]);
    }

    #[test]
    fn a_burst_passes_and_a_pause_is_bridged() {
        use Severity::Warning;
        let timing = Timing {
            pending_for: Duration::from_secs(3),
            keep_firing_for: Duration::from_secs(5),
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
    fn a_flapping_value_is_reported_twice_and_ends_once() {
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
        // It ends once when the value is quiet; much later a new episode may begin.
        readings.extend((3600..9000).map(|second| (second, None)));
        readings.extend([(9000, Some(Warning)), (9001, None)]);
        let reported = run(timing, &readings);
        assert_eq!(
            reported[3..],
            [(3590 + 1800, "ended"), (9000, "began"), (9001, "ended")]
        );
    }
}
