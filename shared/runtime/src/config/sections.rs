//! The sections both programs have: `[redis]` and `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::secret::{RedisUrl, Secret};

/// How to reach Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://host:port/db`, `rediss://` for TLS or `redis+unix:///path`; default
    /// `redis://127.0.0.1:6379`.
    pub url: RedisUrl,
    /// The user; overrides the one in `url`.
    pub username: Option<String>,
    /// A file that holds the password and nothing else (an ending line feed is left out);
    /// overrides `password` and the one in `url`.
    pub password_file: Option<PathBuf>,
    /// The password; better kept in a file or in `RACKWATCH_REDIS__PASSWORD`.
    pub password: Option<Secret>,
    /// A PEM file with the authorities to trust for `rediss://`; by default those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether to accept any certificate: for trying things out, it protects from nobody.
    pub tls_insecure: bool,
    /// How long connecting and logging in may take; default 2 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long an answer may take, on top of the time a command blocks by its own wish; default
    /// 5 s.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// The wait after a first failed try to connect; default 100 ms.
    #[serde(with = "duration")]
    pub backoff_min: Duration,
    /// The longest wait between tries to connect; default 5 s.
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

/// How to log; logs go to stderr.
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
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}
