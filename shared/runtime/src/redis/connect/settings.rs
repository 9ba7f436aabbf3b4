//! The `[redis]` section turned into what the client library needs.

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::credentials::Credentials;
use super::hosts::{Hosts, NotHosts};
use crate::config::RedisConfig;
use crate::redis::error::ConnectError;

/// Completes the hosts of an address with the user and password of the settings, which win over those in the
/// address.
pub(super) fn with_login(
    config: &RedisConfig,
    credentials: &Credentials,
    hosts: Result<Hosts, NotHosts>,
    expected: &'static str,
) -> Result<Hosts, ConnectError> {
    let mut hosts = hosts.map_err(|NotHosts| ConnectError::Url {
        url: config.url.clone(),
        source: (redis::ErrorKind::InvalidClientConfig, expected).into(),
    })?;
    if hosts.tls {
        trust_is_clear(config.tls_insecure, config)?;
    } else {
        tls_unused(config)?;
    }
    hosts.user = config.username.clone().or(hosts.user);
    hosts.password = credentials.password.clone().or(hosts.password);
    Ok(hosts)
}

/// Refuses TLS settings for an address that does not use TLS.
fn tls_unused(config: &RedisConfig) -> Result<(), ConnectError> {
    let keys = [
        ("redis.ca_file", config.ca_file.is_some()),
        ("redis.client_cert_file", config.client_cert_file.is_some()),
        ("redis.tls_insecure", config.tls_insecure),
    ];
    match keys.into_iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(ConnectError::TlsUnused {
            key,
            url: config.url.clone(),
        }),
    }
}

/// Refuses an authority to trust where any certificate is accepted.
fn trust_is_clear(insecure: bool, config: &RedisConfig) -> Result<(), ConnectError> {
    if insecure && config.ca_file.is_some() {
        return Err(ConnectError::TlsContradiction);
    }
    Ok(())
}

/// Refuses settings of Sentinels for an address that names none.
pub(super) fn sentinels_unused(config: &RedisConfig) -> Result<(), ConnectError> {
    let file = config.sentinel_password_file.is_some();
    let password = file || config.sentinel_password.is_some();
    let keys = [
        (
            "redis.sentinel_username",
            config.sentinel_username.is_some(),
        ),
        ("redis.sentinel_password", password),
    ];
    match keys.into_iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(ConnectError::SentinelUnused {
            key,
            url: config.url.clone(),
        }),
    }
}

/// Returns the TCP settings of every connection.
pub(super) fn tcp_settings() -> TcpSettings {
    // Without it, small commands wait for each other's acknowledgement.
    TcpSettings::default().set_nodelay(true)
}

/// Returns the address with the user, password and TCP settings to use.
pub(super) fn connection_info(
    config: &RedisConfig,
    credentials: &Credentials,
) -> Result<ConnectionInfo, ConnectError> {
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
    if let Some(password) = &credentials.password {
        login = login.set_password(password);
    }
    Ok(info
        .set_redis_settings(login)
        .set_tcp_settings(tcp_settings()))
}

/// Creates the client of one address; connects nowhere yet.
pub(super) fn client(
    config: &RedisConfig,
    credentials: &Credentials,
    info: ConnectionInfo,
) -> Result<Client, ConnectError> {
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
    trust_is_clear(insecure, config)?;
    let info = info.set_addr(ConnectionAddr::TcpTls {
        host,
        port,
        insecure,
        tls_params: None,
    });
    let client = match credentials.certificates() {
        None => Client::open(info),
        Some(certificates) => Client::build_with_tls(info, certificates),
    };
    client.map_err(unusable)
}

/// Returns an address without user and password.
pub(super) fn endpoint(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        ConnectionAddr::Unix(_) => "redis+unix",
        _ => "redis",
    };
    format!("{scheme}://{}", info.addr())
}
