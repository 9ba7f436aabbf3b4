//! A device that sends no data, and one that is heard again.

use std::sync::Arc;
use std::time::Duration;

use super::super::effects::{AlertEvent, Effects};
use super::super::records::{Evidence, Header, Place};
use super::state::Device;
use crate::alert::Severity;
use crate::detect::{DetectorSpec, DetectorState};
use crate::device::DeviceId;
use crate::episode::Open;
use crate::reading::Reading;
use crate::time::Timestamp;
use crate::units::Celsius;

/// The multiple of the longest recent pause after which a device is absent.
const PAUSES: u64 = 3;
/// The longest pause that is taken for the interval of a device: a longer one is an outage.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

impl Device {
    /// Returns the severity of absence, and after how many milliseconds of listening it begins; none where the
    /// device was never heard, or no rule asks.
    pub(in crate::engine) fn absence_limit(&self) -> Option<(Severity, u64)> {
        let rule = self.plan.absence()?;
        let DetectorSpec::NoData(spec) = &rule.detector else {
            return None;
        };
        let after = u64::try_from(rule.timing.pending_for.as_millis()).unwrap_or(u64::MAX);
        // One reading is no rhythm, and a device that was never read well was never there.
        let has_rhythm = self.has_interval() || self.pause > 0;
        (self.heard > 0 && self.evaluated > 0 && has_rhythm)
            .then_some((spec.severity, after.max(self.pause * PAUSES)))
    }

    /// Returns the time between two readings; zero where it is unknown. A pause of hours is an outage and no interval.
    pub(in crate::engine) fn usual_pause(&self) -> Duration {
        let pause = Duration::from_millis(self.rhythm());
        if self.has_interval() {
            pause
        } else {
            pause.min(LONGEST_PAUSE)
        }
    }

    /// Returns the time between its readings in milliseconds: the described interval, or the longest recent pause.
    pub(in crate::engine) fn rhythm(&self) -> u64 {
        let interval = self.description.as_ref().map(|known| known.interval);
        let interval = interval.unwrap_or_default().as_millis();
        u64::try_from(interval).unwrap_or(u64::MAX).max(self.pause)
    }

    /// Returns whether an interval is described.
    fn has_interval(&self) -> bool {
        let described = self.description.as_ref();
        described.is_some_and(|known| !known.interval.is_zero())
    }

    /// Reports that the device is absent. During the grace period after a clean shutdown that is an info;
    /// `is_grace_over` says that the period has passed.
    pub(in crate::engine) fn report_absence(
        &mut self,
        id: &DeviceId,
        is_grace_over: bool,
        at: Timestamp,
    ) -> Option<AlertEvent> {
        let plan = Arc::clone(&self.plan);
        let mut rules = plan.rules.iter().enumerate();
        let (index, rule, severity) = rules.find_map(|(index, rule)| match &rule.detector {
            DetectorSpec::NoData(spec) => Some((index, rule, spec.severity)),
            _ => None,
        })?;
        let severity = if self.is_leaving() && !is_grace_over {
            Severity::Info
        } else {
            severity
        };
        let open = self.open(index).copied();
        if open.is_some_and(|open| open.severity >= severity) {
            return None;
        }
        let (last, value) = self.last.unwrap_or((at, None));
        let started = open.map_or(last, |open| open.started);
        let peak = value.unwrap_or(Celsius::ZERO);
        if let Some(tracker) = self.tracker(index) {
            tracker.open_with(Open {
                started,
                severity,
                peak,
                clear: None,
                flaps: false,
                former: None,
            });
        }
        let threshold = rule.timing.pending_for.as_secs_f64();
        let header = self.header(id, rule, (started, severity, threshold));
        Some(header.fire(Evidence::at(at), peak, severity))
    }

    /// Takes in that the device was heard, `listened` milliseconds into the time of listening. The alert about
    /// its absence ends.
    pub(in crate::engine) fn hear(
        &mut self,
        listened: u64,
        reading: &Reading,
        effects: &mut Effects,
    ) {
        if self.heard > 0 && !self.has_interval() {
            // A plain client does not describe its interval: its longest recent pause stands for that.
            let pause = listened.saturating_sub(self.heard);
            self.pause = pause.max(self.pause - self.pause / 8);
        }
        self.heard = listened;
        if self.trackers.is_empty() {
            return;
        }
        let known = self.description.as_deref();
        let states = self.detectors.iter().zip(&mut self.trackers);
        for (rule, (detector, tracker)) in self.plan.rules.iter().zip(states) {
            let is_absence = matches!(detector, DetectorState::NoData(_));
            let Some(open) = tracker.open().copied().filter(|_| is_absence) else {
                continue;
            };
            tracker.align(None);
            tracker.settle();
            let id = &reading.device;
            let header = Header {
                subject: id.clone().into(),
                kind: rule.kind,
                rule: rule.name.clone(),
                place: Place::of(known, id),
                started: open.started,
                severity: open.severity,
                threshold: rule.timing.pending_for.as_secs_f64(),
            };
            let at = reading.at.max(open.started);
            effects.report(header.resolve(Evidence::at(at), at, open.peak));
        }
        self.settle();
    }
}
