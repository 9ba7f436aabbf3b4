//! The heartbeat: requests to an outside monitor while everything works. The monitor raises the alarm when they stop,
//! which Rackwatch cannot do for its own failure.
//!
//! In: the address that the monitor has issued. Out: a GET at an interval, as long as this collector is the leader and
//! ready, every partition has an owner, and no reading of any partition waits too long. A failed beat is not repeated, as
//! the next one follows soon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::keys::PartitionKeys;
use rackwatch_runtime::config::checked::one_of;
use rackwatch_runtime::config::{self, KeyError, Secret};
use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::{Connection, Connector, Partitioning, Purpose};
use rackwatch_runtime::tls;
use redis::RedisResult;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::{SetupError, SetupErrorKind};
use super::http;
use crate::progress::{OldestEntry, Progress};
use crate::waiting;

/// Longest duration of the request, and of the questions to Redis before it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest interval: monitors count by the minute.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two attempts to read the address.
const SETUP_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two looks whether this collector is ready for the first request.
const START_PAUSE: Duration = Duration::from_millis(250);

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
    /// Returns whether an address is configured.
    pub(crate) fn is_configured(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }

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
        if !config.is_configured() {
            return Ok(None);
        }
        Self::build(config).map(Some).map_err(|kind| SetupError {
            section: "heartbeat".to_owned(),
            source: kind,
        })
    }

    /// Sets up the heartbeat for a term of a leader, once its file can be read: it may be gone since the start. `None` on a stop,
    /// and without an address.
    pub(crate) async fn wait(config: &HeartbeatConfig, stop: &CancellationToken) -> Option<Self> {
        let mut logged = None;
        loop {
            let config = config.clone();
            // A disk that hangs holds up no other stage.
            let built = tokio::task::spawn_blocking(move || Self::new(&config)).await;
            let reason = match built {
                Ok(Ok(heartbeat)) => return heartbeat,
                Ok(Err(error)) => chain(&error),
                // The runtime stops.
                Err(error) => error.to_string(),
            };
            if logged.as_ref() != Some(&reason) {
                tracing::error!(reason, "heartbeat waits until its address can be read");
                logged = Some(reason);
            }
            let pausing = stop.run_until_cancelled(tokio::time::sleep(SETUP_PAUSE));
            pausing.await?;
        }
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

    /// Sends requests until `stop`, the first once this collector is ready. Logs the first failure and the recovery.
    pub async fn run(self, connector: Connector, progress: Arc<Progress>, stop: CancellationToken) {
        let beginning = timeout(progress.limit(), begun(&progress));
        if stop.run_until_cancelled(beginning).await.is_none() {
            return;
        }
        let mut is_beating = true;
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let beating = stop.run_until_cancelled(self.beat(&connector, &progress));
            let Some(beat) = beating.await else { return };
            match (&beat, is_beating) {
                (Err(reason), true) => tracing::warn!(reason, "heartbeat stopped"),
                (Ok(()), false) => tracing::info!("heartbeat recovered"),
                _ => {}
            }
            is_beating = beat.is_ok();
        }
    }

    /// Sends one request if this collector is ready, and every partition goes on.
    async fn beat(&self, connector: &Connector, progress: &Progress) -> Result<(), String> {
        let problems = progress.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        match timeout(TIMEOUT, partitions_go_on(connector, progress.limit())).await {
            Ok(result) => result?,
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

/// Waits until this collector is ready.
async fn begun(progress: &Progress) {
    while !progress.problems().is_empty() {
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// Fails if a partition has no owner, or one of its readings has waited for longer than `limit`.
async fn partitions_go_on(connector: &Connector, limit: Duration) -> Result<(), String> {
    let opened = connector.open(Purpose::Commands).await;
    let mut connection = opened.map_err(|error| error.to_string())?;
    let stuck = stuck_partition(&mut connection, limit).await;
    match stuck.map_err(|error| error.to_string())? {
        None => Ok(()),
        Some(reason) => Err(reason),
    }
}

/// Returns the first partition that does not go on, with the reason.
async fn stuck_partition(
    connection: &mut Connection,
    limit: Duration,
) -> RedisResult<Option<String>> {
    let partitions = Partitioning::read(connection).await?.partitions();
    for partition in partitions.all() {
        let mut command = redis::cmd("EXISTS");
        command.arg(PartitionKeys::of(partition).lease);
        if command.query_async::<u8>(connection).await? == 0 {
            return Ok(Some(format!("partition {partition} has no owner")));
        }
        let oldest = waiting::readings(connection, partition).await?;
        if let Some(OldestEntry { what, age }) = oldest.filter(|entry| entry.age > limit) {
            let seconds = age.as_secs();
            return Ok(Some(format!(
                "partition {partition}: {what} for {seconds} s"
            )));
        }
    }
    Ok(None)
}
