//! Options that every subcommand has.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rackwatch_runtime::logging;

use crate::config::{self, AgentConfig};

/// Options for the configuration.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Configuration file; by default `/etc/rackwatch/agent.toml` if it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of Redis; overrides `RACKWATCH_REDIS_URL` and the configuration.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

impl Settings {
    /// Loads the configuration and starts logging. Also returns the file that was read.
    pub(super) fn load(&self) -> Result<(AgentConfig, Option<PathBuf>)> {
        let loaded = config::load(self.config.as_deref(), self.redis.as_deref())?;
        logging::init(&loaded.config.log)?;
        Ok((loaded.config, loaded.from))
    }
}
