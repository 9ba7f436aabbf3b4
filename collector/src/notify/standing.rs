//! What is open at a receiver that forgets, as Alertmanager does when it starts again: said to it again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::incident::{Event, IncidentId, IncidentRecord};
use tokio::time::Instant;

/// What one receiver was told, and is not over.
#[derive(Debug)]
pub(super) struct Standing {
    /// How often it is said again; none where the receiver remembers.
    every: Option<Duration>,
    /// The last that it was told of each.
    open: BTreeMap<IncidentId, IncidentRecord>,
    said: Instant,
}

impl Standing {
    /// Nothing yet.
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self {
            every: every.filter(|every| !every.is_zero()),
            open: BTreeMap::new(),
            said: Instant::now(),
        }
    }

    /// It was told this, or there is nothing more to tell: what is over is not said again.
    pub(super) fn take(&mut self, record: &IncidentRecord) {
        if record.event == Event::Resolved {
            self.open.remove(&record.id);
        } else if self.every.is_some() {
            self.open.insert(record.id.clone(), record.clone());
        }
    }

    /// What is to be said again now.
    pub(super) fn due(&mut self) -> Vec<IncidentRecord> {
        let is_due = self.every.is_some_and(|every| self.said.elapsed() >= every);
        if !is_due {
            return Vec::new();
        }
        self.said = Instant::now();
        self.open.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_not_said_again() {
        let every = Duration::from_secs(60);
        let mut standing = Standing::new(Some(every));
        standing.take(&example());
        assert_eq!(standing.due(), []);
        tokio::time::advance(every).await;
        assert_eq!(standing.due(), [example()]);
        assert_eq!(standing.due(), [], "not before its time");
        let over = IncidentRecord {
            event: Event::Resolved,
            ..example()
        };
        standing.take(&over);
        tokio::time::advance(every).await;
        assert_eq!(standing.due(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_remembers_hears_nothing_again() {
        for every in [None, Some(Duration::ZERO)] {
            let mut standing = Standing::new(every);
            standing.take(&example());
            tokio::time::advance(Duration::from_hours(1)).await;
            assert_eq!(standing.due(), []);
        }
    }
}
