//! A master that moves: Sentinels name its address each time a connection is opened.
//!
//! `redis+sentinel://host:port,host:port/master` (`rediss+sentinel://` for TLS), with the user and the
//! password of the master before an `@`, and a database behind another `/`. Sentinels have a user and a password of
//! their own, if they ask for one.

use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult, TlsMode};

use super::credentials::Credentials;
use super::hosts::Hosts;
use crate::config::RedisConfig;

/// Default port of a Sentinel.
pub(super) const PORT: u16 = 26379;
/// Form of the address, for errors.
pub(super) const EXPECTED: &str = "expected redis+sentinel://host:port,host:port/master";

/// Creates the client; connects nowhere yet.
pub(super) fn client(
    config: &RedisConfig,
    credentials: &Credentials,
    sentinels: Hosts,
    tcp: TcpSettings,
) -> RedisResult<SentinelClient> {
    let (master, database) = master(&sentinels.path)
        .ok_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, EXPECTED)))?;
    let address = |(host, port): (String, u16)| {
        if sentinels.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: config.tls_insecure,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    };
    let hosts: Vec<_> = sentinels.all.into_iter().map(address).collect();
    let mut builder = SentinelClientBuilder::new(hosts, master, SentinelServerType::Master)?
        .set_client_to_redis_db(database)
        .set_client_to_redis_tcp_settings(tcp.clone())
        .set_client_to_sentinel_tcp_settings(tcp);
    if let Some(user) = sentinels.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = sentinels.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = &config.sentinel_username {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = &credentials.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if sentinels.tls {
        let mode = if config.tls_insecure {
            TlsMode::Insecure
        } else {
            TlsMode::Secure
        };
        builder = builder
            .set_client_to_redis_tls_mode(mode)
            .set_client_to_sentinel_tls_mode(mode);
        if let Some(certificates) = credentials.certificates() {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    builder.build()
}

/// Parses the name of the master, and the database behind another `/`.
fn master(path: &str) -> Option<(&str, i64)> {
    let (master, database) = path.split_once('/').unwrap_or((path, "0"));
    let database = database.parse().ok()?;
    (!master.is_empty()).then_some((master, database))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_master_and_database() {
        assert_eq!(master("racks/2"), Some(("racks", 2)));
        assert_eq!(master("racks"), Some(("racks", 0)));
        assert_eq!(master(""), None);
        assert_eq!(master("racks/x"), None);
    }
}
