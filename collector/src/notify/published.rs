//! The state of the leader's notifiers, published so that `status` knows them without their configuration.
//!
//! In: the [`Failures`] of the leader. Out: a value for each recipient in the hash `{rackwatch:incidents}:notifiers`. Reasons
//! have a bounded length, and no secrets, like those in the log. Nothing depends on the hash but `status`, `check`, and
//! the start of a failure while the progress of its recipient is damaged, or its notifier cannot be set up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rackwatch_core::keys::incidents;
use rackwatch_core::stored::{IfRefused, StoredValue, StoredValues, encode};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, scan_hash};
use redis::RedisResult;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::failures::{Failures, LastingFailure, RecipientKey};

/// Interval at which changes are looked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which unchanged values are written again, for a Redis that lost them.
const REPEAT: Duration = Duration::from_secs(30);
/// Most characters of a reason that are published.
const REASON_LIMIT: usize = 500;

/// A recipient of a notifier of the leader, as stored in `{rackwatch:incidents}:notifiers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedNotifier {
    /// The name of the notifier.
    pub notifier: String,
    /// The address, where the notifier has several recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The time of the first failed attempt, if attempts fail now.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "failing_since_ms"
    )]
    pub failing_since: Option<Timestamp>,
    /// The reason of the last failed attempt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether nothing is attempted, because the notifier cannot be set up or its progress is damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

impl StoredValue for PublishedNotifier {
    const NAME: &'static str = "state of a notifier";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused =
        IfRefused::StartsCold("`status` without a configuration does not know the notifier");
}

impl PublishedNotifier {
    fn of(
        (notifier, recipient): RecipientKey,
        failure: Option<LastingFailure>,
        blocked: bool,
    ) -> Self {
        let failing_since = failure.as_ref().map(|failure| failure.since);
        let reason = failure.map_or_else(String::new, |failure| failure.reason);
        Self {
            notifier,
            recipient,
            failing_since,
            reason: reason.chars().take(REASON_LIMIT).collect(),
            blocked,
        }
    }

    /// Returns the failure, if attempts fail.
    pub(crate) fn failure(&self) -> Option<LastingFailure> {
        Some(LastingFailure {
            since: self.failing_since?,
            reason: self.reason.clone(),
        })
    }

    /// Returns the field in the hash.
    fn field(&self) -> String {
        match &self.recipient {
            Some(recipient) => format!("{}:{recipient}", self.notifier),
            None => self.notifier.clone(),
        }
    }
}

/// Reads what the leader published last. Values of another version are left out.
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn read(connection: &mut Connection) -> RedisResult<Vec<PublishedNotifier>> {
    let hash = scan_hash(connection, incidents::NOTIFIERS).await?;
    let values = StoredValues::<PublishedNotifier>::from_hash(hash).values;
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// Returns the failures that the former leader published; none if they cannot be read.
pub(crate) async fn failures_before(
    connection: &mut Connection,
) -> BTreeMap<RecipientKey, LastingFailure> {
    let read = read(connection).await.unwrap_or_default().into_iter();
    let failing = read.filter_map(|one| {
        let failure = one.failure()?;
        Some(((one.notifier, one.recipient), failure))
    });
    failing.collect()
}

/// Publishes all changes of `failures` until `stop`. A refusal of Redis is logged once, and the write repeats.
pub(crate) async fn run(connector: Connector, failures: Failures, stop: CancellationToken) {
    let mut written: Option<(Vec<PublishedNotifier>, Instant)> = None;
    let mut is_refused = false;
    while let Some(mut connection) = connector.open_until(Purpose::Commands, &stop).await {
        loop {
            let all = failures.all().into_iter();
            let all: Vec<_> = all
                .map(|(of, failure)| {
                    let blocked = failures.is_blocked(&of);
                    PublishedNotifier::of(of, failure, blocked)
                })
                .collect();
            let is_fresh = written
                .as_ref()
                .is_some_and(|(before, at)| *before == all && at.elapsed() < REPEAT);
            if !is_fresh {
                match write(&mut connection, &all).await {
                    Ok(()) => (written, is_refused) = (Some((all, Instant::now())), false),
                    Err(error) => {
                        if !std::mem::replace(&mut is_refused, true) {
                            let key = incidents::NOTIFIERS;
                            tracing::warn!(key, %error, "cannot publish the state of notifiers");
                        }
                        break;
                    }
                }
            }
            let pausing = stop.run_until_cancelled(tokio::time::sleep(INTERVAL));
            if pausing.await.is_none() {
                return;
            }
        }
        // A write that Redis refuses must not repeat without a pause.
        stop.run_until_cancelled(tokio::time::sleep(REPEAT)).await;
    }
}

/// Writes all recipients, and deletes those that are no longer configured.
async fn write(connection: &mut Connection, all: &[PublishedNotifier]) -> RedisResult<()> {
    let mut keys = redis::cmd("HKEYS");
    let known: Vec<Vec<u8>> = keys
        .arg(incidents::NOTIFIERS)
        .query_async(connection)
        .await?;
    let mut replace = redis::pipe();
    for field in known {
        if !all.iter().any(|one| one.field().as_bytes() == field) {
            replace.cmd("HDEL").arg(incidents::NOTIFIERS).arg(field);
        }
    }
    for one in all {
        replace.cmd("HSET").arg(incidents::NOTIFIERS);
        replace.arg(one.field()).arg(encode(one));
    }
    if replace.cmd_iter().next().is_none() {
        return Ok(());
    }
    replace.exec_async(connection).await
}
