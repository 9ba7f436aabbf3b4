//! The delivery log: the state of every notification at every recipient, for people to read.
//!
//! In: changes reported by the outboxes. Out: `rackwatch:deliveries`, a stream of changes. For each notifier, recipient
//! and key the newest change counts. Sending does not depend on it, as the consumer group keeps track of that. A change that cannot
//! be written soon is dropped.

use std::collections::HashSet;
use std::time::Duration;

use rackwatch_core::keys;
use rackwatch_core::stored::{IfRefused, StoredValue, decode, encode};
use rackwatch_runtime::redis::{Connection, Connector, Purpose, entries};
use redis::RedisResult;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Changes kept in the stream, approximately: weeks of incidents.
const STREAM_LENGTH: usize = 10_000;
/// Changes read to answer one request: enough for a page.
const READ_LIMIT: usize = 2_000;
/// Longest duration of one write, so that a stuck Redis does not delay notifications.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting for its first attempt.
    Queued,
    /// Waiting for another attempt after a failed one.
    Retrying,
    /// Accepted by the receiver.
    Sent,
    /// Accepted by the receiver, whose answer says that it will process the message.
    Confirmed,
    /// Rejected by the receiver, or not accepted for an hour. Attempts go on in the second case.
    Failed,
    /// Not sent: no route of the notifier matches, or a newer notification of the incident replaces it.
    Skipped,
}

/// One change of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The name of the notifier.
    pub notifier: String,
    /// The recipient, where the notifier has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The deduplication key, the same at every attempt.
    pub key: String,
    /// The id of the incident.
    pub incident_id: String,
    /// The change of the incident that is reported, such as `opened`.
    pub event: String,
    /// The title of the incident.
    pub title: String,
    /// The state after the change.
    pub state: State,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The time of the change, in milliseconds since 1970.
    pub at_ms: u64,
    /// The reason for the state; empty if there is nothing to explain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl StoredValue for Delivery {
    const NAME: &'static str = "delivery";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("deliveries are not listed");
}

/// Writes the delivery log.
#[derive(Debug)]
pub struct DeliveryLog {
    connector: Option<Connector>,
    connection: Mutex<Option<Connection>>,
}

impl DeliveryLog {
    /// Creates a log in Redis.
    pub fn new(connector: Connector) -> Self {
        Self {
            connector: Some(connector),
            connection: Mutex::new(None),
        }
    }

    /// Creates a log that drops everything.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            connector: None,
            connection: Mutex::new(None),
        }
    }

    /// Writes a change, or drops it if Redis does not accept it in time.
    pub async fn write(&self, delivery: &Delivery) {
        let Some(connector) = &self.connector else {
            return;
        };
        let reason = match timeout(WRITE_TIMEOUT, self.append(connector, delivery)).await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => "redis did not answer in time".to_owned(),
        };
        tracing::debug!(
            notifier = delivery.notifier,
            key = delivery.key,
            reason,
            "cannot write to the delivery log"
        );
    }

    async fn append(&self, connector: &Connector, delivery: &Delivery) -> Result<(), String> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => connector
                .open(Purpose::Commands)
                .await
                .map_err(|error| error.to_string())?,
        };
        let mut command = redis::cmd("XADD");
        command
            .arg(keys::DELIVERIES)
            .arg("MAXLEN")
            .arg("~")
            .arg(STREAM_LENGTH);
        command.arg("*").arg("delivery").arg(encode(delivery));
        let done: RedisResult<()> = command.exec_async(&mut connection).await;
        done.map_err(|error| error.to_string())?;
        *slot = Some(connection);
        Ok(())
    }
}

/// Returns the current state of each delivery, newest first; only those of `incident` if it is given.
///
/// # Errors
///
/// When Redis does not answer.
pub async fn read(
    connection: &mut Connection,
    incident: Option<&str>,
) -> RedisResult<Vec<Delivery>> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(keys::DELIVERIES).arg("+").arg("-");
    command.arg("COUNT").arg(READ_LIMIT);
    let read = command.query_async(connection).await?;
    let changes = entries(read).unwrap_or_default().into_iter();
    let changes = changes.filter_map(|entry| {
        let fields = entry.fields?;
        let (_, json) = fields.into_iter().find(|(name, _)| name == b"delivery")?;
        decode::<Delivery>(&json).ok()
    });
    let mut seen = HashSet::new();
    let newest = changes.filter(|delivery| {
        let Delivery {
            notifier,
            recipient,
            key,
            ..
        } = delivery;
        let is_newest = seen.insert((notifier.clone(), recipient.clone(), key.clone()));
        is_newest && incident.is_none_or(|id| delivery.incident_id == id)
    });
    Ok(newest.collect())
}
