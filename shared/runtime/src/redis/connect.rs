//! Opening connections, for as long as it takes.
//!
//! In: the `[redis]` section; out: connections that answered a PING. While Redis cannot be
//! reached, one line is logged when that begins, one when the reason changes and one when it
//! ends, however many tasks share the connector. Nothing is sent again: a command that was under
//! way when a connection broke is its sender's to repeat.

mod cluster;
mod hosts;
mod sentinel;

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rackwatch_core::keys::LAYOUT;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    TlsCertificates,
};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::error::ConnectError;
use super::outage::Outage;
use super::remedy::code;
use crate::backoff::{self, Backoff};
use crate::config::RedisConfig;
use crate::tls;
use cluster::Nodes;
use hosts::{Hosts, NotHosts};

/// Kinds of addresses with several hosts.
const SENTINEL: &str = "sentinel";
const CLUSTER: &str = "cluster";

/// What a connection is for, which decides how long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Commands that answer at once; may be shared by many tasks.
    Commands,
    /// A command that blocks up to this long (`BLOCK`). Everything sent behind it waits, so such
    /// a connection belongs to one reader.
    Blocking(Duration),
}

/// Opens connections to one Redis; cheap to clone, clones share what they log.
#[derive(Debug, Clone)]
pub struct Connector {
    target: Target,
    /// On a cluster the server that has this key is connected to first.
    home: Arc<str>,
    endpoint: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    backoff: Backoff,
    outage: Arc<Mutex<Outage>>,
}

