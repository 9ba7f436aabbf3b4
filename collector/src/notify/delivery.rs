//! The delivery ledger: what became of everything that people were to be told, by every channel.
//!
//! In: what outboxes do. Out: `rackwatch:deliveries`, a stream of changes, the newest of each (channel, key) being what
//! counts. It is a record for people, not what sending goes by: that is the consumer group. One that cannot be written is
//! left out, and holds up nothing.

use std::collections::HashSet;

use rackwatch_core::keys;
use rackwatch_core::stored::{StoredValue, decode, encode};
use rackwatch_runtime::redis::{Connection, Connector, Purpose, entries};
use redis::RedisResult;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Changes that are kept, about.
const KEPT: usize = 10_000;
/// Changes that are looked at for one question.
const LOOKED_AT: usize = 2_000;
/// Writing may take so long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is the channel's turn to send it.
    Queued,
    /// A try has failed; it is tried again.
    Retrying,
    /// The receiver has taken it.
    Sent,
    /// And says in its own words that it will deal with it.
    Confirmed,
    /// The receiver will not take it; it is not sent again.
    Failed,
    /// No route of the channel wants it.
    Passed,
}

/// One change of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The notifier.
    pub channel: String,
    /// The name of what is told, the same at each try.
    pub key: String,
    /// The incident.
    pub incident_id: String,
    /// What is told of it.
    pub event: String,
    /// What it is, in words.
    pub title: String,
    /// How far it is.
    pub state: State,
    /// Tries so far.
    pub tries: u32,
    /// When that was.
    pub at_ms: u64,
    /// Why it is no further.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl StoredValue for Delivery {
    const NAME: &'static str = "delivery";
    const VERSION: u32 = 1;
}

/// Writes the ledger.
#[derive(Debug)]
pub struct Ledger {
    connector: Option<Connector>,
    connection: Mutex<Option<Connection>>,
}

impl Ledger {
    /// In Redis.
    pub fn new(connector: Connector) -> Self {
        Self {
            connector: Some(connector),
            connection: Mutex::new(None),
        }
    }

    /// Nowhere.
    pub fn none() -> Self {
        Self {
            connector: None,
            connection: Mutex::new(None),
        }
    }

    /// Writes a change, if that is possible soon.
    pub async fn note(&self, delivery: &Delivery) {
        let Some(connector) = &self.connector else {
            return;
        };
        let written = timeout(PATIENCE, async {
            let mut kept = self.connection.lock().await;
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => connector
                    .open(Purpose::Commands)
                    .await
                    .map_err(|e| e.to_string())?,
            };
            let mut command = redis::cmd("XADD");
            command
                .arg(keys::DELIVERIES)
                .arg("MAXLEN")
                .arg("~")
                .arg(KEPT);
            command.arg("*").arg("delivery").arg(encode(delivery));
            let done: RedisResult<()> = command.exec_async(&mut connection).await;
            done.map_err(|error| error.to_string())?;
            *kept = Some(connection);
            Ok::<(), String>(())
        });
        let why = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::debug!(
            channel = delivery.channel,
            key = delivery.key,
            why,
            "a delivery is not in the ledger"
        );
    }
}

/// How far each delivery is, the newest first; of one incident, where it is named.
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
    command.arg("COUNT").arg(LOOKED_AT);
    let read = command.query_async(connection).await?;
    let mut seen = HashSet::new();
    let changes = entries(read).unwrap_or_default().into_iter();
    let known = changes.filter_map(|entry| {
        let fields = entry.fields?;
        let (_, json) = fields.into_iter().find(|(name, _)| name == b"delivery")?;
        decode::<Delivery>(&json).ok()
    });
    let newest = known.filter(|delivery| {
        let is_newest = seen.insert((delivery.channel.clone(), delivery.key.clone()));
        is_newest && incident.is_none_or(|id| delivery.incident_id == id)
    });
    Ok(newest.collect())
}
