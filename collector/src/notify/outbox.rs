//! The outbox of one recipient: sends the notifications of the incident stream until they are delivered.
//!
//! Promise: each at least once, in order, and with the same key at every attempt. An unsent notification stays behind the
//! position of the recipient in the stream, so a restarted or another collector continues with it. Recipients do not wait
//! for each other. A notification that the receiver rejects is logged and dropped, so that it does not block the others.
//! In a `storm`, notifications are collected for a moment and sent as one digest; if the receiver rejects the digest, one
//! by one. The [delivery log](super::delivery_log) records the state of each.
//!
//! Outside the hours of its routes a recipient gets nothing. What it misses waits in its [`DeliveryProgress`]: the newest
//! notification of each incident. It is sent when the hours begin, if the incident still fires and is not acknowledged, and
//! no sooner than silences leave one of its alerts audible. The end of an incident is sent at any hour, but only to a recipient that was notified of the incident.

mod digest;
pub(crate) mod mending;
mod notification;
pub(crate) mod progress;
mod reports;
mod sender;
pub(super) mod storm;

pub use self::progress::DeliveryProgress;

use std::collections::BTreeMap;

use rackwatch_core::incident::{Event, IncidentId, IncidentRecord};
use rackwatch_core::time::StreamId;
use rackwatch_runtime::clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::digest::Digest;
use self::notification::Notification;
use self::sender::Sender;
use self::storm::{COLLECT, COLLECT_LIMIT};
use super::config::CommonConfig;
use super::delivery_log::{DeliveryLog, State};
use super::failures::Failures;
use super::notifier::Recipient;
use super::route::{RouteMatch, Routes};
use crate::failpoint;
use crate::feed::{Feed, FeedEntry};
use crate::muting::Muting;
use crate::stage::StageError;

/// The stage that sends the notifications of one recipient.
pub struct Outbox {
    routes: Routes,
    sender: Sender,
    /// Notifications collected for a digest, oldest first.
    collected: Vec<Notification>,
    /// When the first of them was collected.
    collecting_since: Option<Instant>,
    /// The newest record of each incident whose notification waits for the hours of a route.
    waiting: BTreeMap<IncidentId, IncidentRecord>,
    /// Knows the incidents that silences mute. None in tests without a correlator.
    muting: Option<Muting>,
    /// The position at which the progress was lost.
    lost_at: Option<StreamId>,
}

/// An open incident as the stream describes it.
#[derive(Clone, Debug)]
pub struct OpenIncident {
    /// The newest record.
    pub newest: IncidentRecord,
    /// The newest record with a notification, if there was one.
    pub notification: Option<IncidentRecord>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Creates the outbox of `recipient`, which continues with its `progress`.
    pub fn new(
        config: &CommonConfig,
        recipient: Recipient,
        routes: Routes,
        progress: DeliveryProgress,
        shared: (DeliveryLog, Failures),
        stop: CancellationToken,
    ) -> Self {
        Self {
            routes,
            sender: Sender::new(config, recipient, progress, shared, stop),
            collected: Vec::new(),
            collecting_since: None,
            waiting: BTreeMap::new(),
            muting: None,
            lost_at: None,
        }
    }

    /// Makes the outbox keep what waits for the hours of a route while `muting` says that silences mute it.
    pub fn heeding(mut self, muting: Muting) -> Self {
        self.muting = Some(muting);
        self
    }

