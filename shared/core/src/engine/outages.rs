//! Outages: targets that answer for none of their devices.
//!
//! A board with thirty sensors that hangs is one problem, not thirty. Once one of its devices has failed for the
//! time that its rule allows, and all others fail too, the target has the alert in their place.

use super::device::{Device, Devices};
use super::effects::AlertEvent;
use super::records::{Evidence, SENSOR_FAULT};
use super::subjects::{OpenAlert, SubjectAlerts, SubjectRule};
use crate::alert::{AlertId, AlertKind, Extras, Severity};
use crate::episode::Episode;
use crate::reading::{Fault, Reading};
use crate::subject::Subject;
use crate::time::Timestamp;

/// The targets that do not answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outages(SubjectAlerts);

impl Default for Outages {
    fn default() -> Self {
        Self(SubjectAlerts::new(SubjectRule {
            kind: AlertKind::SensorFault,
            name: SENSOR_FAULT,
            threshold: 0.0,
        }))
    }
}

impl Outages {
    /// Returns whether a stored episode belongs here.
    pub(super) fn owns(episode: &Episode) -> bool {
        episode.rule == SENSOR_FAULT && matches!(episode.subject, Subject::Target(_))
    }

    /// Takes over the stored episodes that belong here.
    pub(super) fn resume(&mut self, episodes: &[Episode]) {
        self.0
            .resume(episodes.iter().filter(|episode| Self::owns(episode)));
    }

    /// Closes the alert with this id, because a person resolved it.
    pub(super) fn resolve_by_hand(
        &mut self,
        subject: &Subject,
        alert: &AlertId,
        at: Timestamp,
    ) -> Option<AlertEvent> {
        self.0.resolve_by_hand(subject, alert, at)
    }

    /// Returns whether no alert is open.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in a reading. Unless it reports that the target failed, the target answers: its alert ends, and
    /// failures of its devices are counted anew.
    pub(super) fn answer(
        &mut self,
        devices: &mut Devices,
        reading: &Reading,
    ) -> Option<AlertEvent> {
        let is_of_target = reading
            .value
            .as_ref()
            .err()
            .is_some_and(Fault::is_of_target);
        if self.is_empty() || is_of_target {
            return None;
        }
        let target = devices.get(&reading.device)?.target()?.to_owned();
        let event = self.end(Subject::target(&target), reading.at)?;
        for device in devices.values_mut() {
            if device.target() == Some(&target) {
                device.target_answers();
            }
        }
        Some(event)
    }

    /// Decides about a device whose target has not answered for the time that its rule allows. If no device of
    /// the target can be read, the target has the alert, else the device.
    pub(super) fn evaluate(
        &mut self,
        devices: &mut Devices,
        reading: &Reading,
    ) -> Option<AlertEvent> {
        let fault = reading.value.as_ref().err()?;
        let target = devices.get(&reading.device).and_then(|d| d.target());
        if let Some(target) = target {
            let subject = Subject::target(target);
            if self.0.get(&subject).is_some() {
                return None;
            }
            if let Some(open) = outage_of(target, devices.values()) {
                let evidence = Evidence {
                    extras: Extras {
                        reason: Some(fault.to_string()),
                        ..Extras::default()
                    },
                    ..Evidence::at(reading.at)
                };
                return Some(self.0.fire(subject, open, evidence));
            }
        }
        devices
            .get_mut(&reading.device)?
            .report_lone_failure(reading, fault)
    }

    /// Closes the alert of a target that answers, or has no devices any more.
    pub(super) fn end(&mut self, target: Subject, at: Timestamp) -> Option<AlertEvent> {
        self.0.resolve(target, at)
    }
}

/// Returns the alert for a target that answers for none of its devices; none where it answers for one, or has
/// only one.
fn outage_of<'d>(
    target: &str,
    devices: impl Iterator<Item = &'d Box<Device>>,
) -> Option<OpenAlert> {
    let (mut count, mut racks) = (0_u32, Vec::new());
    let (mut first, mut worst) = (None, Severity::Info);
    for device in devices.filter(|device| device.target() == Some(target)) {
        let Some((failing, severity)) = device.target_failure() else {
            continue;
        };
        let since = failing?;
        count += 1;
        first = Some(first.map_or(since, |first: Timestamp| first.min(since)));
        worst = worst.max(severity);
        racks.push(device.described_rack().unwrap_or_default());
    }
    racks.dedup();
    let rack = match racks.as_slice() {
        [only] => (*only).to_owned(),
        _ => String::new(),
    };
    let since = first.filter(|_| count > 1)?;
    Some(OpenAlert::new(since, worst, rack))
}
