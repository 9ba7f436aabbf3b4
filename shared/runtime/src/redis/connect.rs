//! Opening connections, for as long as it takes.
//!
//! In: the `[redis]` section; out: connections that answered a PING. While Redis cannot be
//! reached, one line is logged when that begins, one when the reason changes and one when it
//! ends, however many tasks share the connector. Nothing is sent again: a command that was under
//! way when a connection broke is its sender's to repeat.

mod sentinel;

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    TlsCertificates,
};
use tokio_util::sync::CancellationToken;

use super::error::ConnectError;
use super::outage::Outage;
use super::remedy::code;
use crate::backoff::{self, Backoff};
use crate::config::RedisConfig;
use sentinel::Sentinels;

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
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Clients know passwords.
        f.write_str(match self {
            Self::Node(_) => "Node",
            Self::Sentinels(_) => "Sentinels",
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
        install_tls_provider();
        let (target, endpoint) = if let Some(sentinels) = Sentinels::parse(config.url.expose()) {
            by_sentinels(config, sentinels)?
        } else {
            let info = connection_info(config)?;
            let endpoint = endpoint(&info);
            (Target::Node(Box::new(client(config, info)?)), endpoint)
        };
        Ok(Self {
            target,
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

    /// Connects, logs in and waits for the answer to a PING; one try.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached, refuses, or is not ready yet.
    pub async fn open(&self, purpose: Purpose) -> Result<MultiplexedConnection, ConnectError> {
        self.try_open(purpose)
            .await
            .map_err(|source| ConnectError::sort(&self.endpoint, source))
    }

    /// Tries until it has a connection; `None` when `stop` was cancelled first.
    pub async fn open_until(
        &self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Option<MultiplexedConnection> {
        stop.run_until_cancelled(self.open_for_ever(purpose)).await
    }

    async fn open_for_ever(&self, purpose: Purpose) -> MultiplexedConnection {
        let mut backoff = self.backoff.clone();
        loop {
            match self.open(purpose).await {
                Ok(connection) => {
                    self.note(|outage| outage.ended(&self.endpoint));
                    return connection;
                }
                Err(error) => self.note(|outage| outage.failed(&error)),
            }
            tokio::time::sleep(backoff.next_jittered(backoff::random())).await;
        }
    }

    async fn try_open(&self, purpose: Purpose) -> redis::RedisResult<MultiplexedConnection> {
        let response_timeout = match purpose {
            Purpose::Commands => self.response_timeout,
            Purpose::Blocking(block) => block.saturating_add(self.response_timeout),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.connect_timeout));
        let client = self.client().await?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        // Without a password, and while Redis loads its data, only a command tells.
        redis::cmd("PING").exec_async(&mut connection).await?;
        connection.set_response_timeout(response_timeout);
        Ok(connection)
    }

    /// The one address there is, or that of the master there is now.
    async fn client(&self) -> redis::RedisResult<Client> {
        match &self.target {
            Target::Node(client) => Ok(Client::clone(client)),
            Target::Sentinels(sentinels) => {
                // Boxed: it is a large future, and part of every other that connects.
                let asked: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async { sentinels.lock().await.async_get_client().await });
                // Each of them may take its time.
                let limit = self.connect_timeout * 2;
                tokio::time::timeout(limit, asked)
                    .await
                    .unwrap_or_else(|_| {
                        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        Err(late.into())
                    })
            }
        }
    }

    /// Redis answers, but refuses what it is sent: logged when it begins, and for each new reason.
    pub fn refused(&self, error: &redis::RedisError) {
        if let Some(code) = code(error) {
            self.note(|outage| outage.refused(&code, error));
        }
    }

    /// Redis takes what it is sent.
    pub fn accepted(&self) {
        self.note(Outage::accepted);
    }

    fn note(&self, change: impl FnOnce(&mut Outage)) {
        change(&mut self.outage.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What Sentinels need to be asked, and their endpoint.
fn by_sentinels(
    config: &RedisConfig,
    sentinels: redis::RedisResult<Sentinels>,
) -> Result<(Target, String), ConnectError> {
    let unusable = |source| ConnectError::Url {
        url: config.url.clone(),
        source,
    };
    let sentinels = sentinels.map_err(unusable)?;
    if !sentinels.is_tls() {
        tls_unused(config)?;
    }
    let ca = config.ca_file.as_deref();
    let ca = ca.map(|file| read("redis.ca_file", file)).transpose()?;
    let password = password(config)?;
    let client = sentinels.client(config, password.as_deref(), ca.as_deref(), tcp_settings());
    let client = Arc::new(tokio::sync::Mutex::new(client.map_err(unusable)?));
    Ok((Target::Sentinels(client), sentinels.endpoint()))
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

/// Names the cryptography to use before the first connection; rustls panics when it has to guess.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
    {
        tracing::debug!("somebody else chose the cryptography first");
    }
}

#[cfg(test)]
mod tests;
