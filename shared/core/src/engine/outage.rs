//! Outages: targets that answer for none of their devices.
//!
//! A board with thirty sensors that hangs is one trouble, not thirty: once one of its devices could not be read
//! for as long as the rule says, and none of the others can be, the target is spoken of in their place.

use std::collections::BTreeMap;

use super::agents::{TARGET, target_device};
use super::records::{faulty, stored};
use super::{Effects, EpisodeChange};
use crate::alert::{AlertRecord, AlertState, Severity};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::reading::Fault;
use crate::time::Timestamp;

/// The rule's name, where it is a target that cannot be read.
pub(super) const SENSOR_FAULT: &str = "sensor_fault";

/// Targets of which it was said that they do not answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outages(BTreeMap<DeviceId, Said>);

/// What was said of one.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    since: Timestamp,
    severity: Severity,
    rack: String,
}

/// What there is to say of one.
#[derive(Clone, Debug)]
pub(super) struct Outage<'a> {
    pub(super) target: &'a str,
    /// Since when no device of it could be read.
    pub(super) since: Timestamp,
    pub(super) severity: Severity,
    /// The rack that all of them are in; empty where they are in several.
    pub(super) rack: String,
}

impl Outages {
    /// Whether `episode` is one of these.
    pub(super) fn has(episode: &Episode) -> bool {
        episode.rule == SENSOR_FAULT && episode.device.as_str().starts_with(TARGET)
    }

    /// Those of the stored episodes.
    pub(super) fn of(said: &[Episode]) -> Self {
        let out = said.iter().filter(|episode| Self::has(episode));
        let said = |episode: &Episode| Said {
            since: episode.started,
            severity: episode.severity,
            rack: episode.rack.clone(),
        };
        Self(out.map(|e| (e.device.clone(), said(e))).collect())
    }

    /// None of them is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it was said of this one.
    pub(super) fn knows(&self, target: &str) -> bool {
        !self.is_empty() && self.0.contains_key(&target_device(target))
    }

    /// A target does not answer, as the fault at `at` says.
    pub(super) fn begin(
        &mut self,
        outage: Outage<'_>,
        fault: &Fault,
        at: Timestamp,
        effects: &mut Effects,
    ) {
        let device = target_device(outage.target);
        let record = AlertRecord {
            reason: Some(fault.to_string()),
            rack: outage.rack.clone(),
            ..faulty(&device, outage.since, at, outage.severity)
        };
        let episode = stored(&record, None);
        let said = Said {
            since: outage.since,
            severity: outage.severity,
            rack: outage.rack,
        };
        self.0.insert(device, said);
        effects.alerts.push(record);
        effects
            .episodes
            .push(EpisodeChange::Open(Box::new(episode)));
    }

    /// A target answers, for one of its devices at least; whether it was said that it did not.
    pub(super) fn end(&mut self, target: &str, at: Timestamp, effects: &mut Effects) -> bool {
        let device = target_device(target);
        let Some(said) = self.0.remove(&device) else {
            return false;
        };
        effects.alerts.push(AlertRecord {
            state: AlertState::Resolved,
            duration: Some(at.since(said.since)),
            rack: said.rack,
            ..faulty(&device, said.since, at, said.severity)
        });
        effects.episodes.push(EpisodeChange::Close {
            device,
            rule: SENSOR_FAULT.to_owned(),
        });
        true
    }
}
