//! The outbox of one notifier: sends the notifications of the incident stream until they are delivered.
//!
//! Promise: each at least once, in order, and with the same key at every attempt. An unsent notification stays pending
//! in the notifier's consumer group, so a restarted or another collector continues with it. A notification that the
//! receiver rejects is logged and dropped, so that it does not block the others. In a `storm`, notifications are
//! collected for a moment and sent as one digest. The [delivery log](super::delivery_log) records the state of each.

mod sender;
pub(super) mod storm;

use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::StreamId;
use rackwatch_runtime::clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::sender::{Notification, Sender};
use self::storm::{COLLECT, DIGEST_LIMIT};
use super::config::CommonConfig;
use super::delivery_log::{DeliveryLog, State};
use super::notifier::Notifier;
use super::route::Routes;
use crate::failpoint;
use crate::feed::{Feed, FeedEntry};
use crate::stage::StageError;

/// The stage that sends the notifications of one notifier.
pub struct Outbox {
    routes: Routes,
    sender: Sender,
    /// Notifications collected for a digest, oldest first.
    collected: Vec<Notification>,
    /// When the first of them was collected.
    collecting_since: Option<Instant>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Creates the outbox of `notifier`.
    pub fn new(
        config: &CommonConfig,
        notifier: Box<dyn Notifier>,
        routes: Routes,
        log: DeliveryLog,
        stop: CancellationToken,
    ) -> Self {
        Self {
            routes,
            sender: Sender::new(config, notifier, log, stop),
            collected: Vec::new(),
            collecting_since: None,
        }
    }

    /// Hands the notifier the last notification of each open incident, if it matches the routes.
    pub fn resume(mut self, open: &[IncidentRecord]) -> Self {
        let matching = open
            .iter()
            .filter(|record| self.routes.matches(record, record.at));
        let matching = matching.cloned().collect();
        self.sender.notifier.resume(matching);
        self
    }

    /// Sends the notifications of `feed` until the feed stops.
    ///
    /// # Errors
    ///
    /// When Redis refuses a command for a reason that will not pass.
    pub async fn run(
        mut self,
        mut feed: impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        loop {
            match self.step(&mut feed).await {
                Ok(()) => {}
                Err(StageError::Stopped) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what the feed has now, or collects it, then does what is due.
    async fn step(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        for notification in self.read(feed).await? {
            // Order: nothing overtakes what is being collected.
            if !self.collected.is_empty() || self.sender.is_storm() {
                self.collecting_since.get_or_insert_with(Instant::now);
                self.collected.push(notification);
                continue;
            }
            self.sender.send_one(&notification).await?;
            failpoint::pass(failpoint::SENT);
            feed.acknowledge(&[notification.id]).await?;
        }
        self.sender.refresh().await?;
        let is_due = self
            .collecting_since
            .is_some_and(|since| since.elapsed() >= COLLECT);
        if is_due || self.collected.len() >= DIGEST_LIMIT {
            self.collecting_since = None;
            let collected = std::mem::take(&mut self.collected);
            self.sender.send_digest(&collected).await?;
            failpoint::pass(failpoint::SENT);
            let ids: Vec<StreamId> = collected.iter().map(|one| one.id).collect();
            feed.acknowledge(&ids).await?;
        }
        Ok(())
    }

    /// Returns the next notifications for this notifier. All of them are in the delivery log before the first is sent.
    async fn read(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<Vec<Notification>, StageError> {
        let mut notifications = Vec::new();
        for fed in feed.next().await? {
            let id = fed.id;
            match self.select(fed).await {
                Some(notification) => notifications.push(notification),
                None => feed.acknowledge(&[id]).await?,
            }
        }
        let all: Vec<&Notification> = notifications.iter().collect();
        self.sender.log(&all, State::Queued, 0, "").await;
        Ok(notifications)
    }

    /// Returns the entry as a notification, unless it is none or does not match the routes.
    async fn select(&mut self, fed: FeedEntry<IncidentRecord>) -> Option<Notification> {
        let record = match fed.record {
            Ok(record) => record,
            Err(reason) => {
                tracing::warn!(entry = %fed.id, reason, "cannot decode an incident record, skipping it");
                return None;
            }
        };
        if record.event == Event::Resolved {
            self.sender.notifier.forget(&record.id);
        }
        let key = match &record.notification_id {
            Some(id) => id.clone(),
            None if record.event == Event::Acked
                && self.sender.notifier.sends_acknowledgements() =>
            {
                format!("{}-acked-{}", record.id, record.at.millis())
            }
            // A change for other programs, not a notification.
            None => return None,
        };
        let id = fed.id;
        let notification = Notification { id, record, key };
        if self.routes.matches(&notification.record, clock::now()) {
            return Some(notification);
        }
        self.sender
            .log(&[&notification], State::Skipped, 0, "no matching route")
            .await;
        None
    }
}

#[cfg(test)]
mod tests;
