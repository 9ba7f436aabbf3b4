//! Agents with a wrong clock. Each agent compares its clock with Redis' now and then, and reports the
//! difference.
//!
//! Readings of a wrong clock are corrected before they come here (`clock_offsets`); people should know that they
//! are. The only state is whether an alert is open, and the stored episodes have that.

use std::time::Duration;

use super::effects::AlertEvent;
use super::records::{CLOCK_SKEW, Evidence};
use super::subjects::{OpenAlert, SubjectAlerts, SubjectRule};
use crate::alert::{AlertId, AlertKind, Extras, Severity};
use crate::clock_offsets::TOLERANCE;
use crate::episode::Episode;
use crate::loss_ledger::ReportedSequence;
use crate::subject::Subject;
use crate::time::Timestamp;

/// The greatest difference of a clock that is right. An open alert ends within half of it.
const LIMIT: Duration = TOLERANCE;

/// The agents with a wrong clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AgentClocks(SubjectAlerts);

impl Default for AgentClocks {
    fn default() -> Self {
        Self(SubjectAlerts::new(SubjectRule {
            kind: AlertKind::ClockSkew,
            name: CLOCK_SKEW,
            threshold: LIMIT.as_secs_f64(),
        }))
    }
}

impl AgentClocks {
    /// Returns whether a stored episode belongs here.
    pub(super) fn owns(episode: &Episode) -> bool {
        episode.rule == CLOCK_SKEW && matches!(episode.subject, Subject::Agent(_))
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

    /// Closes the alert of an agent that has no devices any more.
    pub(super) fn end(&mut self, agent: Subject, at: Timestamp) -> Option<AlertEvent> {
        self.0.resolve(agent, at)
    }

    /// Checks the clock that an agent reports.
    pub(super) fn observe(&mut self, reported: &ReportedSequence) -> Option<AlertEvent> {
        let skew = reported.skew?;
        let (agent, at) = (Subject::agent(&reported.agent), reported.arrived);
        let off = Duration::from_millis(skew.unsigned_abs());
        if off > LIMIT && self.0.get(&agent).is_none() {
            let open = OpenAlert::new(at, Severity::Warning, String::new());
            let evidence = Evidence {
                extras: Extras {
                    skew_ms: Some(skew),
                    ..Extras::default()
                },
                ..Evidence::at(at)
            };
            Some(self.0.fire(agent, open, evidence))
        } else if off <= LIMIT / 2 {
            self.0.resolve(agent, at)
        } else {
            None
        }
    }
}
