//! The heartbeat: an outside monitor is told again and again that all is well, and alarms people when that stops: the one
//! failure that we cannot tell of ourselves.
//!
//! In: an address, as such monitors give one out. Out: a GET so often, while every partition has an owner and the desk is
//! held. It is not sent again: the next one comes.

use std::time::Duration;

use rackwatch_core::keys::PartitionKeys;
use rackwatch_runtime::redis::{Connector, Partitioning, Purpose};
use redis::RedisResult;
use reqwest::{Client, Url};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{NotifierError, http};
use crate::config::HeartbeatConfig;

/// A beat may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to, and how often.
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
    /// As configured; none where it is not.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn new(config: &HeartbeatConfig) -> Result<Option<Self>, NotifierError> {
        let name = "heartbeat";
        let text = match (&config.url, &config.url_file) {
            (None, None) => return Ok(None),
            (Some(url), _) => url.expose().to_owned(),
            (None, Some(path)) => http::secret(name, path)?,
        };
        let url = Url::parse(&text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(NotifierError::Url {
                name: name.to_owned(),
            });
        };
        rackwatch_runtime::tls::choose_provider();
        let client = Client::builder().timeout(PATIENCE).build();
        Ok(Some(Self {
            url,
            every: config.every.max(Duration::from_secs(1)),
            client: client.map_err(|source| NotifierError::client(name, source))?,
        }))
    }

    /// Beats until told to stop.
    pub async fn run(self, connector: Connector, stop: CancellationToken) {
        let mut well = true;
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let beating = stop.run_until_cancelled(self.beat(&connector));
            let Some(beat) = beating.await else { return };
            match (&beat, well) {
                (Err(why), true) => tracing::warn!(why, "no heartbeat is sent"),
                (Ok(()), false) => tracing::info!("the heartbeat is sent again"),
                _ => {}
            }
            well = beat.is_ok();
        }
    }

    async fn beat(&self, connector: &Connector) -> Result<(), String> {
        match timeout(PATIENCE, unowned(connector)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => return Err(format!("{count} partitions have no owner")),
            Ok(Err(why)) => return Err(why),
            Err(_) => return Err("Redis does not answer in time".to_owned()),
        }
        let answer = self.client.get(self.url.clone()).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        // The address may hold a token.
        answer
            .map(drop)
            .map_err(|error| error.without_url().to_string())
    }
}

/// How many partitions nobody judges.
async fn unowned(connector: &Connector) -> Result<usize, String> {
    let opened = connector.open(Purpose::Commands).await;
    let mut connection = opened.map_err(|error| error.to_string())?;
    let layout = Partitioning::read(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    let mut count = 0;
    for partition in layout.partitions().all() {
        let mut command = redis::cmd("EXISTS");
        command.arg(PartitionKeys::of(partition).lease);
        let held: RedisResult<u8> = command.query_async(&mut connection).await;
        count += usize::from(held.map_err(|error| error.to_string())? == 0);
    }
    Ok(count)
}
