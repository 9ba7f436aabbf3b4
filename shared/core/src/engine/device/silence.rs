//! A device that is silent, and is heard again.

use std::sync::Arc;

use super::super::records::{Place, silent, stored};
use super::super::{Effects, EpisodeChange};
use super::Device;
use crate::alert::{AlertId, AlertRecord, AlertState, Severity};
use crate::detect::{Detector, DetectorState};
use crate::device::DeviceId;
use crate::reading::Reading;
use crate::rules::PlannedRule;
use crate::time::Timestamp;

/// Silence begins after so many of the longest pauses.
const PAUSES: u64 = 3;

impl Device {
    /// How bad its silence is, and after how many milliseconds it is one; none where it was never heard,
    /// or nobody asks.
    pub(in crate::engine) fn misses(&self) -> Option<(Severity, u64)> {
        let rule = self.silence()?;
        let Detector::Silence(severity) = &rule.detector else {
            return None;
        };
        let after = u64::try_from(rule.timing.dwell.as_millis()).unwrap_or(u64::MAX);
        // Once is no rhythm.
        let has_rhythm = self.is_read_by_interval() || self.pause > 0;
        (self.heard > 0 && has_rhythm).then_some((*severity, after.max(self.pause * PAUSES)))
    }

    /// Somebody says how often it is read.
    fn is_read_by_interval(&self) -> bool {
        let described = self.description.as_ref();
        described.is_some_and(|known| !known.interval.is_zero())
    }

    fn silence(&self) -> Option<&PlannedRule> {
        let is_it = |rule: &&PlannedRule| matches!(rule.detector, Detector::Silence(_));
        self.plan.rules.iter().find(is_it)
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
        let found = plan
            .rules
            .iter()
            .zip(&mut self.rules)
            .find_map(|(rule, state)| match rule.detector {
                Detector::Silence(severity) => Some((rule, severity, state)),
                _ => None,
            });
        let Some((rule, severity, state)) = found else {
            return;
        };
        let severity = if leaves && !long {
            Severity::Info
        } else {
            severity
        };
        let open = state.tracker.open().copied();
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
        state.tracker.align(Some(&episode));
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
        let known = self.description.as_deref();
        let rules = self.plan.rules.iter().zip(&mut self.rules);
        for (rule, state) in rules {
            let is_it = matches!(state.detector, DetectorState::Silence);
            let Some(open) = state.tracker.open().copied().filter(|_| is_it) else {
                continue;
            };
            state.tracker.align(None);
            state.tracker.settle();
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
    }
}