/// Where connections lead.
#[derive(Clone)]
enum Target {
    /// To one address.
    Node(Box<Client>),
    /// To the master that Sentinels name.
    Sentinels(Arc<tokio::sync::Mutex<SentinelClient>>),
    /// To all masters of a cluster.
    Cluster(Box<Nodes>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Clients know passwords.
        f.write_str(match self {
            Self::Node(_) => "Node",
            Self::Sentinels(_) => "Sentinels",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Connector {
    /// Checks the settings and reads the files they name; connects nowhere yet.
    ///
    /// # Errors
    ///
    /// When the address is none, or a file cannot be read or used.
    pub fn new(config: &RedisConfig) -> Result<Self, ConnectError> {
        tls::choose_provider();
        let url = config.url.expose();
        let (target, endpoint) = if let Some(hosts) = Hosts::parse(url, SENTINEL, sentinel::PORT) {
            by_sentinels(config, hosts)?
        } else if let Some(hosts) = Hosts::parse(url, CLUSTER, cluster::PORT) {
            in_cluster(config, hosts)?
        } else {
            let info = connection_info(config)?;
            let endpoint = endpoint(&info);
            (Target::Node(Box::new(client(config, info)?)), endpoint)
        };
        Ok(Self {
            target,
            home: LAYOUT.into(),
            endpoint,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            backoff: Backoff::new(config.backoff_min, config.backoff_max),
            outage: Arc::default(),
        })
    }

    /// Where it connects to, without user and password.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Whether it leads to a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.target, Target::Cluster(_))
    }

    /// The same, for a task that needs the server that has `key` before all others: on a cluster
    /// the connection is good when that one answers.
    #[must_use]
    pub fn at(&self, key: &str) -> Self {
        Self {
            home: key.into(),
            ..self.clone()
        }
    }

    /// Connects, logs in and waits for the answer to a PING; one try.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached, refuses, or is not ready yet.
    pub async fn open(&self, purpose: Purpose) -> Result<Connection, ConnectError> {
        self.try_open(purpose)
            .await
            .map_err(|source| ConnectError::sort(&self.endpoint, source))
    }

    /// Tries until it has a connection; `None` when `stop` was cancelled first.
    pub async fn open_until(
        &self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Option<Connection> {
        let opened = stop.run_until_cancelled(self.open_for_ever(purpose)).await;
        if opened.is_none() {
            self.note(|outage| outage.given_up(&self.home));
        }
        opened
    }

    async fn open_for_ever(&self, purpose: Purpose) -> Connection {
        let mut backoff = self.backoff.clone();
        loop {
            match self.open(purpose).await {
                Ok(connection) => {
                    self.note(|outage| outage.ended(&self.home, &self.endpoint));
                    return connection;
                }
                Err(error) => self.note(|outage| outage.failed(&self.home, &error)),
            }
            tokio::time::sleep(backoff.next_jittered(backoff::random())).await;
        }
    }

    async fn try_open(&self, purpose: Purpose) -> redis::RedisResult<Connection> {
        let response_timeout = match purpose {
            Purpose::Commands => self.response_timeout,
            Purpose::Blocking(block) => block.saturating_add(self.response_timeout),
        };
        let connect_timeout = self.connect_timeout;
        let client = match &self.target {
            Target::Node(client) => Client::clone(client),
            Target::Cluster(nodes) => {
                // Boxed: it is a large future, and part of every other that connects.
                let opened = nodes.open(&self.home, connect_timeout, Some(response_timeout));
                return Ok(Box::pin(opened).await?.into());
            }
            Target::Sentinels(sentinels) => {
                let asked: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async { sentinels.lock().await.async_get_client().await });
                // Each of them may take its time.
                let limit = connect_timeout * 2;
                tokio::time::timeout(limit, asked)
                    .await
                    .unwrap_or_else(|_| {
                        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        Err(late.into())
                    })?
            }
        };
        let opened = open_client(&client, connect_timeout, Some(response_timeout)).await?;
        Ok(opened.into())
    }

    /// Redis answers, but refuses what it is sent: logged when it begins, and for each new reason.
    pub fn refused(&self, error: &redis::RedisError) {
        if let Some(code) = code(error) {
            self.note(|outage| outage.refused(&self.home, &code, error));
        }
    }

    /// Redis takes what it is sent.
    pub fn accepted(&self) {
        self.note(|outage| outage.accepted(&self.home));
    }

    fn note(&self, change: impl FnOnce(&mut Outage)) {
        change(&mut self.outage.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A connection that answered a PING. Connecting may take as long as `connect`, each answer after
/// that as long as `response`.
async fn open_client(
    client: &Client,
    connect: Duration,
    response: Option<Duration>,
) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(connect));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    // Without a password, and while Redis loads its data, only a command tells.
    redis::cmd("PING").exec_async(&mut connection).await?;
    if let Some(response) = response {
        connection.set_response_timeout(response);
    }
    Ok(connection)
}

/// Hosts with the user and password to use there, and the CA. Those of `config` win over the
/// address's.
fn several(
    config: &RedisConfig,
    hosts: Result<Hosts, NotHosts>,
    expected: &'static str,
) -> Result<(Hosts, Option<Vec<u8>>), ConnectError> {
    let mut hosts = hosts.map_err(|NotHosts| ConnectError::Url {
        url: config.url.clone(),
        source: (redis::ErrorKind::InvalidClientConfig, expected).into(),
    })?;
    if !hosts.tls {
        tls_unused(config)?;
    }
    let ca = config.ca_file.as_deref();
    let ca = ca.map(|file| read("redis.ca_file", file)).transpose()?;
    hosts.user = config.username.clone().or(hosts.user);
    hosts.password = password(config)?.or(hosts.password);
    Ok((hosts, ca))
}

/// What Sentinels need to be asked, and their endpoint.
fn by_sentinels(
    config: &RedisConfig,
    hosts: Result<Hosts, NotHosts>,
) -> Result<(Target, String), ConnectError> {
    let (hosts, ca) = several(config, hosts, sentinel::EXPECTED)?;
    let endpoint = hosts.endpoint(SENTINEL);
    let client = sentinel::client(config, hosts, ca, tcp_settings());
    let client = client.map_err(|source| ConnectError::Url {
        url: config.url.clone(),
        source,
    })?;
    let client = Arc::new(tokio::sync::Mutex::new(client));
    Ok((Target::Sentinels(client), endpoint))
}

/// What the nodes of a cluster need to be asked, and their endpoint.
fn in_cluster(
    config: &RedisConfig,
    hosts: Result<Hosts, NotHosts>,
) -> Result<(Target, String), ConnectError> {
    let expected = "expected redis+cluster://host:port,host:port";
    let not_a_path = |hosts: Hosts| hosts.path.is_empty().then_some(hosts).ok_or(NotHosts);
    let (hosts, ca) = several(config, hosts.and_then(not_a_path), expected)?;
    let endpoint = hosts.endpoint(CLUSTER);
    let nodes = Nodes::new(config, hosts, ca, tcp_settings());
    Ok((Target::Cluster(Box::new(nodes)), endpoint))
}

/// TLS settings make no sense with an address that does not use TLS.
fn tls_unused(config: &RedisConfig) -> Result<(), ConnectError> {
    let key = match (&config.ca_file, config.tls_insecure) {
        (Some(_), _) => "redis.ca_file",
        (None, true) => "redis.tls_insecure",
        (None, false) => return Ok(()),
    };
    Err(ConnectError::TlsUnused {
        key,
        url: config.url.clone(),
    })
}

/// The configured password, where there is one beside the address's.
fn password(config: &RedisConfig) -> Result<Option<String>, ConnectError> {
    if let Some(file) = &config.password_file {
        let text = read("redis.password_file", file)?;
        let text = String::from_utf8_lossy(&text);
        return Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()));
    }
    Ok(config
        .password
        .as_ref()
        .map(|password| password.expose().to_owned()))
}

fn tcp_settings() -> TcpSettings {
    // Small commands would wait for each other's acknowledgement otherwise.
    TcpSettings::default().set_nodelay(true)
}

/// The address with the user, password and TCP settings to use.
fn connection_info(config: &RedisConfig) -> Result<ConnectionInfo, ConnectError> {
    let info = (config.url.expose())
        .into_connection_info()
        .map_err(|source| ConnectError::Url {
            url: config.url.clone(),
            source,
        })?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &config.username {
        login = login.set_username(username);
    }
    if let Some(password) = password(config)? {
        login = login.set_password(password);
    }
    Ok(info
        .set_redis_settings(login)
        .set_tcp_settings(tcp_settings()))
}

fn client(config: &RedisConfig, info: ConnectionInfo) -> Result<Client, ConnectError> {
    let unusable = |source| ConnectError::Url {
        url: config.url.clone(),
        source,
    };
    let ConnectionAddr::TcpTls {
        host,
        port,
        insecure,
        ..
    } = info.addr().clone()
    else {
        tls_unused(config)?;
        return Client::open(info).map_err(unusable);
    };
    let insecure = insecure || config.tls_insecure;
    let info = info.set_addr(ConnectionAddr::TcpTls {
        host,
        port,
        insecure,
        tls_params: None,
    });
    let Some(file) = &config.ca_file else {
        return Client::open(info).map_err(unusable);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(read("redis.ca_file", file)?),
    };
    Client::build_with_tls(info, certificates).map_err(|source| ConnectError::CaFile {
        file: file.clone(),
        source,
    })
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(file).map_err(|source| ConnectError::File {
        key,
        file: file.to_owned(),
        source,
    })
}

fn endpoint(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        ConnectionAddr::Unix(_) => "redis+unix",
        _ => "redis",
    };
    format!("{scheme}://{}", info.addr())
}

#[cfg(test)]
mod tests;
