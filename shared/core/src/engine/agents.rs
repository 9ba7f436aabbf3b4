//! Agents whose clock is wrong: each measures its own against Redis', and says so now and then.
//!
//! The readings of a wrong clock are judged all the same; but series, alerts and the neighbours of a
//! device are then hard to read together. Whether that was said is all there is to remember, and it
//! is with the stored episodes.

use std::time::Duration;

use super::Effects;
use super::owners::{Said, agent_device, is_agent};
use super::records::{CLOCK_SKEW, silent};
use crate::alert::{AlertId, AlertKind, AlertRecord, Severity};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::ledger::Passed;
use crate::time::Timestamp;

/// A clock further off than this is wrong; one within half of it is right again. Hosts that keep
/// their time by NTP are within a fraction of a second.
const LIMIT: Duration = Duration::from_secs(5);

/// Agents of whose clock it was said that it is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Agents(Said);

impl Agents {
    /// Whether `episode` is one of these.
    pub(super) fn has(episode: &Episode) -> bool {
        episode.rule == CLOCK_SKEW && is_agent(&episode.device)
    }

    /// Those of the stored episodes.
    pub(super) fn of(stored: &[Episode]) -> Self {
        Self(Said::of(stored.iter().filter(|e| Self::has(e))))
    }

    /// None of them is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An agent, by the name of its episode, is known no more.
    pub(super) fn end(&mut self, agent: DeviceId, at: Timestamp, effects: &mut Effects) {
        self.0.end(agent, at, skewed, effects);
    }

    /// Takes what an entry says of its agent's clock.
    pub(super) fn pass(&mut self, entry: &Passed, effects: &mut Effects) {
        let Some(skew) = entry.skew else { return };
        let (name, at) = (agent_device(&entry.agent), entry.arrived);
        let off = Duration::from_millis(skew.unsigned_abs());
        if off > LIMIT && self.0.get(&name).is_none() {
            let record = AlertRecord {
                skew_ms: Some(skew),
                ..skewed(&name, at, at, Severity::Warning)
            };
            self.0.begin(record, effects);
        } else if off <= LIMIT / 2 {
            self.0.end(name, at, skewed, effects);
        }
    }
}

/// The record of an agent whose clock has been wrong since then.
fn skewed(agent: &DeviceId, since: Timestamp, at: Timestamp, severity: Severity) -> AlertRecord {
    AlertRecord {
        kind: AlertKind::ClockSkew,
        threshold: LIMIT.as_secs_f64(),
        id: AlertId::of(agent, CLOCK_SKEW, since),
        rule: CLOCK_SKEW.to_owned(),
        ..silent(agent, since, at, severity)
    }
}
