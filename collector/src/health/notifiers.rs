//! The notifiers that are known, and those that fail, as their progress in Redis and the leader say.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::keys::incidents;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, is_wrong_type};
use redis::RedisResult;

use super::facts::FailingNotifier;
use crate::feed::damage::damage;
use crate::notify::NotifierConfig;
use crate::notify::failures::{LastingFailure, RecipientKey};
use crate::notify::outbox::progress;
use crate::notify::published::{self, PublishedNotifier};

/// The recipients of the configured notifiers, and of those that the leader published. So a command without the
/// collector's configuration knows them too.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownNotifiers(BTreeMap<RecipientKey, Option<PublishedNotifier>>);

impl KnownNotifiers {
    /// Returns the recipients of these notifiers alone.
    pub(crate) fn configured(notifiers: &[NotifierConfig]) -> Self {
        let recipients = notifiers.iter().flat_map(|notifier| {
            let keys = notifier.progress_keys().into_iter();
            keys.map(|(recipient, _)| ((notifier.name().to_owned(), recipient), None))
        });
        Self(recipients.collect())
    }

    /// Adds those that the leader published.
    ///
    /// # Errors
    ///
    /// If Redis does not answer.
    pub(crate) async fn read(
        connection: &mut Connection,
        notifiers: &[NotifierConfig],
    ) -> RedisResult<Self> {
        let mut known = Self::configured(notifiers);
        let published = match published::read(connection).await {
            Err(error) if is_wrong_type(&error) => Vec::new(),
            published => published?,
        };
        for one in published {
            let recipient = (one.notifier.clone(), one.recipient.clone());
            known.0.insert(recipient, Some(one));
        }
        Ok(known)
    }

    /// Returns the keys with the progress of all recipients.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.0.keys();
        keys.map(|(notifier, recipient)| incidents::delivery(notifier, recipient.as_deref()))
            .collect()
    }

    /// Returns the names of all notifiers.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the recipients whose attempts fail.
    pub(super) async fn failing(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> RedisResult<Vec<FailingNotifier>> {
        let mut failing = Vec::new();
        for ((notifier, recipient), published) in &self.0 {
            let key = incidents::delivery(notifier, recipient.as_deref());
            let is_damaged = damage(connection, &key).await?.is_some();
            let is_blocked = published.as_ref().is_some_and(|one| one.blocked);
            let failure = if is_damaged || is_blocked {
                // The leader knows since when.
                published.as_ref().and_then(PublishedNotifier::failure)
            } else {
                stored_failure(connection, &key).await?
            };
            failing.extend(failure.map(|failure| FailingNotifier {
                notifier: notifier.clone(),
                recipient: recipient.clone(),
                failing_ms: u64::try_from(now.since(failure.since).as_millis()).unwrap_or(u64::MAX),
                reason: failure.reason,
                // Damage is a problem of its own.
                waits: is_blocked && !is_damaged,
            }));
        }
        Ok(failing)
    }
}

/// Returns the failure in the progress of a recipient.
async fn stored_failure(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Option<LastingFailure>> {
    let mut read = redis::cmd("HMGET");
    read.arg(key).arg(&progress::FAILURE);
    let values: Vec<Option<Vec<u8>>> = read.query_async(connection).await?;
    let fields = progress::FAILURE.into_iter().zip(values);
    let fields =
        fields.filter_map(|(name, value)| Some((name.to_owned(), String::from_utf8(value?).ok()?)));
    let fields: BTreeMap<String, String> = fields.collect();
    Ok(progress::failure(&fields))
}
