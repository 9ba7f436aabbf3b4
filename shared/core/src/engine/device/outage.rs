//! A device whose target does not answer.

use std::sync::Arc;

use super::super::effects::AlertEvent;
use super::super::records::Evidence;
use super::state::Device;
use crate::alert::{Extras, Severity};
use crate::episode::Open;
use crate::reading::{Fault, Reading};
use crate::time::Timestamp;
use crate::units::Celsius;

impl Device {
    /// Takes in that its target did not answer. Returns whether that has lasted as long as the fault rule
    /// allows, unless an alert of the device itself is open.
    pub(super) fn fail_with_target(&mut self, at: Timestamp) -> bool {
        let Some(index) = self.fault_rule() else {
            return false;
        };
        if self.open(index).is_some() {
            return false;
        }
        let since = *self.failing.get_or_insert(at);
        at.since(since) >= self.plan.rules[index].timing.pending_for
    }

    /// Returns the rule for faults, unless the device was never read: then it is absent.
    fn fault_rule(&self) -> Option<usize> {
        let mut rules = self.plan.rules.iter().zip(&self.detectors);
        rules.position(|(rule, state)| state.observe_fault(&rule.detector).is_some())
    }

    /// Returns the severity of a fault by rule number `index`.
    fn fault_severity(&self, index: usize) -> Option<Severity> {
        let rule = self.plan.rules.get(index)?;
        let finding = self.detectors.get(index)?.observe_fault(&rule.detector)?;
        Some(finding.severity)
    }

    /// Returns the first failure of its target, and the severity of its fault rule; none where no rule asks.
    pub(in crate::engine) fn target_failure(&self) -> Option<(Option<Timestamp>, Severity)> {
        let index = self.fault_rule()?;
        Some((self.failing, self.fault_severity(index)?))
    }

    /// Takes in that its target answers: later failures are counted anew.
    pub(in crate::engine) fn target_answers(&mut self) {
        self.failing = None;
    }

    /// Reports a failure of this device alone.
    pub(in crate::engine) fn report_lone_failure(
        &mut self,
        reading: &Reading,
        fault: &Fault,
    ) -> Option<AlertEvent> {
        let (started, index) = self.failing.zip(self.fault_rule())?;
        let plan = Arc::clone(&self.plan);
        let rule = plan.rules.get(index)?;
        let severity = self.fault_severity(index)?;
        let threshold = rule.threshold(severity).unwrap_or_default();
        let last = self.last_value().unwrap_or(Celsius::ZERO);
        if let Some(tracker) = self.tracker(index) {
            tracker.open_with(Open {
                started,
                severity,
                peak: last,
                clear: None,
                flaps: false,
                former: None,
            });
        }
        let header = self.header(&reading.device, rule, (started, severity, threshold));
        let evidence = Evidence {
            extras: Extras {
                reason: Some(fault.to_string()),
                ..Extras::default()
            },
            ..Evidence::at(reading.at)
        };
        Some(header.fire(evidence, last, severity))
    }
}
