//! Asks Redis, over one connection that many requests share.

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

use super::{Backend, BackendError};
use crate::config::CollectorConfig;
use crate::health;
use crate::incidents::operator_actions;
use crate::incidents::windows::Window;
use crate::indices::past::{self, Points, SeriesRange};
use crate::notify::delivery_log::{self, Delivery};
use crate::series;
use crate::series::history::{self, History, Span};

/// A request waits no longer for Redis.
const PATIENCE: Duration = Duration::from_secs(5);
/// Alert records of one read, and reads for one question.
const PAGE: usize = 1000;
const PAGES: usize = 20;

/// Redis, as the web side uses it.
#[derive(Debug)]
pub(crate) struct RedisBackend {
    connector: Connector,
    config: CollectorConfig,
    connection: Mutex<Option<Connection>>,
}

impl RedisBackend {
    /// By these settings.
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
        let opened = timeout(PATIENCE, self.connector.open(Purpose::Commands)).await;
        match opened {
            Ok(Ok(connection)) => {
                *kept = Some(connection.clone());
                Ok(connection)
            }
            Ok(Err(error)) => Err(BackendError::Away(error.to_string())),
            Err(_) => Err(BackendError::Away("no answer in time".to_owned())),
        }
    }

    /// Another connection is opened for the next request: this one may be of no more use.
    async fn away(&self, error: impl std::fmt::Display) -> BackendError {
        *self.connection.lock().await = None;
        BackendError::Away(error.to_string())
    }

    async fn acted<T>(
        &self,
        done: Result<T, operator_actions::ActionError>,
    ) -> Result<T, BackendError> {
        match done {
            Ok(done) => Ok(done),
            Err(operator_actions::ActionError::Redis(error)) => Err(self.away(error).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn answered<T>(&self, answer: redis::RedisResult<T>) -> Result<T, BackendError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.away(error).await),
        }
    }
}

#[async_trait]
impl Backend for RedisBackend {
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
        match timeout(PATIENCE, read).await {
            Ok(Ok(history)) => Ok(history),
            Ok(Err(error)) => Err(self.away(error).await),
            Err(_) => Err(self.away("no answer in time").await),
        }
    }

    async fn indices(
        &self,
        stretch: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError> {
        let mut connection = self.connection().await?;
        let read = past::read(&mut connection, &self.config.series, stretch);
        match timeout(PATIENCE, read).await {
            Ok(answer) => self.answered(answer).await,
            Err(_) => Err(self.away("no answer in time").await),
        }
    }

    async fn alerts(
        &self,
        device: &DeviceId,
        zone: &str,
        from: Timestamp,
    ) -> Result<Option<Vec<AlertRecord>>, BackendError> {
        let mut connection = self.connection().await?;
        let layout = self
            .answered(Partitioning::read(&mut connection).await)
            .await?;
        let stream = PartitionKeys::of(layout.partitions().of_zone(zone)).alerts;
        let (mut found, mut to) = (Vec::new(), "+".to_owned());
        for _ in 0..PAGES {
            let mut read = redis::cmd("XREVRANGE");
            read.arg(&stream).arg(&to).arg(from.millis());
            read.arg("COUNT").arg(PAGE);
            let page = self
                .answered(read.query_async(&mut connection).await)
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
        self.acted(done).await
    }

    async fn silence(&self, silence: Silence) -> Result<(), BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let done = operator_actions::add_silence(&mut connection, &silence, now).await;
        self.acted(done).await
    }

    async fn unsilence(&self, id: &str) -> Result<bool, BackendError> {
        let mut connection = self.connection().await?;
        let done = operator_actions::remove(&mut connection, keys::SILENCES, id).await;
        self.answered(done).await
    }

    async fn windows(&self) -> Result<Vec<Window>, BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let windows = operator_actions::windows(&mut connection, now).await;
        self.answered(windows).await
    }

    async fn plan(&self, window: Window) -> Result<(), BackendError> {
        let mut connection = self.connection().await?;
        let now = self.now().await;
        let done = operator_actions::add_window(&mut connection, &window, now).await;
        self.acted(done).await
    }

    async fn unplan(&self, id: &str) -> Result<bool, BackendError> {
        let mut connection = self.connection().await?;
        let done = operator_actions::remove(&mut connection, keys::WINDOWS, id).await;
        self.answered(done).await
    }

    async fn status(&self) -> Result<Value, BackendError> {
        let mut connection = self.connection().await?;
        let endpoint = self.connector.endpoint();
        let gathering = health::gather(&mut connection, &self.config, endpoint);
        match timeout(PATIENCE, gathering).await {
            Ok(Ok(facts)) => {
                let verdict = health::judge(&facts);
                Ok(json!({ "facts": facts, "verdict": verdict }))
            }
            Ok(Err(error)) => Err(self.away(error).await),
            Err(_) => Err(self.away("no answer in time").await),
        }
    }

    async fn deliveries(&self, incident: Option<&str>) -> Result<Vec<Delivery>, BackendError> {
        let mut connection = self.connection().await?;
        let read = delivery_log::read(&mut connection, incident).await;
        self.answered(read).await
    }
}
