//! The subjects that send no data, by their open alerts.

use std::collections::{BTreeSet, HashMap};

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::episode::Episode;
use rackwatch_core::subject::Subject;

/// The agents, targets and sensors with an open alert that they send no data.
#[derive(Debug, Default)]
pub(super) struct Absent {
    subjects: BTreeSet<Subject>,
    changed: bool,
}

impl Absent {
    /// Returns the subjects of open episodes.
    pub(super) fn of(open: &[Episode]) -> Self {
        let open = open.iter();
        let absent = open.filter(|episode| episode.kind == AlertKind::NoData);
        Self {
            subjects: absent.map(|episode| episode.subject.clone()).collect(),
            changed: true,
        }
    }

    /// Takes in the next alert record.
    pub(super) fn observe(&mut self, record: &AlertRecord) {
        if record.kind() == AlertKind::NoData {
            self.changed |= match record.state() {
                AlertState::Firing => self.subjects.insert(record.subject.clone()),
                AlertState::Resolved => self.subjects.remove(&record.subject),
            };
        }
    }

    /// Returns whether the subjects changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Returns whether no data is expected from a sensor with this description.
    pub(super) fn covers(
        &self,
        sensor: &Subject,
        described: &HashMap<DeviceId, Description>,
    ) -> bool {
        if self.subjects.contains(sensor) {
            return true;
        }
        let Some(known) = described.get(sensor.as_id()) else {
            return false;
        };
        let covers = |name: &str, subject: fn(&str) -> Subject| {
            !name.is_empty() && self.subjects.contains(&subject(name))
        };
        covers(&known.agent, Subject::agent) || covers(&known.target, Subject::target)
    }

    /// Returns whether nothing is absent.
    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }
}
