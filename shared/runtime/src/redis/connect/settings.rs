//! The `[redis]` section turned into what the client library needs.

use std::fs;
use std::path::Path;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

use super::hosts::{Hosts, NotHosts};
use crate::config::RedisConfig;
use crate::redis::error::ConnectError;

/// Completes the hosts of an address with the user, password and CA of `config`, which win over those
/// in the address.
pub(super) fn with_login(
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

/// Refuses TLS settings for an address that does not use TLS.
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

/// Returns the password of the settings; none if only the address may have one.
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

/// Returns the TCP settings of every connection.
pub(super) fn tcp_settings() -> TcpSettings {
    // Without it, small commands wait for each other's acknowledgement.
    TcpSettings::default().set_nodelay(true)
}

/// Returns the address with the user, password and TCP settings to use.
pub(super) fn connection_info(config: &RedisConfig) -> Result<ConnectionInfo, ConnectError> {
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

/// Creates the client of one address; connects nowhere yet.
pub(super) fn client(config: &RedisConfig, info: ConnectionInfo) -> Result<Client, ConnectError> {
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

/// Returns an address without user and password.
pub(super) fn endpoint(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        ConnectionAddr::Unix(_) => "redis+unix",
        _ => "redis",
    };
    format!("{scheme}://{}", info.addr())
}
