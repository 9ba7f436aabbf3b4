//! Agents of one name: copied disk images, containers, `localhost`.
//!
//! Their readings have the same devices and often the same timestamps, so one host hides the other. A new run of
//! an agent is a restart. Two runs that both bring fresh readings, one after the other and back again for half a
//! minute, are two agents. While they are, limits take the worse value of the two, and windows pause
//! (`device/duplicated`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effects::AlertEvent;
use super::records::{DUPLICATE_AGENT, Evidence};
use super::subjects::{OpenAlert, SubjectAlerts, SubjectRule};
use crate::alert::{AlertId, AlertKind, Extras, Severity};
use crate::episode::Episode;
use crate::hash::fnv1a;
use crate::loss_ledger::ReportedSequence;
use crate::subject::Subject;
use crate::time::Timestamp;

/// The greatest age of a reading on arrival that shows a living agent. Older ones may come from a spool.
const FRESH: Duration = Duration::from_secs(30);
/// The time for which runs must alternate.
const ALTERNATING_FOR: Duration = Duration::from_secs(30);
/// The time without a return of another run after which there is one agent again. Agents that read once a minute
/// alternate within it.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(3);
/// The number of runs remembered for an agent.
const MAX_RUNS: usize = 4;

/// The run of an agent that wrote a reading, as a hash of its name.
pub(super) type Writer = u32;

/// The agents with several runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Duplicates {
    alerts: SubjectAlerts,
    agents: BTreeMap<String, RecentRuns>,
    /// The agent and the writer of the readings that come next, if that agent is known to be duplicated.
    writer: Option<(String, Writer)>,
}

/// The recent runs of one agent, as saved state has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RecentRuns {
    /// The runs with fresh readings, and the arrival of the last; the present one is the last in the list.
    #[serde(rename = "runs")]
    runs: Vec<(String, Timestamp)>,
    /// The arrival of the first fresh reading.
    #[serde(rename = "since", default)]
    since: Timestamp,
    /// The first and the last return of a run after another had sent.
    #[serde(rename = "returns", default, skip_serializing_if = "Option::is_none")]
    returns: Option<(Timestamp, Timestamp)>,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            alerts: SubjectAlerts::new(SubjectRule {
                kind: AlertKind::DuplicateAgent,
                name: DUPLICATE_AGENT,
                threshold: ALTERNATING_FOR.as_secs_f64(),
            }),
            agents: BTreeMap::new(),
            writer: None,
        }
    }
}

impl Duplicates {
    /// Returns whether a stored episode belongs here.
    pub(super) fn owns(episode: &Episode) -> bool {
        episode.rule == DUPLICATE_AGENT
    }

    /// Takes over the stored episodes that belong here.
    pub(super) fn resume(&mut self, episodes: &[Episode]) {
        self.alerts
            .resume(episodes.iter().filter(|episode| Self::owns(episode)));
    }

    /// Closes the alert with this id, because a person resolved it.
    pub(super) fn resolve_by_hand(
        &mut self,
        subject: &Subject,
        alert: &AlertId,
        at: Timestamp,
    ) -> Option<AlertEvent> {
        self.alerts.resolve_by_hand(subject, alert, at)
    }

    /// Returns whether no alert is open.
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Returns the agents whose state is worth saving: with one run there is nothing to know.
    pub(super) fn saved(&self) -> BTreeMap<String, RecentRuns> {
        let several = self.agents.iter().filter(|(_, agent)| agent.runs.len() > 1);
        several
            .map(|(name, agent)| (name.clone(), agent.clone()))
            .collect()
    }

    /// Takes over saved state.
    pub(super) fn restore(&mut self, saved: BTreeMap<String, RecentRuns>) {
        self.agents.extend(saved);
    }

