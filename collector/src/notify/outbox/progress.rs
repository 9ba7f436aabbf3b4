//! The progress of one recipient: notifications that it has received, and those that wait, as Redis keeps them.
//!
//! In: the hash of the recipient. Out: its changes, each written before the position in the stream moves past the entry
//! that caused it. The fields are `position` (`feed/position.rs`), `failing_since`, `failing_reason`, `begun:<incident>`,
//! `waiting:<incident>` and `reported:<notifier>`. A field that cannot be read counts as missing.
//!
//! While the key holds something else, the recipient gets nothing, counts as failing, and waits for the key to be mended
//! ([`DeliveryProgress::mend`]). Then everything is written again.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::incident::IncidentId;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connector, Purpose, RequestError, Session, is_wrong_type};
use tokio_util::sync::CancellationToken;

use super::mending::Mending;
use crate::notify::failures::{Failures, LastingFailure, RecipientKey};
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
    mending: Mending,
}

impl DeliveryProgress {
    /// Reads the progress of `recipient` from the hash `key`. `failures` get to know if the key is damaged later.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub async fn load(
        connector: Connector,
        key: String,
        (recipient, failures): (RecipientKey, Failures),
        stop: CancellationToken,
    ) -> Result<Self, StageError> {
        let mending = Mending::new((recipient, failures), key.clone(), stop.clone());
        let mut session = Session::new(connector, Purpose::Commands, stop);
        let mut command = redis::cmd("HGETALL");
        command.arg(&key);
        let read: Result<BTreeMap<Vec<u8>, Vec<u8>>, _> = session.query(&command).await;
        let fields = match read {
            Ok(fields) => fields,
            Err(RequestError::Refused(error)) if is_wrong_type(&error) => {
                return Err(mending.damage(&mut session, &error).await);
            }
            Err(error) => {
                let what = format!("Redis refused to read {key}");
                return Err(StageError::of_request(what, error));
            }
        };
        // Bytes that are no text are nothing of ours.
        let fields: BTreeMap<String, String> = fields
            .into_iter()
            .filter_map(|(name, value)| {
                Some((
                    String::from_utf8(name).ok()?,
                    String::from_utf8(value).ok()?,
                ))
            })
            .collect();
        let mut progress = Self::default();
        for (name, value) in &fields {
            progress.take(name, value);
        }
        progress.failure = failure(&fields);
        progress.store = Some(Store {
            session,
            key,
            mending,
        });
        Ok(progress)
    }

    fn take(&mut self, name: &str, value: &str) {
        if let Some(id) = name.strip_prefix(BEGUN) {
            self.begun.insert(IncidentId::from_wire(id));
        } else if let Some(id) = name.strip_prefix(WAITING) {
            let id = IncidentId::from_wire(id);
            let is_key = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
            // The key goes into headers of messages. One that cannot was not written by us.
            let key = if is_key { value } else { id.as_str() };
            let key = key.to_owned();
            self.waiting.insert(id, key);
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
        let Some(Store { session, key, .. }) = &mut self.store else {
            return Ok(());
        };
        let mut command = redis::cmd(name);
        command.arg(&*key).arg(words);
        match session.query::<u64>(&command).await {
            Ok(_) => Ok(()),
            Err(RequestError::Refused(error)) if is_wrong_type(&error) => self.mend().await,
            Err(error) => {
                let what = format!("Redis refused to write {key}");
                Err(StageError::of_request(what, error))
            }
        }
    }

    /// Waits until the key can be used, and writes everything again but the position. The recipient counts as failing
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    pub(super) async fn mend(&mut self) -> Result<(), StageError> {
        let fields = self.fields();
        let Some(Store {
            session,
            key,
            mending,
        }) = &mut self.store
        else {
            return Ok(());
        };
        loop {
            mending.wait(session).await?;
            if fields.is_empty() {
                return Ok(());
            }
            let mut command = redis::cmd("HSET");
            command.arg(&*key).arg(&fields);
            match session.query::<u64>(&command).await {
                Ok(_) => return Ok(()),
                Err(RequestError::Refused(error)) if is_wrong_type(&error) => {}
                Err(error) => {
                    let what = format!("Redis refused to write {key}");
                    return Err(StageError::of_request(what, error));
                }
            }
        }
    }

    /// Returns all fields of the hash but the position.
    fn fields(&self) -> Vec<(String, String)> {
        let begun = self.begun.iter();
        let begun = begun.map(|id| (format!("{BEGUN}{id}"), id.to_string()));
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|(id, key)| (format!("{WAITING}{id}"), key.clone()));
        let reported = self.reported.iter();
        let reported = reported.map(|(name, at)| (format!("{REPORTED}{name}"), at.to_string()));
        let failure = self.failure.iter().flat_map(|failure| {
            let values = [failure.since.to_string(), failure.reason.clone()];
            FAILURE.map(str::to_owned).into_iter().zip(values)
        });
        begun
            .chain(waiting)
            .chain(reported)
            .chain(failure)
            .collect()
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
