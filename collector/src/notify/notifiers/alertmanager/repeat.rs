//! The open incidents that Alertmanager was notified of, sent again at an interval because it forgets them when it
//! restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::incident::{Event, IncidentId, IncidentRecord};
use tokio::time::Instant;

/// The last notification of each open incident, and when all of them were last due.
#[derive(Debug)]
pub(in crate::notify) struct OpenIncidents {
    /// The interval; `None` disables the repetition.
    every: Option<Duration>,
    records: BTreeMap<IncidentId, IncidentRecord>,
    last_due: Instant,
}

impl OpenIncidents {
    /// Creates an empty set that is due once per interval `every`, or never if it is zero.
    pub(in crate::notify) fn new(every: Duration) -> Self {
        Self {
            every: (!every.is_zero()).then_some(every),
            records: BTreeMap::new(),
            last_due: Instant::now(),
        }
    }

    /// Takes in a notification that was sent: a resolved incident leaves the set, any other is kept.
    pub(in crate::notify) fn update(&mut self, record: &IncidentRecord) {
        if record.event == Event::Resolved {
            self.remove(&record.id);
        } else if self.every.is_some() {
            self.records.insert(record.id.clone(), record.clone());
        }
    }

    /// Removes an incident, if it is in the set.
    pub(in crate::notify) fn remove(&mut self, id: &IncidentId) {
        self.records.remove(id);
    }

    /// Returns the records to send again, and starts the next interval; nothing until the current one has passed.
    pub(in crate::notify) fn take_due(&mut self) -> Vec<IncidentRecord> {
        let is_due = self
            .every
            .is_some_and(|every| self.last_due.elapsed() >= every);
        if !is_due {
            return Vec::new();
        }
        self.last_due = Instant::now();
        self.records.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example::incident;

    #[tokio::test(start_paused = true)]
    async fn resolved_incidents_are_not_repeated() {
        let every = Duration::from_secs(60);
        let mut open = OpenIncidents::new(every);
        open.update(&incident());
        assert_eq!(open.take_due(), []);
        tokio::time::advance(every).await;
        assert_eq!(open.take_due(), [incident()]);
        assert_eq!(open.take_due(), [], "the interval has not passed again");
        let resolved = IncidentRecord {
            event: Event::Resolved,
            ..incident()
        };
        open.update(&resolved);
        tokio::time::advance(every).await;
        assert_eq!(open.take_due(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_zero_interval_disables_the_repetition() {
        let mut open = OpenIncidents::new(Duration::ZERO);
        open.update(&incident());
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(open.take_due(), []);
    }
}
