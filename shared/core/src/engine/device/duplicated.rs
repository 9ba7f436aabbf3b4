//! A device that several agents of one name read.

use std::sync::Arc;
use std::time::Duration;

use super::super::duplicates::Writer;
use super::super::effects::Effects;
use super::state::Device;
use super::writer::WriterReading;
use thin_vec::ThinVec;

use crate::detect::{Decision, Observation, Side};
use crate::quality;
use crate::reading::Reading;
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// The age from which the reading of another writer no longer counts.
const MAX_AGE: Duration = Duration::from_mins(3);

impl Device {
    /// Takes in a reading while several agents write the device. Limits are evaluated by the worst temperature
    /// of all writers; no other rule is evaluated.
    pub(in crate::engine) fn read_duplicated(
        &mut self,
        (entry, writer): (StreamId, Writer),
        reading: &Reading,
        effects: &mut Effects,
    ) {
        self.through = self.through.max(entry);
        let checked = reading.value.as_ref().ok().copied();
        let checked = checked.and_then(|v| quality::check(self.role(), self.range(), v).ok());
        let now = WriterReading {
            writer,
            at: reading.at,
            value: checked,
        };
        let mut known = self.writers.iter_mut();
        match known.find(|known| known.writer == writer) {
            Some(known) if reading.at <= known.at => {
                let tally = &mut effects.tally;
                let is_repeated = reading.at == known.at;
                let count = if is_repeated {
                    &mut tally.duplicate
                } else {
                    &mut tally.late
                };
                *count += 1;
                return;
            }
            Some(known) => *known = now,
            None => self.writers.push(now),
        }
        let newest = self.writers.iter().map(|known| known.at).max();
        let newest = newest.unwrap_or(reading.at);
        self.writers
            .retain(|known| newest.since(known.at) <= MAX_AGE);
        if self.last.is_some_and(|(last, _)| reading.at == last) {
            // The first value of an instant is the one that is stored.
            effects.tally.conflicting += 1;
        }
        if self.last.is_none_or(|(last, _)| reading.at > last) {
            self.last = Some((reading.at, checked.or(self.last_value())));
        }
        if checked.is_none() {
            effects.tally.faults += 1;
            return;
        }
        effects.tally.evaluated += 1;
        self.evaluate_limits(reading, newest, effects);
    }

    fn evaluate_limits(&mut self, reading: &Reading, at: Timestamp, effects: &mut Effects) {
        let values: Vec<_> = self
            .writers
            .iter()
            .filter_map(|known| known.value)
            .collect();
        let (plan, role) = (Arc::clone(&self.plan), self.role());
        let usual = self.usual.degrees();
        for (index, rule) in plan.rules.iter().enumerate() {
            let worst = match rule.kind.info().side {
                Some(Side::Above) => values.iter().copied().reduce(Celsius::max),
                Some(Side::Below) => values.iter().copied().reduce(Celsius::min),
                None => None,
            };
            let (Some(value), Some(state)) = (worst, self.detectors.get_mut(index)) else {
                continue;
            };
            let is_open = self.trackers.get(index).is_some_and(|t| t.open().is_some());
            let now = Observation {
                at,
                gap: Duration::ZERO,
                value,
                is_open,
                role,
                usual,
            };
            if let Decision::Decided(finding) = state.observe(&rule.detector, &now) {
                self.observe_value(index, (&reading.device, at, value), finding, effects);
            }
        }
    }

    /// Takes note that one agent writes the device again.
    pub(in crate::engine) fn forget_writers(&mut self) {
        if !self.writers.is_empty() {
            self.writers = ThinVec::new();
        }
    }
}