    /// Returns the writer of the reading that comes next, if its device belongs to `agent` and that agent is known
    /// to be duplicated.
    pub(super) fn writer(&self, agent: Option<&str>) -> Option<Writer> {
        let (name, writer) = self.writer.as_ref()?;
        (agent? == name).then_some(*writer)
    }

    /// Closes the alert of an agent that has no devices any more.
    pub(super) fn end(&mut self, agent: Subject, at: Timestamp) -> Option<AlertEvent> {
        self.alerts.resolve(agent, at)
    }

    /// Takes in the next entry of an agent. Readings of it follow.
    pub(super) fn observe(&mut self, reported: &ReportedSequence) -> Option<AlertEvent> {
        let now = reported.arrived;
        self.writer = None;
        if now.since(reported.at) < FRESH {
            let name = reported.agent.as_str();
            if !self.agents.contains_key(name) {
                let new = RecentRuns {
                    since: now,
                    ..RecentRuns::default()
                };
                self.agents.insert(name.to_owned(), new);
            }
            if let Some(agent) = self.agents.get_mut(name) {
                agent.observe(&reported.seq.run, now);
            }
        }
        // No look-up of an alert for nearly every entry.
        let is_usual = self.alerts.is_empty();
        let agent = self.agents.get(&reported.agent)?;
        let lasting = agent.alternates(now);
        if is_usual && !lasting {
            return None;
        }
        let subject = Subject::agent(&reported.agent);
        let is_open = self.alerts.get(&subject).is_some();
        if !lasting {
            // After a cold start the returns are unknown: the first reading counts as the last of them.
            let since = agent.returns.map_or(agent.since, |(_, last)| last);
            let has_ended = is_open && now.since(since) > FORGOTTEN_AFTER;
            if has_ended {
                return self.alerts.resolve(subject, now);
            }
        }
        if !is_open && !lasting {
            return None;
        }
        self.writer = Some((reported.agent.clone(), writer_of(&reported.seq.run)));
        if is_open {
            return None;
        }
        let evidence = Evidence {
            extras: Extras {
                reason: Some(agent.names()),
                ..Extras::default()
            },
            ..Evidence::at(now)
        };
        let since = agent.returns.map_or(now, |(first, _)| first);
        let open = OpenAlert::new(since, Severity::Warning, String::new());
        Some(self.alerts.fire(subject, open, evidence))
    }
}

impl RecentRuns {
    /// Takes in a fresh reading of `run`.
    fn observe(&mut self, run: &str, now: Timestamp) {
        if let Some((last, seen)) = self.runs.last_mut()
            && last == run
        {
            *seen = now;
            return;
        }
        self.runs
            .retain(|(_, seen)| now.since(*seen) <= FORGOTTEN_AFTER);
        if self
            .returns
            .is_some_and(|(_, last)| now.since(last) > FORGOTTEN_AFTER)
        {
            self.returns = None;
        }
        let known = self.runs.iter().position(|(name, _)| name == run);
        if let Some(known) = known {
            self.runs.remove(known);
            let first = self.returns.map_or(now, |(first, _)| first);
            self.returns = Some((first, now));
        } else if self.runs.len() == MAX_RUNS {
            self.runs.remove(0);
        }
        self.runs.push((run.to_owned(), now));
    }

    /// Returns whether runs have returned for long enough, and did so lately.
    fn alternates(&self, now: Timestamp) -> bool {
        self.returns.is_some_and(|(first, last)| {
            last.since(first) >= ALTERNATING_FOR && now.since(last) <= FORGOTTEN_AFTER
        })
    }

    /// Returns the names of the runs, such as `a1b2 and c3d4`.
    fn names(&self) -> String {
        let mut names: Vec<_> = self.runs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }
}

fn writer_of(run: &str) -> Writer {
    // Two runs of one agent differ in far more than the half that is cut off.
    let hash = fnv1a([run.as_bytes()]);
    Writer::try_from(hash & u64::from(Writer::MAX)).unwrap_or(Writer::MAX)
}
