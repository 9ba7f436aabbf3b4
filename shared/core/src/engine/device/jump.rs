//! Jumps: a reading far away from the one before waits for the next one to confirm it.
//!
//! Cheap and wireless sensors send single values that are 40 K off and more, about once a month each. Air cannot
//! change by 10 K from one reading to the next unless something burns, so one reading more is worth waiting for. If
//! none comes, the jump counts. What an agent has read twice is not held back, nor are components, whose load jumps.

use std::time::Duration;

use super::super::commissioning::Commissioning;
use super::super::effects::Effects;
use super::held_jump::HeldJump;
use super::reading::FollowUp;
use super::state::Device;
use crate::device::{DeviceId, Role};
use crate::quality;
use crate::reading::{Fault, Reading};
use crate::time::Timestamp;
use crate::units::Celsius;

/// The shortest and, in intervals of the device, the usual time for which a jump waits to be confirmed.
const SHORTEST: Duration = Duration::from_mins(1);
const INTERVALS: u32 = 3;

impl Device {
    /// Returns whether a plausible reading must be confirmed: it is the first one after a jump.
    pub(super) fn must_be_confirmed(&self, value: Celsius) -> bool {
        let has_slow_air = !matches!(
            self.role(),
            Role::Cpu | Role::Gpu | Role::Memory | Role::Disk
        );
        let is_read_twice = self.description().is_some_and(|known| known.rereads);
        let is_jump = self
            .last_value()
            .is_some_and(|last| quality::is_jump(last, value));
        has_slow_air && !is_read_twice && is_jump && self.evaluated > 0
    }

    /// Returns whether a jump waits to be confirmed.
    pub(in crate::engine) fn holds_jump(&self) -> bool {
        self.held.is_some()
    }

    /// Holds a jump back until the next reading.
    pub(super) fn hold(&mut self, at: Timestamp, value: Celsius) {
        self.held = Some(Box::new(HeldJump {
            at,
            value,
            heard: self.heard,
        }));
    }

    /// Returns the jump that this newer reading confirms: it is as far from the last temperature, on the same side.
    pub(in crate::engine) fn confirmed_by(&mut self, reading: &Reading) -> Option<Reading> {
        let held = **self.held.as_ref()?;
        let value = *reading.value.as_ref().ok()?;
        let value = quality::check(self.role(), self.range(), value).ok()?;
        let last = self.last_value()?;
        let is_same_side = (value > last) == (held.value > last);
        (reading.at > held.at && quality::is_jump(last, value) && is_same_side)
            .then(|| self.take_held(&reading.device))?
    }

    /// Returns the jump if it has waited for long enough, `listened` milliseconds into the time of listening.
    pub(in crate::engine) fn waited_for(
        &mut self,
        id: &DeviceId,
        listened: u64,
    ) -> Option<Reading> {
        let waited = Duration::from_millis(listened.saturating_sub(self.held.as_ref()?.heard));
        let limit = SHORTEST.max(self.usual_pause() * INTERVALS);
        (waited >= limit).then(|| self.take_held(id))?
    }

    fn take_held(&mut self, id: &DeviceId) -> Option<Reading> {
        let held = self.held.take()?;
        Some(Reading {
            device: id.clone(),
            at: held.at,
            value: Ok(held.value),
        })
    }

    /// Takes in that the device returned from a jump: it was none.
    pub(super) fn drop_held(&mut self, id: &DeviceId, effects: &mut Effects) {
        if let Some(held) = self.held.take() {
            effects.tally.faults += 1;
            self.evaluate_fault(id, held.at, &Fault::UNCONFIRMED, effects);
        }
    }

    /// Evaluates a jump that was confirmed, or for which no other reading came.
    pub(in crate::engine) fn evaluate_jump(
        &mut self,
        jump: &Reading,
        (commissioning, listened): (&mut Commissioning, u64),
        effects: &mut Effects,
    ) -> FollowUp {
        let Ok(value) = jump.value else {
            return FollowUp::None;
        };
        let newest = self.last_read();
        let follow_up = self.accept((jump, value), (commissioning, listened), effects);
        // A fault may have been read since.
        self.last = newest.max(Some(jump.at)).map(|at| (at, Some(value)));
        follow_up
    }
}
