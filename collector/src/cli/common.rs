//! Flags, results and exit codes that all commands share.

use std::path::PathBuf;

use clap::Args;
use rackwatch_runtime::config::RedisUrl;
use tokio_util::sync::CancellationToken;

use crate::config::CollectorConfig;
use crate::incidents::operator_actions::clean_text;

const REDIS_HELP: &str = "Redis address: redis://host:6379, rediss://host or redis+unix:///path \
    [default: $RACKWATCH_REDIS_URL, else redis.url of the configuration, else redis://127.0.0.1:6379]. \
    Put passwords in the configuration file";

/// Flags of every command that reads the configuration or connects to Redis.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Configuration file [default: /etc/rackwatch/collector.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "RACKWATCH_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Redis address; takes precedence over the environment and the configuration file
    #[arg(long, value_name = "URL", help = REDIS_HELP)]
    redis: Option<RedisUrl>,
}

impl Common {
    /// Loads the configuration, with the flags and the environment applied to it.
    pub(super) fn load(&self) -> Result<CollectorConfig, Failure> {
        CollectorConfig::load(self.config.as_deref(), self.redis.as_ref()).map_err(usage)
    }
}

/// Flag for the author of a silence, a maintenance window or an acknowledgement.
#[derive(Clone, Debug, Args)]
pub(super) struct AuthorArgs {
    /// Your name [default: user@host]
    #[arg(long, value_name = "NAME", value_parser = clean_text)]
    by: Option<String>,
}

impl AuthorArgs {
    /// Returns the given name, else `user@host`.
    pub(super) fn name(self) -> String {
        let given = self.by.filter(|name| !name.is_empty());
        given.unwrap_or_else(operator_name)
    }
}

/// Reason for which a command ends with an exit code other than 0.
#[derive(Debug)]
pub(super) enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(anyhow::Error),
    /// The command could not do its work: exit code 1.
    Failed(anyhow::Error),
    /// The command has already printed what is wrong: exit code 1.
    Reported,
    /// The pipeline is well, and something critical is open in the room: exit code 3.
    CriticalOpen,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// Returns the Redis error that caused this, if any.
    pub(super) fn redis(&self) -> Option<&redis::RedisError> {
        match self {
            Self::Usage(error) | Self::Failed(error) => error.downcast_ref(),
            Self::Reported | Self::CriticalOpen => None,
        }
    }
}

/// Result of a command.
pub(super) type Outcome = Result<(), Failure>;

/// Marks an error as one of usage or configuration.
pub(super) fn usage<E: Into<anyhow::Error>>(error: E) -> Failure {
    Failure::Usage(error.into())
}

/// Runs a command until `stop`. For commands that only read, or write once: dropping them is safe.
pub(super) async fn until_stopped(
    command: impl Future<Output = Outcome>,
    stop: CancellationToken,
) -> Outcome {
    stop.run_until_cancelled(command)
        .await
        .unwrap_or(Err(Failure::Reported))
}

/// Returns `user@host`, which other people see as the author of silences and acknowledgements.
pub(super) fn operator_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
    let user = user.unwrap_or_else(|_| "unknown".to_owned());
    match rackwatch_runtime::host::host_name() {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}