    /// Takes over the open incidents: the notifier gets the last notification of each that it was notified of, and the
    /// outbox the newest record of each that waits. `open` has both for each incident. If the recipient has lost its progress
    /// at the position `lost_at`, all of them wait: some of their notifications may come again, under the same keys.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn resume(
        mut self,
        open: &[OpenIncident],
        lost_at: Option<StreamId>,
    ) -> Result<Self, StageError> {
        self.lost_at = lost_at;
        for incident in open.iter().filter(|_| lost_at.is_some()) {
            let key = incident.notification.as_ref();
            if let Some(key) = key.and_then(|record| record.notification_id.as_ref()) {
                let progress = &mut self.sender.progress;
                progress.wait(&incident.newest.id, key).await?;
            }
        }
        let progress = &self.sender.progress;
        let begun = open
            .iter()
            .filter(|incident| progress.has_begun(&incident.newest.id))
            .filter_map(|incident| incident.notification.clone());
        let begun = begun.collect();
        let waiting = open.iter().map(|incident| &incident.newest);
        self.waiting = waiting
            .filter(|record| progress.waiting(&record.id).is_some())
            .map(|record| (record.id.clone(), record.clone()))
            .collect();
        self.sender.notifier.resume(begun);
        Ok(self)
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
        let fed = match feed.next().await {
            Err(StageError::Damaged { .. }) => return self.sender.progress.mend().await,
            fed => fed?,
        };
        self.log_queued(&fed).await;
        for entry in fed {
            let id = entry.id;
            let notification = self.take(entry).await?;
            self.send_or_collect(notification, Some(id), feed).await?;
        }
        for notification in self.take_due_waiting() {
            self.send_or_collect(Some(notification), None, feed).await?;
        }
        self.sender.refresh().await?;
        self.report_failures().await?;
        let is_due = self
            .collecting_since
            .is_some_and(|since| since.elapsed() >= COLLECT);
        if is_due || self.collected.len() >= COLLECT_LIMIT {
            self.send_collected(feed).await?;
        }
        Ok(())
    }

    /// Writes what the feed has now to the delivery log, before the first of it is sent.
    async fn log_queued(&self, fed: &[FeedEntry<IncidentRecord>]) {
        let with_acks = self.sender.notifier.sends_acknowledgements();
        let records = fed
            .iter()
            .filter_map(|entry| Some((entry.id, entry.record.as_ref().ok()?)));
        let notifications =
            records.filter_map(|(id, record)| Notification::of(id, record.clone(), with_acks));
        let queued: Vec<_> = notifications
            .filter(|one| self.when(&one.record) == RouteMatch::Now)
            .collect();
        self.sender
            .log(&queued.iter().collect::<Vec<_>>(), State::Queued, 0, "")
            .await;
    }

    /// Returns when the recipient is to be notified of `record`. An end or an acknowledgement is for those who know of
    /// the incident, anything else for those whom the routes select.
    fn when(&self, record: &IncidentRecord) -> RouteMatch {
        match record.event {
            Event::Resolved | Event::Acked if self.knows(&record.id) || self.may_know(record) => {
                RouteMatch::Now
            }
            Event::Resolved | Event::Acked => RouteMatch::Never,
            _ => self.routes.when(record, clock::now()),
        }
    }

    /// Returns whether the recipient was notified of the incident, or is about to be.
    fn knows(&self, incident: &IncidentId) -> bool {
        let is_collected = |one: &Notification| one.record.id == *incident;
        self.sender.progress.has_begun(incident) || self.collected.iter().any(is_collected)
    }

    /// Returns whether the recipient may have been notified of the incident before its progress was lost.
    fn may_know(&self, record: &IncidentRecord) -> bool {
        let began_before = |lost: StreamId| record.since.millis() <= lost.ms;
        self.lost_at.is_some_and(began_before)
            && self.routes.when(record, clock::now()) != RouteMatch::Never
    }

    /// Returns the notification of an entry, unless it has none, or the recipient is not to be notified now.
    async fn take(
        &mut self,
        entry: FeedEntry<IncidentRecord>,
    ) -> Result<Option<Notification>, StageError> {
        let record = match entry.record {
            Ok(record) => record,
            Err(reason) => {
                tracing::warn!(entry = %entry.id, reason, "cannot decode an incident record, skipping it");
                return Ok(None);
            }
        };
        if self.waiting.contains_key(&record.id) {
            self.waiting.insert(record.id.clone(), record.clone());
        }
        let when = self.when(&record);
        if record.event == Event::Resolved {
            self.sender.notifier.forget(&record.id);
            self.stop_waiting(&record, "resolved before the hours of a route began")
                .await?;
        }
        let with_acks = self.sender.notifier.sends_acknowledgements();
        let Some(notification) = Notification::of(entry.id, record, with_acks) else {
            return Ok(None);
        };
        let reason = match (when, notification.record.event) {
            (RouteMatch::Now, _) => return Ok(Some(notification)),
            (RouteMatch::InHours, _) => return self.wait(notification).await.map(|()| None),
            (RouteMatch::Never, Event::Resolved | Event::Acked) => {
                "the recipient was not notified of the incident"
            }
            (RouteMatch::Never, _) => "no matching route",
        };
        self.sender
            .log(&[&notification], State::Skipped, 0, reason)
            .await;
        Ok(None)
    }

    /// Keeps a notification until the hours of a route begin. It replaces an older one of the incident.
    async fn wait(&mut self, notification: Notification) -> Result<(), StageError> {
        let record = notification.record.clone();
        self.stop_waiting(&record, "replaced by a newer notification of the incident")
            .await?;
        self.sender
            .progress
            .wait(&record.id, &notification.key)
            .await?;
        let reason = "waits for the hours of a route";
        self.sender
            .log(&[&notification], State::Queued, 0, reason)
            .await;
        self.waiting.insert(record.id.clone(), record);
        Ok(())
    }

    /// Drops the notification of the incident that waits, if there is one.
    async fn stop_waiting(
        &mut self,
        record: &IncidentRecord,
        reason: &str,
    ) -> Result<(), StageError> {
        self.waiting.remove(&record.id);
        let Some(key) = self.sender.progress.waiting(&record.id).cloned() else {
            return Ok(());
        };
        let (id, record) = (None, record.clone());
        let dropped = Notification { id, record, key };
        self.sender
            .log(&[&dropped], State::Skipped, 0, reason)
            .await;
        self.sender
            .progress
            .forget_waiting(&dropped.record.id)
            .await
    }

    /// Returns the notifications whose hours have begun, of incidents that still fire and are neither acknowledged nor
    /// muted by silences.
    fn take_due_waiting(&mut self) -> Vec<Notification> {
        let now = clock::now();
        let due = self.waiting.extract_if(.., |_, record| {
            record.until.is_none()
                && record.acked_by.is_none()
                && self.routes.when(record, now) == RouteMatch::Now
                && (self.muting.as_ref())
                    .is_none_or(|muting| muting.is_muted(&record.id) == Some(false))
        });
        let progress = &self.sender.progress;
        let notification = |(incident, record): (IncidentId, IncidentRecord)| {
            let key = progress.waiting(&incident)?.clone();
            let record = IncidentRecord {
                notification_id: Some(key.clone()),
                event: if progress.has_begun(&incident) {
                    Event::Repeat
                } else {
                    Event::Opened
                },
                ..record
            };
            let id = None;
            Some(Notification { id, record, key })
        };
        due.filter_map(notification).collect()
    }

    /// Sends a notification, or collects it in a storm, and acknowledges the entry once nothing of it is left to do.
    async fn send_or_collect(
        &mut self,
        notification: Option<Notification>,
        entry: Option<StreamId>,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        if let Some(notification) = notification {
            // Order: nothing overtakes what is being collected.
            if !self.collected.is_empty() || self.sender.is_storm() {
                self.collecting_since.get_or_insert_with(Instant::now);
                self.collected.push(notification);
                return Ok(());
            }
            self.send_alone(&notification).await?;
            failpoint::pass(failpoint::SENT);
        }
        match entry {
            Some(id) => self.acknowledge(feed, &[id]).await,
            None => Ok(()),
        }
    }

    /// Acknowledges entries, however long their progress is damaged.
    async fn acknowledge(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
        ids: &[StreamId],
    ) -> Result<(), StageError> {
        loop {
            match feed.acknowledge(ids).await {
                Err(StageError::Damaged { .. }) => self.sender.progress.mend().await?,
                done => return done,
            }
        }
    }

    async fn send_alone(&mut self, notification: &Notification) -> Result<(), StageError> {
        let is_delivered = self.sender.send_one(notification).await?;
        self.remember(notification, is_delivered).await
    }

    /// Writes the outcome of a notification to the progress.
    async fn remember(
        &mut self,
        notification: &Notification,
        is_delivered: bool,
    ) -> Result<(), StageError> {
        let Notification { record, key, .. } = notification;
        let progress = &mut self.sender.progress;
        match record.event {
            Event::Resolved => progress.end(&record.id).await,
            _ if is_delivered => progress.begin(&record.id, key).await,
            _ => progress.forget_waiting(&record.id).await,
        }
    }

    /// Sends what was collected as one digest, or one by one if the receiver rejects that.
    async fn send_collected(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        self.collecting_since = None;
        let collected = std::mem::take(&mut self.collected);
        match (Digest::of(&collected), collected.as_slice()) {
            (_, [one]) => self.send_alone(one).await?,
            (Some(digest), _) => self.send_digest(&digest).await?,
            (None, _) => {}
        }
        failpoint::pass(failpoint::SENT);
        let ids: Vec<StreamId> = collected.iter().filter_map(|one| one.id).collect();
        self.acknowledge(feed, &ids).await
    }

    async fn send_digest(&mut self, digest: &Digest<'_>) -> Result<(), StageError> {
        let is_delivered = self.sender.send_digest(digest).await?;
        for one in &digest.newest {
            if is_delivered {
                self.remember(one, true).await?;
            } else {
                self.send_alone(one).await?;
            }
        }
        let reason = "replaced by a newer notification of the incident";
        self.sender
            .log(&digest.replaced, State::Skipped, 0, reason)
            .await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
