//! Redis Cluster: each new connection first reads the map of slots from any node.
//!
//! `redis+cluster://host:port,host:port` (`rediss+cluster://` for TLS), with user and password before
//! an `@`. One host that answers is enough; the others are learned from it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult, TlsCertificates,
};

use super::credentials::Credentials;
use super::hosts::Hosts;
use super::node::open_client;
use crate::config::RedisConfig;
use crate::redis::cluster::{Address, Cluster, OpenNode};

/// Default port of a node.
pub(super) const PORT: u16 = 6379;
/// Maximum number of nodes to remember: the largest cluster that Redis supports.
const MAX_KNOWN: usize = 1_000;

/// The nodes of a cluster, and the settings to connect to each.
#[derive(Clone)]
pub(super) struct Nodes {
    login: RedisConnectionInfo,
    tcp: TcpSettings,
    tls: Option<Tls>,
    /// The configured addresses, which are never dropped.
    configured: Arc<[Address]>,
    /// Addresses in the order in which to ask them.
    known: Arc<Mutex<Vec<Address>>>,
}

#[derive(Clone)]
struct Tls {
    insecure: bool,
    certificates: Option<TlsCertificates>,
}

/// Opens the node connections of one connection to the cluster.
#[derive(Clone)]
struct Opener {
    nodes: Nodes,
    connect: Duration,
    response: Option<Duration>,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It holds the password.
        f.write_str("Opener")
    }
}

impl Nodes {
    /// Creates the list of nodes at `hosts`; connects nowhere yet.
    pub(super) fn new(
        config: &RedisConfig,
        credentials: &Credentials,
        hosts: Hosts,
        tcp: TcpSettings,
    ) -> Self {
        let mut login = RedisConnectionInfo::default();
        if let Some(user) = hosts.user {
            login = login.set_username(user);
        }
        if let Some(password) = hosts.password {
            login = login.set_password(password);
        }
        let tls = hosts.tls.then_some(Tls {
            insecure: config.tls_insecure,
            certificates: credentials.certificates(),
        });
        let address = |(host, port)| Address { host, port };
        let known: Vec<_> = hosts.all.into_iter().map(address).collect();
        Self {
            login,
            tcp,
            tls,
            configured: known.clone().into(),
            known: Arc::new(Mutex::new(known)),
        }
    }

    fn client(&self, node: &Address) -> RedisResult<Client> {
        let (host, port) = (node.host.clone(), node.port);
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(tls) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: tls.insecure,
                tls_params: None,
            },
        };
        let info = address
            .into_connection_info()?
            .set_redis_settings(self.login.clone())
            .set_tcp_settings(self.tcp.clone());
        let tls = self.tls.as_ref();
        match tls.and_then(|tls| tls.certificates.clone()) {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates),
        }
    }

    /// Reads the slots from one of the nodes and connects to the one that has the key `home`. `connect`
    /// and `response` are the timeouts of each connection and reply.
    pub(super) async fn open(
        &self,
        home: &str,
        connect: Duration,
        response: Option<Duration>,
    ) -> RedisResult<Cluster> {
        let opener = Opener {
            nodes: self.clone(),
            connect,
            response,
        };
        let mut failure = None;
        let known = self.known().clone();
        for node in known {
            // Starts with another node next time: a node cut off from the others may have an old map.
            self.known().rotate_left(1);
            let asked = async {
                let mut connection = opener.open(&node).await?;
                Cluster::ask(&mut connection, &node).await
            };
            match asked.await {
                Err(error) => failure = Some(error),
                Ok(slots) => {
                    let cluster = Cluster::open(slots, home, Arc::new(opener)).await?;
                    self.learn(cluster.nodes());
                    return Ok(cluster);
                }
            }
        }
        Err(failure.unwrap_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound).into()))
    }

    /// Adds nodes. The configured ones stay.
    fn learn(&self, nodes: &[Address]) {
        let mut known = self.known();
        for node in nodes {
            if !known.contains(node) {
                known.push(node.clone());
            }
        }
        bound(&mut known, &self.configured, MAX_KNOWN);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Address>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounds memory where nodes come and go under ever new addresses. Keeps the configured ones before all others.
fn bound(known: &mut Vec<Address>, configured: &[Address], max: usize) {
    if known.len() > max {
        known.sort_by_key(|node| !configured.contains(node));
        known.truncate(max.max(configured.len()));
    }
}

#[async_trait::async_trait]
impl OpenNode for Opener {
    async fn open(&self, node: &Address) -> RedisResult<MultiplexedConnection> {
        let client = self.nodes.client(node)?;
        open_client(&client, self.connect, self.response).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_nodes_are_never_dropped() {
        let node = |port| Address {
            host: "10.0.0.1".to_owned(),
            port,
        };
        let configured = [node(1), node(2)];
        // The order changes with each attempt.
        let mut known = vec![node(3), node(4), node(1), node(5), node(2)];
        bound(&mut known, &configured, 5);
        assert_eq!(known.len(), 5);
        bound(&mut known, &configured, 3);
        assert_eq!(known.len(), 3);
        assert!(configured.iter().all(|node| known.contains(node)));
    }
}
