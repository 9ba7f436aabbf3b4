//! Where connections lead: one node, the master that Sentinels name, or a cluster.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::sentinel::SentinelClient;
use redis::{Client, RedisResult};

use super::cluster::{self, Nodes};
use super::credentials::Credentials;
use super::hosts::{Hosts, NotHosts};
use super::node::open_client;
use super::{sentinel, settings};
use crate::config::RedisConfig;
use crate::redis::connection::Connection;
use crate::redis::error::ConnectError;

/// Schemes of addresses with several hosts.
const SENTINEL: &str = "sentinel";
const CLUSTER: &str = "cluster";

/// The server, or servers, that connections lead to.
#[derive(Clone)]
pub(super) enum Target {
    /// One server at one address.
    Node(Box<Client>),
    /// The master that Sentinels name.
    Sentinels(Arc<tokio::sync::Mutex<SentinelClient>>),
    /// All masters of a cluster.
    Cluster(Box<Nodes>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Clients hold passwords.
        f.write_str(match self {
            Self::Node(_) => "Node",
            Self::Sentinels(_) => "Sentinels",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Target {
    /// Parses the address in `config`. Returns its target, and the address without user and password.
    pub(super) fn parse(
        config: &RedisConfig,
        credentials: &Credentials,
    ) -> Result<(Self, String), ConnectError> {
        let url = config.url.expose();
        if let Some(hosts) = Hosts::parse(url, SENTINEL, sentinel::PORT) {
            return sentinel_target(config, credentials, hosts);
        }
        settings::sentinels_unused(config)?;
        if let Some(hosts) = Hosts::parse(url, CLUSTER, cluster::PORT) {
            return cluster_target(config, credentials, hosts);
        }
        let info = settings::connection_info(config, credentials)?;
        let endpoint = settings::endpoint(&info);
        let client = settings::client(config, credentials, info)?;
        Ok((Self::Node(Box::new(client)), endpoint))
    }

    /// Connects once; on a cluster, to the node that has the key `home`.
    pub(super) async fn open(
        &self,
        home: &str,
        connect: Duration,
        response: Duration,
    ) -> RedisResult<Connection> {
        let client = match self {
            Self::Node(client) => Client::clone(client),
            Self::Cluster(nodes) => {
                // Boxed, because this large future is part of every future that connects.
                let opened = nodes.open(home, connect, Some(response));
                return Ok(Box::pin(opened).await?.into());
            }
            Self::Sentinels(sentinels) => {
                let asked: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async { sentinels.lock().await.async_get_client().await });
                // Asking Sentinels, and checking the master that they name, takes several connections.
                let answer = tokio::time::timeout(connect * 2, asked).await;
                answer.unwrap_or_else(|_| {
                    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                    Err(late.into())
                })?
            }
        };
        Ok(open_client(&client, connect, Some(response)).await?.into())
    }
}

/// Creates the client that asks Sentinels for their master.
fn sentinel_target(
    config: &RedisConfig,
    credentials: &Credentials,
    hosts: Result<Hosts, NotHosts>,
) -> Result<(Target, String), ConnectError> {
    let hosts = settings::with_login(config, credentials, hosts, sentinel::EXPECTED)?;
    let endpoint = hosts.endpoint(SENTINEL);
    let client = sentinel::client(config, credentials, hosts, settings::tcp_settings());
    let client = client.map_err(|source| ConnectError::Url {
        url: config.url.clone(),
        source,
    })?;
    let client = Arc::new(tokio::sync::Mutex::new(client));
    Ok((Target::Sentinels(client), endpoint))
}

/// Creates the list of a cluster's nodes.
fn cluster_target(
    config: &RedisConfig,
    credentials: &Credentials,
    hosts: Result<Hosts, NotHosts>,
) -> Result<(Target, String), ConnectError> {
    let expected = "expected redis+cluster://host:port,host:port";
    let without_path = |hosts: Hosts| hosts.path.is_empty().then_some(hosts).ok_or(NotHosts);
    let hosts = hosts.and_then(without_path);
    let hosts = settings::with_login(config, credentials, hosts, expected)?;
    let endpoint = hosts.endpoint(CLUSTER);
    let nodes = Nodes::new(config, credentials, hosts, settings::tcp_settings());
    Ok((Target::Cluster(Box::new(nodes)), endpoint))
}
