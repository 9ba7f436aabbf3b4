//! Outages: targets that answer for none of their devices.
//!
//! A board with thirty sensors that hangs is one trouble, not thirty: once one of its devices could not be read
//! for as long as the rule says, and none of the others can be, the target is spoken of in their place.

use super::device::Device;
use super::owners::{Said, is_target, target_device};
use super::records::faulty;
use super::{Effects, Engine};
use crate::alert::{AlertRecord, Severity};
use crate::episode::Episode;
use crate::reading::{Fault, Reading};
use crate::time::Timestamp;

/// The rule's name, where it is a target that cannot be read.
pub(super) const SENSOR_FAULT: &str = "sensor_fault";

/// Targets of which it was said that they do not answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outages(Said);

/// What there is to say of one.
#[derive(Clone, Debug)]
struct Outage<'a> {
    target: &'a str,
    /// Since when no device of it could be read.
    since: Timestamp,
    severity: Severity,
    /// The rack that all of them are in; empty where they are in several.
    rack: String,
}

impl Outages {
    /// Whether `episode` is one of these.
    pub(super) fn has(episode: &Episode) -> bool {
        episode.rule == SENSOR_FAULT && is_target(&episode.device)
    }

    /// Those of the stored episodes.
    pub(super) fn of(stored: &[Episode]) -> Self {
        Self(Said::of(stored.iter().filter(|e| Self::has(e))))
    }

    /// None of them is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it was said of this one.
    fn knows(&self, target: &str) -> bool {
        !self.is_empty() && self.0.get(&target_device(target)).is_some()
    }

    /// A target does not answer, as the fault at `at` says.
    fn begin(&mut self, outage: Outage<'_>, fault: &Fault, at: Timestamp, effects: &mut Effects) {
        let device = target_device(outage.target);
        let record = AlertRecord {
            reason: Some(fault.to_string()),
            rack: outage.rack,
            ..faulty(&device, outage.since, at, outage.severity)
        };
        self.0.begin(record, effects);
    }

    /// A target answers, for one of its devices at least; whether it was said that it did not.
    pub(super) fn end(&mut self, target: &str, at: Timestamp, effects: &mut Effects) -> bool {
        self.0.end(target_device(target), at, faulty, effects)
    }
}

impl Engine {
    /// A reading that is no word of its target being gone: it answers.
    pub(super) fn answered(&mut self, reading: &Reading, effects: &mut Effects) {
        let is_gone = |fault: &Fault| fault.is_of_target();
        if self.outages.is_empty() || reading.value.as_ref().err().is_some_and(is_gone) {
            return;
        }
        let device = self.devices.get(&reading.device);
        let Some(target) = device.and_then(|device| device.target().map(str::to_owned)) else {
            return;
        };
        if self.outages.end(&target, reading.at, effects) {
            for device in self.devices.values_mut() {
                if device.target() == Some(&target) {
                    device.answers();
                }
            }
        }
    }

    /// A device's target has given no answer for long. Where it gives none for any other either, that is said once
    /// for all of them.
    pub(super) fn judge_outage(&mut self, reading: &Reading, effects: &mut Effects) {
        let Err(fault) = &reading.value else { return };
        let target = self.devices.get(&reading.device);
        if let Some(target) = target.and_then(|device| device.target()) {
            if self.outages.knows(target) {
                return;
            }
            if let Some(outage) = outage_of(target, self.devices.values()) {
                self.outages.begin(outage, fault, reading.at, effects);
                return;
            }
        }
        if let Some(device) = self.devices.get_mut(&reading.device) {
            device.fail_alone(reading, fault, effects);
        }
    }
}

/// What there is to say of a target that answers for none of its devices, of which it has several.
fn outage_of<'d, 't>(
    target: &'t str,
    devices: impl Iterator<Item = &'d Box<Device>>,
) -> Option<Outage<'t>> {
    let (mut count, mut racks) = (0_u32, Vec::new());
    let (mut first, mut worst) = (None, Severity::Info);
    for device in devices.filter(|device| device.target() == Some(target)) {
        let Some((failing, severity)) = device.fails() else {
            continue;
        };
        let since = failing?;
        count += 1;
        first = Some(first.map_or(since, |first: Timestamp| first.min(since)));
        worst = worst.max(severity);
        racks.push(device.stands_in().unwrap_or_default());
    }
    racks.dedup();
    let rack = match racks.as_slice() {
        [only] => (*only).to_owned(),
        _ => String::new(),
    };
    (count > 1).then_some(Outage {
        target,
        since: first?,
        severity: worst,
        rack,
    })
}
