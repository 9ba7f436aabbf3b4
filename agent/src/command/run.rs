//! `rackwatch-agent run`: publishes until it is stopped.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rackwatch_runtime::shutdown;
use tracing::info;

use super::Settings;
use crate::app;

/// Read the configured sensors (without a configuration: what this host has) and publish them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-agent run --config /etc/rackwatch/agent.toml")]
pub(super) struct RunArgs {
    #[command(flatten)]
    settings: Settings,
}

impl RunArgs {
    pub(super) async fn execute(self) -> Result<ExitCode> {
        let (mut config, from) = self.settings.load()?;
        config.spool.or_state_directory();
        let from = from.map_or("the defaults".to_owned(), |file| file.display().to_string());
        info!(from, "configured");
        let stop = shutdown::on_signals()?;
        let sent = app::run(&config, stop).await?;
        let (entries, readings, dropped) = (sent.entries, sent.readings, sent.dropped);
        let (unsent, spooled) = (sent.unsent, sent.spooled);
        info!(entries, readings, dropped, unsent, spooled, "stopped");
        Ok(ExitCode::SUCCESS)
    }
}
