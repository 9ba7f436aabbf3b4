//! The sections both programs have: `[redis]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::checked::{KeyError, one_of};
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
            tls_insecure: false,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl RedisConfig {
    /// Checks that the password is set once.
    ///
    /// # Errors
    ///
    /// When both `password` and `password_file` are set.
    pub fn check(&self) -> Result<(), KeyError> {
        let password = ("password", self.password.is_some());
        one_of(
            "redis",
            password,
            ("password_file", self.password_file.is_some()),
        )
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
