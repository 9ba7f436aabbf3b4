//! A reading of a device, from its timestamp to its rules.

use std::time::Duration;

use thin_vec::ThinVec;

use super::super::clock::{Delay, WrongBy, WrongClock};
use super::super::commissioning::{Commissioning, FirstReading};
use super::super::effects::{AlertEvent, Effects};
use super::super::records::{CLOCK_SKEW, Evidence, Header};
use super::state::Device;
use crate::alert::{AlertKind, Extras, Severity};
use crate::clock_offsets::TOLERANCE;
use crate::detect::trend::Trend;
use crate::detect::{DetectorState, Observation};
use crate::device::DeviceId;
use crate::quality;
use crate::reading::{Fault, Reading};
use crate::time::{StreamId, Timestamp, format_duration};
use crate::units::Celsius;

/// The same as [`TOLERANCE`], in milliseconds.
const TOLERANCE_MS: u64 = TOLERANCE.as_secs() * 1000;

/// The work left for the engine after a device took in a reading, because it needs other devices.
#[derive(Clone, Debug)]
pub(in crate::engine) enum FollowUp {
    /// Nothing remains to be done.
    None,
    /// Compare the reading with the rack, by the rules that ask for it.
    Compare {
        /// The numbers of these rules in the device's plan.
        rules: ThinVec<usize>,
        /// The reading as they see it, but for their open episodes.
        now: Observation,
    },
    /// Find out whether any other device of the target answers: this one has failed for as long as its rule
    /// allows.
    TargetFailure,
}

impl Device {
    /// Takes in a reading of the entry that arrived at `arrived`, `listened` milliseconds into the time of
    /// listening.
    pub(in crate::engine) fn read(
        &mut self,
        (entry, arrived, listened): (StreamId, u64, u64),
        reading: &Reading,
        commissioning: &mut Commissioning,
        effects: &mut Effects,
    ) -> FollowUp {
        self.observe_delay(arrived, reading, effects);
        if let Some((last, _)) = self.last
            && reading.at <= last
            && !self.restarts_clock((entry, arrived), last, reading, effects)
        {
            return FollowUp::None;
        }
        let is_put_right = self.has_jumped(arrived, reading.at);
        self.through = self.through.max(entry);
        self.clock.in_time();
        if let Ok(value) = reading.value
            && let Some(wrong) = self.clock.recovers(reading.at)
        {
            if is_put_right {
                self.rebase(reading.at);
            }
            let end = self.clock_recovered(&reading.device, wrong, reading.at, Some(value));
            effects.report(end);
        }
        let checked = match &reading.value {
            Ok(value) => quality::check(self.role(), self.range(), *value),
            Err(fault) => Err(fault.clone()),
        };
        let value = match checked {
            Ok(value) => value,
            Err(fault) => return self.read_fault(reading, &fault, effects),
        };
        if self.held.is_some() {
            self.drop_held(&reading.device, effects);
        }
        if self.must_be_confirmed(value) {
            self.last = Some((reading.at, self.last_value()));
            self.hold(reading.at, value);
            return FollowUp::None;
        }
        self.accept((reading, value), (commissioning, listened), effects)
    }

    /// Evaluates a temperature that is believed.
    pub(super) fn accept(
        &mut self,
        (reading, value): (&Reading, Celsius),
        (commissioning, listened): (&mut Commissioning, u64),
        effects: &mut Effects,
    ) -> FollowUp {
        self.failing = None;
        self.last = Some((reading.at, Some(value)));
        if self.description.is_none() && self.by_agent == Some(true) {
            effects.tally.undescribed += 1;
        } else {
            effects.tally.evaluated += 1;
        }
        let mut first = if self.evaluated == 0 {
            commissioning.first_reading(self.counted, listened)
        } else {
            None
        };
        let follow_up = self.evaluate(&reading.device, reading.at, value, first.as_mut(), effects);
        if let Some(notice) = first.and_then(FirstReading::into_notice) {
            effects.notices.push(notice);
        }
        follow_up
    }

    /// Takes in a fault, reported by the agent or found by the range check.
    fn read_fault(&mut self, reading: &Reading, fault: &Fault, effects: &mut Effects) -> FollowUp {
        effects.tally.faults += 1;
        self.last = Some((reading.at, self.last_value()));
        if fault.is_of_target() {
            let is_due = self.fail_with_target(reading.at);
            if self.failing.is_some() {
                return if is_due {
                    FollowUp::TargetFailure
                } else {
                    FollowUp::None
                };
            }
        }
        self.failing = None;
        self.evaluate_fault(&reading.device, reading.at, fault, effects);
        FollowUp::None
    }

    /// Takes in a reading that is not newer than the device's `last`. Returns whether the device's clock was
    /// set back, so that a new time begins with this reading; else the reading is counted and done with.
    fn restarts_clock(
        &mut self,
        (entry, arrived): (StreamId, u64),
        last: Timestamp,
        reading: &Reading,
        effects: &mut Effects,
    ) -> bool {
        // An entry that was taken in before says nothing about the clock.
        let is_repeated = entry <= self.through && entry != StreamId::ZERO;
        self.through = self.through.max(entry);
        if let Ok(value) = reading.value
            && !is_repeated
            && self.clock.behind(arrived, reading.at)
        {
            self.restart_clock(reading, value, (last, arrived), effects);
            return true;
        }
        let is_other = |value: &Celsius| self.last_value() != Some(*value);
        let differs = reading.value.as_ref().is_ok_and(is_other);
        let tally = &mut effects.tally;
        let count = if reading.at == last && differs {
            &mut tally.conflicting
        } else if reading.at == last {
            &mut tally.duplicate
        } else {
            &mut tally.late
        };
        *count += 1;
        false
    }

