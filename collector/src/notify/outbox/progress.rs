//! The progress of one recipient: notifications that it has received, and those that wait, as Redis keeps them.
//!
//! In: the hash of the recipient. Out: its changes, each written before the position in the stream moves past the entry
//! that caused it. The fields are `position` (`feed/position.rs`), `failing_since`, `failing_reason`, `begun:<incident>`,
//! `waiting:<incident>` and `reported:<notifier>`. A field that cannot be read counts as missing.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::incident::IncidentId;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connector, Purpose, Session};
use tokio_util::sync::CancellationToken;

use crate::notify::failures::LastingFailure;
use crate::stage::StageError;

/// The fields of a failure.
pub(crate) const FAILURE: [&str; 2] = [FAILING_SINCE, FAILING_REASON];
/// The time of the first failed attempt, in milliseconds since 1970.
const FAILING_SINCE: &str = "failing_since";
/// The reason of the last failed attempt.
const FAILING_REASON: &str = "failing_reason";
const BEGUN: &str = "begun:";
const WAITING: &str = "waiting:";
const REPORTED: &str = "reported:";

/// The progress of one recipient.
#[derive(Debug, Default)]
pub struct DeliveryProgress {
    /// None in tests without Redis.
    store: Option<Store>,
    /// Open incidents that the recipient was notified of.
    begun: BTreeSet<IncidentId>,
    /// Open incidents with the notification that is due when the hours of a route begin.
    waiting: BTreeMap<IncidentId, String>,
    failure: Option<LastingFailure>,
    /// Failing notifiers that the recipient was notified of, with the start of the failure.
    reported: BTreeMap<String, Timestamp>,
}

#[derive(Debug)]
struct Store {
    session: Session,
    key: String,
}

impl DeliveryProgress {
    /// Reads the progress from the hash `key`.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn load(
        connector: Connector,
        key: String,
        stop: CancellationToken,
    ) -> Result<Self, StageError> {
        let mut session = Session::new(connector, Purpose::Commands, stop);
        let mut command = redis::cmd("HGETALL");
        command.arg(&key);
        let fields: BTreeMap<String, String> = session.query(&command).await.map_err(|error| {
            StageError::of_request(format!("Redis refused to read {key}"), error)
        })?;
        let mut progress = Self::default();
        for (name, value) in &fields {
            progress.take(name, value);
        }
        progress.failure = failure(&fields);
        progress.store = Some(Store { session, key });
        Ok(progress)
    }

    fn take(&mut self, name: &str, value: &str) {
        if let Some(id) = name.strip_prefix(BEGUN) {
            self.begun.insert(IncidentId::from_wire(id));
        } else if let Some(id) = name.strip_prefix(WAITING) {
            let id = IncidentId::from_wire(id);
            self.waiting.insert(id, value.to_owned());
        } else if let Some(notifier) = name.strip_prefix(REPORTED)
            && let Some(since) = time(value)
        {
            self.reported.insert(notifier.to_owned(), since);
        }
    }

    /// Returns whether the recipient was notified of the incident.
    pub(super) fn has_begun(&self, incident: &IncidentId) -> bool {
        self.begun.contains(incident)
    }

    /// Returns the notification of the incident that waits for the hours of a route.
    pub(super) fn waiting(&self, incident: &IncidentId) -> Option<&String> {
        self.waiting.get(incident)
    }

    /// Notes that the recipient was notified of the incident. Nothing waits any more.
    pub(super) async fn begin(
        &mut self,
        incident: &IncidentId,
        key: &str,
    ) -> Result<(), StageError> {
        if self.begun.insert(incident.clone()) {
            self.set(&format!("{BEGUN}{incident}"), key).await?;
        }
        self.forget_waiting(incident).await
    }

    /// Notes that the notification `key` is due when the hours of a route begin.
    pub(super) async fn wait(
        &mut self,
        incident: &IncidentId,
        key: &str,
    ) -> Result<(), StageError> {
        self.waiting.insert(incident.clone(), key.to_owned());
        self.set(&format!("{WAITING}{incident}"), key).await
    }

    /// Forgets a resolved incident.
    pub(super) async fn end(&mut self, incident: &IncidentId) -> Result<(), StageError> {
        if self.begun.remove(incident) {
            self.delete(&[&format!("{BEGUN}{incident}")]).await?;
        }
        self.forget_waiting(incident).await
    }

    /// Notes that nothing of the incident waits any more.
    pub(super) async fn forget_waiting(&mut self, incident: &IncidentId) -> Result<(), StageError> {
        if self.waiting.remove(incident).is_some() {
            self.delete(&[&format!("{WAITING}{incident}")]).await?;
        }
        Ok(())
    }

    /// Returns the failure that lasts.
    pub(crate) fn failure(&self) -> Option<&LastingFailure> {
        self.failure.as_ref()
    }

    /// Notes a failed attempt. The first one is the start of a failure.
    pub(super) async fn fail(
        &mut self,
        now: Timestamp,
        reason: &str,
    ) -> Result<LastingFailure, StageError> {
        let before = self.failure.clone();
        let failure = LastingFailure {
            since: before.as_ref().map_or(now, |before| before.since),
            reason: reason.to_owned(),
        };
        if before.as_ref() != Some(&failure) {
            self.failure = Some(failure.clone());
            let since = failure.since.to_string();
            self.set(FAILING_SINCE, &since).await?;
            self.set(FAILING_REASON, reason).await?;
        }
        Ok(failure)
    }

    /// Notes that a message arrived. Returns the failure that this ends.
    pub(super) async fn recover(&mut self) -> Result<Option<LastingFailure>, StageError> {
        let ended = self.failure.take();
        if ended.is_some() {
            self.delete(&FAILURE).await?;
        }
        Ok(ended)
    }

    /// Returns the failing notifiers that the recipient was notified of.
    pub(super) fn reported(&self) -> &BTreeMap<String, Timestamp> {
        &self.reported
    }

    /// Notes that the recipient was notified of a failing notifier.
    pub(super) async fn report(
        &mut self,
        notifier: &str,
        since: Timestamp,
    ) -> Result<(), StageError> {
        self.reported.insert(notifier.to_owned(), since);
        self.set(&format!("{REPORTED}{notifier}"), &since.to_string())
            .await
    }

    /// Notes that the failure of a notifier is over, and that the recipient knows it.
    pub(super) async fn report_over(&mut self, notifier: &str) -> Result<(), StageError> {
        self.reported.remove(notifier);
        self.delete(&[&format!("{REPORTED}{notifier}")]).await
    }

    async fn set(&mut self, field: &str, value: &str) -> Result<(), StageError> {
        self.write("HSET", &[field, value]).await
    }

    async fn delete(&mut self, fields: &[&str]) -> Result<(), StageError> {
        self.write("HDEL", fields).await
    }

    async fn write(&mut self, name: &str, words: &[&str]) -> Result<(), StageError> {
        let Some(Store { session, key }) = &mut self.store else {
            return Ok(());
        };
        let mut command = redis::cmd(name);
        command.arg(&*key).arg(words);
        let written = session.query::<u64>(&command).await;
        written
            .map(drop)
            .map_err(|error| StageError::of_request(format!("Redis refused to write {key}"), error))
    }
}

/// Returns the failure that the fields of a recipient's hash describe.
pub(crate) fn failure(fields: &BTreeMap<String, String>) -> Option<LastingFailure> {
    Some(LastingFailure {
        since: time(fields.get(FAILING_SINCE)?)?,
        reason: fields.get(FAILING_REASON).cloned().unwrap_or_default(),
    })
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().and_then(Timestamp::from_millis)
}
