//! The sections both programs have: `[redis]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::checked::{KeyError, KeyFault, one_of};
use super::duration;
use super::secret::{RedisUrl, Secret};

/// The connection to Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://host:port/db`, `rediss://` for TLS or `redis+unix:///path`; default
    /// `redis://127.0.0.1:6379`.
    pub url: RedisUrl,
    /// User; overrides the one in `url`.
    pub username: Option<String>,
    /// File that contains only the password, without a trailing line feed, instead of `password`;
    /// overrides the one in `url`.
    pub password_file: Option<PathBuf>,
    /// Password. Put it in a file or in `RACKWATCH_REDIS__PASSWORD` instead.
    pub password: Option<Secret>,
    /// PEM file with the authorities to trust for `rediss://`; by default those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate that this program shows to Redis, and its chain.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// User of the Sentinels; that of Redis is `username`.
    pub sentinel_username: Option<String>,
    /// File that contains only the password of the Sentinels, instead of `sentinel_password`.
    pub sentinel_password_file: Option<PathBuf>,
    /// Password of the Sentinels. Put it in a file or in `RACKWATCH_REDIS__SENTINEL_PASSWORD` instead.
    pub sentinel_password: Option<Secret>,
    /// Whether to accept any certificate, which gives no protection; default false.
    pub tls_insecure: bool,
    /// Timeout of connecting and logging in; default 2 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Timeout of a reply, in addition to the time that a command blocks on purpose; default 5 s.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Wait after the first failed attempt to connect; default 100 ms.
    #[serde(with = "duration")]
    pub backoff_min: Duration,
    /// Longest wait between two attempts to connect; default 5 s.
    #[serde(with = "duration")]
    pub backoff_max: Duration,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: RedisUrl::from("redis://127.0.0.1:6379"),
            username: None,
            password_file: None,
            password: None,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            sentinel_username: None,
            sentinel_password_file: None,
            sentinel_password: None,
            tls_insecure: false,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl RedisConfig {
    /// Checks that each password is set once, and that a client certificate has its key.
    ///
    /// # Errors
    ///
    /// When a password and its file are both set, or only one file of a client certificate.
    pub fn check(&self) -> Result<(), KeyError> {
        let password = ("password", self.password.is_some());
        let file = ("password_file", self.password_file.is_some());
        one_of("redis", password, file)?;
        let password = ("sentinel_password", self.sentinel_password.is_some());
        let file = self.sentinel_password_file.is_some();
        one_of("redis", password, ("sentinel_password_file", file))?;
        let (missing, given) = match (&self.client_cert_file, &self.client_key_file) {
            (Some(_), None) => ("client_key_file", "client_cert_file"),
            (None, Some(_)) => ("client_cert_file", "client_key_file"),
            _ => return Ok(()),
        };
        Err(KeyError {
            path: format!("redis.{missing}"),
            fault: KeyFault::Missing(format!("{given} needs it")),
        })
    }
}

/// Format and filter of log messages, which go to stderr.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or directives such as
    /// `info,rackwatch_runtime=debug`; default `info`. `RACKWATCH_LOG` overrides it.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            filter: "info".to_owned(),
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people to read.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}
