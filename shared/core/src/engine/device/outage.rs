//! A device whose target does not answer.

use std::sync::Arc;

use super::super::records::fired;
use super::super::{Effects, EpisodeChange};
use super::Device;
use crate::alert::Severity;
use crate::detect::{Detector, DetectorState};
use crate::device::DeviceId;
use crate::episode::Open;
use crate::reading::{Fault, Reading};
use crate::time::Timestamp;
use crate::units::Celsius;

impl Device {
    /// Its target gave no answer. Whether that is so for long enough to be said, of the target or of the device;
    /// not where it was said of the device.
    pub(super) fn fail_with_target(&mut self, at: Timestamp) -> bool {
        let Some(index) = self.fault_rule() else {
            return false;
        };
        if self.open(index).is_some() {
            return false;
        }
        let since = *self.failing.get_or_insert(at);
        at.since(since) >= self.plan.rules[index].timing.dwell
    }

    /// The rule that asks whether it can be read, if it ever was: else it is absent.
    fn fault_rule(&self) -> Option<usize> {
        let mut rules = self.plan.rules.iter().zip(&self.detectors);
        rules.position(|(rule, state)| match (&rule.detector, state) {
            (Detector::Fault(spec), DetectorState::Fault(state)) => state.failed(spec).is_some(),
            _ => false,
        })
    }

    /// Since when its target has given no answer, and how bad that is; none where it is absent or not asked about.
    pub(in crate::engine) fn fails(&self) -> Option<(Option<Timestamp>, Severity)> {
        let index = self.fault_rule()?;
        match &self.plan.rules[index].detector {
            Detector::Fault(spec) => Some((self.failing, spec.severity)),
            _ => None,
        }
    }

    /// Its target answers: what follows is counted from the beginning.
    pub(in crate::engine) fn answers(&mut self) {
        self.failing = None;
    }

    /// It alone is without an answer.
    pub(in crate::engine) fn fail_alone(
        &mut self,
        reading: &Reading,
        fault: &Fault,
        effects: &mut Effects,
    ) {
        let plan = Arc::clone(&self.plan);
        let known = self.failing.zip(self.fault_rule());
        let Some((since, (index, rule, severity))) = known.and_then(|(since, index)| {
            let rule = plan.rules.get(index)?;
            match &rule.detector {
                Detector::Fault(spec) => Some((since, (index, rule, spec.severity))),
                _ => None,
            }
        }) else {
            return;
        };
        let id: &DeviceId = &reading.device;
        let last = self
            .last
            .and_then(|(_, value)| value)
            .unwrap_or(Celsius::ZERO);
        let open = Open {
            started: since,
            severity,
            peak: last,
            clear: None,
            flaps: false,
        };
        let (mut record, episode) =
            fired(id, self.place(id), rule, reading.at, last, open, None, None);
        (record.temperature, record.reason) = (None, Some(fault.to_string()));
        if let Some(tracker) = self.tracker(index) {
            tracker.align(Some(&episode));
        }
        effects.alerts.push(record);
        effects
            .episodes
            .push(EpisodeChange::Open(Box::new(episode)));
    }
}
