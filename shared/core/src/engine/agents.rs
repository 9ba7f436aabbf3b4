//! Agents whose clock is wrong: each measures its own against Redis', and says so now and then.
//!
//! The readings of a wrong clock are judged all the same; but series, alerts and the neighbours of a
//! device are then hard to read together. Whether that was said is all there is to remember, and it
//! is with the stored episodes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::records::{CLOCK_SKEW, stored};
use super::{Effects, EpisodeChange};
use crate::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use crate::device::{DeviceId, Role};
use crate::episode::Episode;
use crate::ledger::Passed;
use crate::time::Timestamp;

/// A clock further off than this is wrong; one within half of it is right again. Hosts that keep
/// their time by NTP are within a fraction of a second.
const LIMIT: Duration = Duration::from_secs(5);

/// The prefixes of the names under which the episodes of agents and targets stand, in the place of a device.
const AGENT: &str = "agent:";
pub(super) const TARGET: &str = "target:";

/// The name under which an agent's episode stands, in the place of a device.
pub fn agent_device(agent: &str) -> DeviceId {
    DeviceId::sanitized(&format!("{AGENT}{agent}"))
}

/// The same for a target: a host, a BMC, a cooler.
pub fn target_device(target: &str) -> DeviceId {
    DeviceId::sanitized(&format!("{TARGET}{target}"))
}

/// Whether a name stands for an agent.
pub(super) fn is_agent(name: &DeviceId) -> bool {
    name.as_str().starts_with(AGENT)
}

/// Whether a name stands for an agent or a target.
pub(super) fn is_owner(name: &DeviceId) -> bool {
    is_agent(name) || name.as_str().starts_with(TARGET)
}

/// Agents of whose clock it was said that it is wrong, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Agents(BTreeMap<DeviceId, Timestamp>);

impl Agents {
    /// Whether `episode` is one of these.
    pub(super) fn has(episode: &Episode) -> bool {
        episode.rule == CLOCK_SKEW && is_agent(&episode.device)
    }

    /// Those of the stored episodes.
    pub(super) fn of(said: &[Episode]) -> Self {
        let skewed = said.iter().filter(|episode| Self::has(episode));
        Self(skewed.map(|e| (e.device.clone(), e.started)).collect())
    }

    /// Takes what an entry says of its agent's clock.
    pub(super) fn pass(&mut self, entry: &Passed, effects: &mut Effects) {
        let Some(skew) = entry.skew else { return };
        let name = agent_device(&entry.agent);
        let off = Duration::from_millis(skew.unsigned_abs());
        match self.0.get(&name) {
            None if off > LIMIT => {
                self.0.insert(name.clone(), entry.arrived);
                let record = record(&name, entry.arrived, entry.arrived, Some(skew));
                effects
                    .episodes
                    .push(EpisodeChange::Open(Box::new(stored(&record, None))));
                effects.alerts.push(record);
            }
            Some(started) if off <= LIMIT / 2 => {
                effects
                    .alerts
                    .push(record(&name, *started, entry.arrived, None));
                self.0.remove(&name);
                effects.episodes.push(EpisodeChange::Close {
                    device: name,
                    rule: CLOCK_SKEW.to_owned(),
                });
            }
            _ => {}
        }
    }
}

/// Firing where there is a skew, resolved where there is none.
fn record(name: &DeviceId, started: Timestamp, at: Timestamp, skew: Option<i64>) -> AlertRecord {
    AlertRecord {
        kind: AlertKind::ClockSkew,
        device: name.clone(),
        temperature: None,
        at,
        threshold: LIMIT.as_secs_f64(),
        severity: Severity::Warning,
        state: skew.map_or(AlertState::Resolved, |_| AlertState::Firing),
        id: AlertId::of(name, CLOCK_SKEW, started),
        rule: CLOCK_SKEW.to_owned(),
        rack: String::new(),
        u: None,
        role: Role::Other,
        started,
        rate: None,
        change: None,
        window: None,
        reason: None,
        left_least: None,
        left_most: None,
        peak: None,
        duration: skew.is_none().then(|| at.since(started)),
        skew_ms: skew,
        historical: false,
    }
}
