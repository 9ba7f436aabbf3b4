//! The heartbeat: requests to an outside monitor while everything works. The monitor raises the alarm when they stop,
//! which Rackwatch cannot do for its own failure.
//!
//! In: the address that the monitor has issued. Out: a GET at an interval, as long as every partition has an owner and
//! this collector is the leader. A failed beat is not repeated, as the next one follows soon.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::words;
use rackwatch_runtime::config::checked::one_of;
use rackwatch_runtime::config::{self, KeyError, Secret};
use rackwatch_runtime::redis::{Connector, Partitioning, Purpose};
use rackwatch_runtime::tls;
use redis::RedisResult;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::{SetupError, SetupErrorKind};
use super::http;

/// Longest duration of the request, and of the questions to Redis before it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest interval: monitors count by the minute.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The keys of `[heartbeat]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// The address to request.
    pub url: Option<Secret>,
    /// A file with the address in its first line, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// The interval. Default 1 min.
    #[serde(with = "config::duration")]
    pub every: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            every: Duration::from_mins(1),
        }
    }
}

impl HeartbeatConfig {
    /// Checks that the address is set once.
    ///
    /// # Errors
    ///
    /// When both `url` and `url_file` are set.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let url = ("url", self.url.is_some());
        one_of("heartbeat", url, ("url_file", self.url_file.is_some()))
    }
}

/// The address and interval of the requests.
pub struct Heartbeat {
    url: Url,
    every: Duration,
    client: Client,
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a token.
        f.debug_struct("Heartbeat")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Heartbeat {
    /// Sets up the heartbeat, if an address is configured.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the address is not `http://` or `https://`.
    pub fn new(config: &HeartbeatConfig) -> Result<Option<Self>, SetupError> {
        if config.url.is_none() && config.url_file.is_none() {
            return Ok(None);
        }
        Self::build(config).map(Some).map_err(|kind| SetupError {
            section: "heartbeat".to_owned(),
            source: kind,
        })
    }

    fn build(config: &HeartbeatConfig) -> Result<Self, SetupErrorKind> {
        tls::install_provider();
        let client = Client::builder().timeout(TIMEOUT).build();
        Ok(Self {
            url: http::address(config.url.as_ref(), config.url_file.as_ref())?,
            every: config.every.max(SHORTEST_INTERVAL),
            client: client.map_err(SetupErrorKind::client)?,
        })
    }

    /// Sends requests until `stop`. Logs the first failure and the recovery.
    pub async fn run(self, connector: Connector, stop: CancellationToken) {
        let mut is_beating = true;
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let beating = stop.run_until_cancelled(self.beat(&connector));
            let Some(beat) = beating.await else { return };
            match (&beat, is_beating) {
                (Err(reason), true) => tracing::warn!(reason, "heartbeat stopped"),
                (Ok(()), false) => tracing::info!("heartbeat recovered"),
                _ => {}
            }
            is_beating = beat.is_ok();
        }
    }

    /// Sends one request if every partition has an owner.
    async fn beat(&self, connector: &Connector) -> Result<(), String> {
        match timeout(TIMEOUT, count_unowned(connector)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => {
                return Err(format!(
                    "{} without an owner",
                    words::count(count, "partition")
                ));
            }
            Ok(Err(reason)) => return Err(reason),
            Err(_) => return Err("redis did not answer in time".to_owned()),
        }
        let answer = self.client.get(self.url.clone()).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        // The address may hold a token.
        answer
            .map(drop)
            .map_err(|error| error.without_url().to_string())
    }
}

/// Returns the number of partitions without an owner.
async fn count_unowned(connector: &Connector) -> Result<usize, String> {
    let opened = connector.open(Purpose::Commands).await;
    let mut connection = opened.map_err(|error| error.to_string())?;
    let partitioning = Partitioning::read(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    let mut count = 0;
    for partition in partitioning.partitions().all() {
        let mut command = redis::cmd("EXISTS");
        command.arg(PartitionKeys::of(partition).lease);
        let owned: RedisResult<u8> = command.query_async(&mut connection).await;
        count += usize::from(owned.map_err(|error| error.to_string())? == 0);
    }
    Ok(count)
}
