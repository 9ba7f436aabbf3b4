//! A device that is silent, and is heard again.

use std::sync::Arc;

use super::super::records::{Place, silent, stored};
use super::super::{Effects, EpisodeChange};
use super::Device;
use crate::alert::{AlertId, AlertRecord, AlertState, Severity};
use crate::detect::{Detector, DetectorState};
use crate::device::DeviceId;
use crate::reading::Reading;
use crate::time::Timestamp;

/// Silence begins after so many of the longest pauses.
const PAUSES: u64 = 3;

impl Device {
    /// How bad its silence is, and after how many milliseconds it is one; none where it was never heard,
    /// or nobody asks.
    pub(in crate::engine) fn misses(&self) -> Option<(Severity, u64)> {
        let rule = self.plan.silence()?;
        let Detector::Silence(severity) = &rule.detector else {
            return None;
        };
        let after = u64::try_from(rule.timing.dwell.as_millis()).unwrap_or(u64::MAX);
        // Once is no rhythm; and what never read well is absent, not missed.
        let has_rhythm = self.is_read_by_interval() || self.pause > 0;
        (self.heard > 0 && self.judged > 0 && has_rhythm)
            .then_some((*severity, after.max(self.pause * PAUSES)))
    }

    /// Somebody says how often it is read.
    fn is_read_by_interval(&self) -> bool {
        let described = self.description.as_ref();
        described.is_some_and(|known| !known.interval.is_zero())
    }

    /// It has been silent for long enough, or, having left, for long.
    pub(in crate::engine) fn fall_silent(
        &mut self,
        id: &DeviceId,
        long: bool,
        at: Timestamp,
        effects: &mut Effects,
    ) {
        let place = self.place(id);
        let leaves = self.leaves();
        let plan = Arc::clone(&self.plan);
        let mut rules = plan.rules.iter().enumerate();
        let found = rules.find_map(|(index, rule)| match rule.detector {
            Detector::Silence(severity) => Some((index, rule, severity)),
            _ => None,
        });
        let Some((index, rule, severity)) = found else {
            return;
        };
        let severity = if leaves && !long {
            Severity::Info
        } else {
            severity
        };
        let open = self.open(index).copied();
        if open.is_some_and(|open| open.severity >= severity) {
            return;
        }
        let (last, value) = self.last.unwrap_or((at, None));
        let started = open.map_or(last, |open| open.started);
        let record = AlertRecord {
            id: AlertId::of(id, &rule.name, started),
            rule: rule.name.clone(),
            threshold: rule.timing.dwell.as_secs_f64(),
            rack: place.rack,
            u: place.u,
            role: place.role,
            ..silent(id, started, at, severity)
        };
        let episode = stored(&record, value);
        if let Some(tracker) = self.tracker(index) {
            tracker.align(Some(&episode));
        }
        effects.alerts.push(record);
        effects
            .episodes
            .push(EpisodeChange::Open(Box::new(episode)));
    }

    /// It was heard, at `count` of what counts as silence; a silence that was spoken of is over.
    pub(in crate::engine) fn hear(&mut self, count: u64, reading: &Reading, effects: &mut Effects) {
        if self.heard > 0 && !self.is_read_by_interval() {
            // A plain client does not say how often it writes: the longest pauses of late tell.
            let pause = count.saturating_sub(self.heard);
            self.pause = pause.max(self.pause - self.pause / 8);
        }
        self.heard = count;
        if self.trackers.is_empty() {
            return;
        }
        let known = self.description.as_deref();
        let states = self.detectors.iter().zip(&mut self.trackers);
        for (rule, (detector, tracker)) in self.plan.rules.iter().zip(states) {
            let is_it = matches!(detector, DetectorState::Silence);
            let Some(open) = tracker.open().copied().filter(|_| is_it) else {
                continue;
            };
            tracker.align(None);
            tracker.settle();
            let id = &reading.device;
            let at = reading.at.max(open.started);
            let place = Place::of(known, id);
            effects.alerts.push(AlertRecord {
                id: AlertId::of(id, &rule.name, open.started),
                rule: rule.name.clone(),
                threshold: rule.timing.dwell.as_secs_f64(),
                rack: place.rack,
                u: place.u,
                role: place.role,
                state: AlertState::Resolved,
                duration: Some(at.since(open.started)),
                ..silent(id, open.started, at, open.severity)
            });
            effects.episodes.push(EpisodeChange::Close {
                device: id.clone(),
                rule: rule.name.clone(),
            });
        }
        self.settle();
    }
}