    /// Returns whether a reading of `at` that arrived at `arrived` is further from the last one than that is from its
    /// arrival: the clock was set forward meanwhile.
    fn has_jumped(&self, arrived: u64, at: Timestamp) -> bool {
        let taken = self.last.map_or(Duration::ZERO, |(last, _)| at.since(last));
        let elapsed = Duration::from_millis(arrived.saturating_sub(self.through.ms));
        taken > elapsed + TOLERANCE
    }

    /// Moves everything that has to last to a new time, which begins at `at`.
    fn rebase(&mut self, at: Timestamp) {
        for tracker in &mut self.trackers {
            tracker.rebase(at);
        }
    }

    /// Begins a new time: the device's clock was set back from `last`. Its windows start cold, its episodes go
    /// on. A clock that is right by that was wrong before, and is no alert.
    fn restart_clock(
        &mut self,
        reading: &Reading,
        value: Celsius,
        (last, arrived): (Timestamp, u64),
        effects: &mut Effects,
    ) {
        let (id, at) = (&reading.device, reading.at);
        self.trend = Trend::default();
        self.held = None;
        for (rule, detector) in self.plan.rules.iter().zip(&mut self.detectors) {
            *detector = DetectorState::new(&rule.detector);
        }
        self.rebase(at);
        // By Redis' clock: the last reading may have had a wrong time too.
        let skew = at
            .millis()
            .cast_signed()
            .saturating_sub(arrived.cast_signed());
        let is_right = skew.unsigned_abs() <= TOLERANCE_MS;
        // Set back again while the alert is open: still the same problem.
        if !self.clock.begin(at, last, is_right) {
            return;
        }
        let evidence = Evidence {
            temperature: Some(value),
            extras: Extras {
                skew_ms: Some(skew),
                ..Extras::default()
            },
            ..Evidence::at(at)
        };
        let header = self.clock_header(id, at, Severity::Warning);
        effects.report(header.fire(evidence, value, Severity::Warning));
    }

    /// Takes in the seconds that the clock of its plain client is ahead at `at`, zero once it is right.
    pub(in crate::engine) fn set_clock_offset(
        &mut self,
        id: &DeviceId,
        at: Timestamp,
        ahead: i64,
    ) -> Option<AlertEvent> {
        if ahead == 0 {
            let wrong = self.clock.close(WrongBy::Ahead)?;
            return Some(self.clock_recovered(id, wrong, at, None));
        }
        let started = self.clock.open(at, WrongBy::Ahead)?;
        let evidence = Evidence {
            extras: Extras {
                skew_ms: Some(ahead.saturating_mul(1000)),
                ..Extras::default()
            },
            ..Evidence::at(at)
        };
        let last = self.last_value().unwrap_or(Celsius::ZERO);
        let header = self.clock_header(id, started, Severity::Warning);
        Some(header.fire(evidence, last, Severity::Warning))
    }

    /// Takes in when a reading arrived, and reports readings that are late for good. The alert is of the time of
    /// arrival, since one of the past would send no notification.
    fn observe_delay(&mut self, arrived: u64, reading: &Reading, effects: &mut Effects) {
        let (id, delay) = (&reading.device, self.clock.delay(arrived, reading.at));
        let at = Timestamp::from_millis(arrived).unwrap_or(reading.at);
        match delay {
            Delay::Some => {}
            Delay::None => {
                if let Some(wrong) = self.clock.close(WrongBy::Late) {
                    effects.report(self.clock_recovered(id, wrong, at, None));
                }
            }
            Delay::Lasting(delay) => {
                let Some(started) = self.clock.open(at, WrongBy::Late) else {
                    return;
                };
                let by = format_duration(Duration::from_secs(delay.as_secs()));
                let skew = i64::try_from(delay.as_millis()).ok();
                let evidence = Evidence {
                    extras: Extras {
                        skew_ms: skew.map(|skew| -skew),
                        reason: Some(format!(
                            "readings arrive {by} late, so its alerts send no notification"
                        )),
                        ..Extras::default()
                    },
                    ..Evidence::at(at)
                };
                let last = self.last_value().unwrap_or(Celsius::ZERO);
                let header = self.clock_header(id, started, Severity::Critical);
                effects.report(header.fire(evidence, last, Severity::Critical));
            }
        }
    }

    /// Returns the end of the alert about a clock that is right again, or that was wrong for long enough.
    pub(super) fn clock_recovered(
        &self,
        id: &DeviceId,
        wrong: WrongClock,
        at: Timestamp,
        value: Option<Celsius>,
    ) -> AlertEvent {
        let evidence = Evidence {
            temperature: value,
            ..Evidence::at(at)
        };
        let header = self.clock_header(id, wrong.started, wrong.cause.severity());
        header.resolve(evidence, at, Celsius::ZERO)
    }

    fn clock_header(&self, id: &DeviceId, started: Timestamp, severity: Severity) -> Header {
        Header {
            subject: id.clone().into(),
            kind: AlertKind::ClockSkew,
            rule: CLOCK_SKEW.to_owned(),
            place: self.place(id),
            started,
            severity,
            threshold: 0.0,
        }
    }
}
