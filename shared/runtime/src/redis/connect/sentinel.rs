//! A master that moves: its address is asked of Sentinels, each time a connection is opened.
//!
//! `redis+sentinel://host:port,host:port/master` (`rediss+sentinel://` for TLS), with the user and the
//! password of the master before an `@`, and a database behind another `/`.

use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult, TlsCertificates, TlsMode};

use crate::config::RedisConfig;

/// The port that Sentinels listen on unless told otherwise.
const PORT: u16 = 26379;

/// An address of this kind, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sentinels {
    tls: bool,
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<(String, u16)>,
    master: String,
    database: i64,
}

impl Sentinels {
    /// None where the address is of another kind.
    pub(super) fn parse(url: &str) -> Option<RedisResult<Self>> {
        let (tls, rest) = match url.split_once("+sentinel://")? {
            ("redis", rest) => (false, rest),
            ("rediss", rest) => (true, rest),
            _ => return None,
        };
        Some(Self::parse_rest(tls, rest).ok_or_else(|| {
            RedisError::from((
                ErrorKind::InvalidClientConfig,
                "expected redis+sentinel://host:port,host:port/master",
            ))
        }))
    }

    fn parse_rest(tls: bool, rest: &str) -> Option<Self> {
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (login, rest),
            None => ("", rest),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (hosts, path) = rest.split_once('/')?;
        let (master, database) = path.split_once('/').unwrap_or((path, "0"));
        let host = |text: &str| match text.rsplit_once(':') {
            Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
            None => Some((text.to_owned(), PORT)),
        };
        let hosts: Vec<_> = hosts.split(',').map(host).collect::<Option<_>>()?;
        if master.is_empty() || hosts.iter().any(|(host, _)| host.is_empty()) {
            return None;
        }
        Some(Self {
            tls,
            user: given(user),
            password: given(password),
            hosts,
            master: master.to_owned(),
            database: database.parse().ok()?,
        })
    }

    /// Whether it speaks TLS, to Sentinels and master alike.
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Without user and password.
    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let hosts = self
            .hosts
            .iter()
            .map(|(host, port)| format!("{host}:{port}"));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!("{scheme}+sentinel://{hosts}/{}", self.master)
    }

    /// The client; connects nowhere yet. User and password of `config` win over the address's.
    pub(super) fn client(
        &self,
        config: &RedisConfig,
        password: Option<&str>,
        ca: Option<&[u8]>,
        tcp: TcpSettings,
    ) -> RedisResult<SentinelClient> {
        let address = |(host, port): &(String, u16)| {
            let host = host.clone();
            if self.tls {
                ConnectionAddr::TcpTls {
                    host,
                    port: *port,
                    insecure: config.tls_insecure,
                    tls_params: None,
                }
            } else {
                ConnectionAddr::Tcp(host, *port)
            }
        };
        let hosts: Vec<_> = self.hosts.iter().map(address).collect();
        let mut builder =
            SentinelClientBuilder::new(hosts, &self.master, SentinelServerType::Master)?
                .set_client_to_redis_db(self.database)
                .set_client_to_redis_tcp_settings(tcp.clone())
                .set_client_to_sentinel_tcp_settings(tcp);
        if let Some(user) = config.username.as_ref().or(self.user.as_ref()) {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = password.or(self.password.as_deref()) {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            let mode = if config.tls_insecure {
                TlsMode::Insecure
            } else {
                TlsMode::Secure
            };
            builder = builder
                .set_client_to_redis_tls_mode(mode)
                .set_client_to_sentinel_tls_mode(mode);
            if let Some(ca) = ca {
                let certificates = || TlsCertificates {
                    client_tls: None,
                    root_cert: Some(ca.to_vec()),
                };
                builder = builder
                    .set_client_to_redis_certificates(certificates())
                    .set_client_to_sentinel_certificates(certificates());
            }
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parsed = Sentinels::parse("redis+sentinel://ada:s3@a:1,b/racks/2")
            .unwrap()
            .unwrap();
        let expected = Sentinels {
            tls: false,
            user: Some("ada".to_owned()),
            password: Some("s3".to_owned()),
            hosts: vec![("a".to_owned(), 1), ("b".to_owned(), 26379)],
            master: "racks".to_owned(),
            database: 2,
        };
        assert_eq!(parsed, expected);
        assert_eq!(parsed.endpoint(), "redis+sentinel://a:1,b:26379/racks");
        let tls = Sentinels::parse("rediss+sentinel://a/racks")
            .unwrap()
            .unwrap();
        assert!(tls.is_tls() && tls.user.is_none() && tls.password.is_none());
        assert!(Sentinels::parse("redis://a:1").is_none());
        for wrong in [
            "redis+sentinel://a",
            "redis+sentinel:///racks",
            "redis+sentinel://a:x/racks",
        ] {
            Sentinels::parse(wrong).unwrap().unwrap_err();
        }
    }
}
