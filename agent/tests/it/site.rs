//! A private Redis, and an agent in this process that publishes to it.

use std::time::Duration;

use rackwatch_agent::app::{self, RunError};
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::name::Name;
use rackwatch_agent::publisher::Summary;
use rackwatch_agent::source::Source;
use rackwatch_core::device::Description;
use rackwatch_core::keys;
use rackwatch_core::wire::{self, Decoded};
use rackwatch_testing::{RedisServer, wait_until};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Deadline for conditions: long enough on a busy machine, and only failing tests take that long.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Returns the configuration of an agent `node7` with short back-offs.
pub(crate) fn config(server: &RedisServer) -> AgentConfig {
    let mut config = AgentConfig::default();
    config.redis.url = server.url().as_str().into();
    config.redis.backoff_min = Duration::from_millis(10);
    config.redis.backoff_max = Duration::from_millis(50);
    config.agent.name = Name::new("node7").unwrap();
    config
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) stop: CancellationToken,
    running: JoinHandle<Result<Summary, RunError>>,
}

impl Agent {
    pub(crate) fn start(config: AgentConfig, sources: Vec<Box<dyn Source>>) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let running = tokio::spawn(async move { app::pipeline(&config, sources, until).await });
        Self { stop, running }
    }

    pub(crate) async fn stop(self) -> Result<Summary, RunError> {
        self.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Result<Summary, RunError> {
        tokio::time::timeout(Duration::from_secs(5), self.running)
            .await
            .expect("the agent ends within five seconds")
            .unwrap()
    }
}

pub(crate) async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = server.client();
    client.get_multiplexed_async_connection().await.unwrap()
}

type Raw = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;

/// Returns the decoded entries of the raw stream.
pub(crate) async fn entries(connection: &mut MultiplexedConnection) -> Vec<Decoded> {
    let mut range = redis::cmd("XRANGE");
    range.arg(keys::RAW).arg("-").arg("+");
    let raw: Raw = range.query_async(connection).await.unwrap();
    raw.iter().map(|(_, fields)| wire::decode(fields)).collect()
}

pub(crate) async fn wait_for_entries(connection: &mut MultiplexedConnection, more_than: usize) {
    wait_until(SOON, "there are entries", async || {
        (entries(connection).await.len() > more_than).then_some(())
    })
    .await
    .unwrap();
}

/// Returns the device descriptions in Redis, sorted by id.
pub(crate) async fn descriptions(
    connection: &mut MultiplexedConnection,
) -> Vec<(String, Description)> {
    let mut get = redis::cmd("HGETALL");
    let all: Vec<(String, String)> = get
        .arg(keys::DEVICES)
        .query_async(connection)
        .await
        .unwrap();
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(id, json)| (id, Description::from_json(json.as_bytes()).unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
