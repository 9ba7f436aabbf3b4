//! The verdict on the room: what is open, by severity. Pure.

use std::collections::BTreeMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::words::{count, list};
use serde::{Serialize, Serializer};

use super::facts::Facts;

/// The state of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomState {
    /// Nothing is open.
    Well,
    /// Incidents or alerts of at most this severity are open.
    Open(Severity),
    /// No collector keeps alerts and incidents up to date.
    Unknown,
}

impl RoomState {
    /// Returns the word for it in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Open(severity) => severity.name(),
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for RoomState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// The verdict on the room.
#[derive(Debug, Serialize)]
pub(crate) struct RoomVerdict {
    pub(crate) state: RoomState,
    /// The verdict in a line.
    pub(crate) verdict: String,
    /// The number of open incidents by severity.
    incidents: BTreeMap<Severity, usize>,
    /// The number of open episodes by severity.
    episodes: BTreeMap<Severity, usize>,
}

/// Returns the verdict on the room.
pub(crate) fn room(facts: &Facts) -> RoomVerdict {
    let (incidents, episodes) = (&facts.incidents.by_severity, &facts.open_episodes);
    let all = incidents.iter().chain(episodes);
    let worst = all.filter(|(_, count)| **count > 0).map(|(s, _)| *s).max();
    let open = open(incidents, episodes);
    let (state, verdict) = match (&facts.unattended, worst) {
        (Some(reason), None) => (RoomState::Unknown, format!("unknown: {reason}")),
        (Some(reason), Some(_)) => (
            RoomState::Unknown,
            format!("unknown: {reason}; when last known: {open}"),
        ),
        (None, None) => (RoomState::Well, "all is well".to_owned()),
        (None, Some(worst)) => (RoomState::Open(worst), open),
    };
    RoomVerdict {
        state,
        verdict,
        incidents: incidents.clone(),
        episodes: episodes.clone(),
    }
}

/// Returns words for what is open, such as "1 critical incident, 2 critical and 1 warning alert open".
fn open(incidents: &BTreeMap<Severity, usize>, episodes: &BTreeMap<Severity, usize>) -> String {
    let parts = [counts(incidents, "incident"), counts(episodes, "alert")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{} open", parts.join(", "))
}

/// Returns the counts with the worst severity first; `None` if all are zero.
fn counts(counts: &BTreeMap<Severity, usize>, noun: &str) -> Option<String> {
    let open: Vec<_> = counts.iter().rev().filter(|(_, n)| **n > 0).collect();
    let ((severity, n), worse) = open.split_last()?;
    let mut items: Vec<_> = worse.iter().map(|(s, n)| format!("{n} {s}")).collect();
    items.push(count(n, &format!("{severity} {noun}")));
    Some(list(&items, "and"))
}
