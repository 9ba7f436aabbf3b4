//! The backend of a collector: Redis, over one connection that all requests share.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::Ack;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::alert;
use rackwatch_runtime::clock;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, entries, server_time,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{BackendError, WebBackend};
use crate::config::CollectorConfig;
use crate::health;
use crate::incidents::operator_actions;
use crate::incidents::resolve::{self, Requested, Resolver};
use crate::incidents::windows::Window;
use crate::indices::past::{self, Points, SeriesRange};
use crate::notify::delivery_log::{self, Delivery};
use crate::series;
use crate::series::history::{self, History, Span};

/// Longest wait of a request for Redis.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// Alert records per read.
const PAGE: usize = 1000;
/// Maximum number of reads per request.
const MAX_PAGES: usize = 20;

/// Queries and operator actions over a shared connection.
#[derive(Debug)]
pub(crate) struct RedisBackend {
    connector: Connector,
    config: CollectorConfig,
    connection: Mutex<Option<Connection>>,
}

impl RedisBackend {
    /// Returns a backend that connects at the first request.
    pub(crate) fn new(connector: Connector, config: CollectorConfig) -> Self {
        Self {
            connector,
            config,
            connection: Mutex::new(None),
        }
    }

    async fn connection(&self) -> Result<Connection, BackendError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let opened = timeout(REDIS_TIMEOUT, self.connector.open(Purpose::Commands)).await;
        match opened {
            Ok(Ok(connection)) => {
                *kept = Some(connection.clone());
                Ok(connection)
            }
            Ok(Err(error)) => Err(BackendError::Unavailable(error.to_string())),
            Err(_) => Err(BackendError::Unavailable("no reply in time".to_owned())),
        }
    }

    /// Drops the connection, which may be broken. The next request opens another. After an error about a key of the wrong
    /// type, which Redis does not name, looks for it.
    async fn unavailable(&self, error: impl std::fmt::Display) -> BackendError {
        let kept = self.connection.lock().await.take();
        let error = error.to_string();
        if error.contains("WRONGTYPE")
            && let Some(mut connection) = kept
            && let Ok(Ok(broken)) =
                timeout(REDIS_TIMEOUT, health::broken_keys(&mut connection, &[])).await
            && !broken.is_empty()
        {
            return BackendError::BrokenKeys(broken.join("; "));
        }
        BackendError::Unavailable(error)
    }

    /// Converts the result of an operator action.
    async fn action_result<T>(
        &self,
        done: Result<T, operator_actions::ActionError>,
    ) -> Result<T, BackendError> {
        match done {
            Ok(done) => Ok(done),
            Err(operator_actions::ActionError::Redis(error)) => Err(self.unavailable(error).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Converts the reply to a query.
    async fn query_result<T>(&self, answer: redis::RedisResult<T>) -> Result<T, BackendError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.unavailable(error).await),
        }
    }
}

#[async_trait]
impl WebBackend for RedisBackend {
    async fn now(&self) -> Timestamp {
        let Ok(mut connection) = self.connection().await else {
            return clock::now();
        };
        let now = server_time(&mut connection).await;
        now.unwrap_or_else(|_| clock::now())
    }

    async fn history(&self, device: &DeviceId, span: Span) -> Result<History, BackendError> {
        let connection = self.connection().await?;
        let read = async {
            let mut series = series::open(connection, &self.config.series).await?;
            history::fetch(&mut series, device, span, clock::now()).await
        };
        match timeout(REDIS_TIMEOUT, read).await {
            Ok(Ok(history)) => Ok(history),
            Ok(Err(error)) => Err(self.unavailable(error).await),
            Err(_) => Err(self.unavailable("no reply in time").await),
        }
    }

    async fn indices(
        &self,
        range: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError> {
        let mut connection = self.connection().await?;
        let read = past::read(&mut connection, &self.config.series, range);
        match timeout(REDIS_TIMEOUT, read).await {
            Ok(answer) => self.query_result(answer).await,
            Err(_) => Err(self.unavailable("no reply in time").await),
        }
    }

    async fn alerts(
        &self,
        device: &DeviceId,
        zone: &str,
        from: Timestamp,
    ) -> Result<Option<Vec<AlertRecord>>, BackendError> {
        let mut connection = self.connection().await?;
        let partitioning = self
            .query_result(Partitioning::read(&mut connection).await)
            .await?;
        let stream = PartitionKeys::of(partitioning.partitions().of_zone(zone)).alerts;
        let (mut found, mut to) = (Vec::new(), "+".to_owned());
        for _ in 0..MAX_PAGES {
            let mut read = redis::cmd("XREVRANGE");
            read.arg(&stream).arg(&to).arg(from.millis());
            read.arg("COUNT").arg(PAGE);
            let page = self
                .query_result(read.query_async(&mut connection).await)
                .await?;
            let Ok(page) = entries(page) else { break };
            let Some(last) = page.last() else { break };
            to = format!("({}-{}", last.id.0, last.id.1);
            let records = page.iter().filter_map(|entry| entry.fields.as_ref());
            let records = records.filter_map(|fields| alert::decode(fields).ok());
            found.extend(records.filter(|record| record.subject.as_id() == device));
            if page.len() < PAGE {
                break;
            }
        }
        found.reverse();
        Ok(Some(found))
    }

    async fn ack(&self, id: &str, ack: Ack) -> Result<String, BackendError> {
        let mut connection = self.connection().await?;
        let done = operator_actions::acknowledge(&mut connection, id, &ack).await;
        self.action_result(done).await
    }

    async fn resolve(&self, id: &str, resolver: Resolver) -> Result<Requested, BackendError> {
        let mut connection = self.connection().await?;
        let done = resolve::resolve_incident(&mut connection, id, &resolver).await;
        self.action_result(done).await
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let done = operator_actions::add_silence(&mut connection, &silence, now).await;
        self.action_result(done).await
    }

    async fn expire_silence(&self, id: &str) -> Result<bool, BackendError> {
        let mut connection = self.connection().await?;
        let done = operator_actions::remove(&mut connection, keys::SILENCES, id).await;
        self.query_result(done).await
    }

    async fn windows(&self) -> Result<Vec<Window>, BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let windows = operator_actions::windows(&mut connection, now).await;
        self.query_result(windows).await
    }

    async fn add_window(&self, window: Window) -> Result<(), BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let done = operator_actions::add_window(&mut connection, &window, now).await;
        self.action_result(done).await
    }

    async fn delete_window(&self, id: &str) -> Result<bool, BackendError> {
        let mut connection = self.connection().await?;
        let done = operator_actions::remove(&mut connection, keys::WINDOWS, id).await;
        self.query_result(done).await
    }

    async fn status(&self) -> Result<Value, BackendError> {
        let mut connection = self.connection().await?;
        let endpoint = self.connector.endpoint();
        let gathering = health::gather(&mut connection, &self.config, endpoint);
        match timeout(REDIS_TIMEOUT, gathering).await {
            Ok(Ok(facts)) => {
                let verdict = health::evaluate(&facts);
                let room = health::room(&facts);
                Ok(json!({ "facts": facts, "verdict": verdict, "room": room }))
            }
            Ok(Err(error)) => Err(self.unavailable(error).await),
            Err(_) => Err(self.unavailable("no reply in time").await),
        }
    }

    async fn deliveries(&self, incident: Option<&str>) -> Result<Vec<Delivery>, BackendError> {
        let mut connection = self.connection().await?;
        let read = delivery_log::read(&mut connection, incident).await;
        self.query_result(read).await
    }
}
