//! `rackwatch-agent run`: publishes readings until it is stopped.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rackwatch_runtime::shutdown;
use tracing::info;

use super::settings::Settings;
use crate::app;

/// Read the configured sensors, by default those of this host, and publish them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-agent run --config /etc/rackwatch/agent.toml")]
pub(super) struct RunArgs {
    #[command(flatten)]
    settings: Settings,
}

impl RunArgs {
    pub(super) async fn execute(self) -> Result<ExitCode> {
        let (mut config, from) = self.settings.load()?;
        config.spool.use_state_directory();
        let from = from.map_or("built-in defaults".to_owned(), |file| {
            file.display().to_string()
        });
        info!(from, "loaded configuration");
        let stop = shutdown::on_signals()?;
        let sent = app::run(&config, stop).await?;
        let (entries, readings, dropped) = (sent.entries, sent.readings, sent.dropped);
        let (unsent, spooled) = (sent.unsent, sent.spooled);
        info!(entries, readings, dropped, unsent, spooled, "stopped");
        Ok(ExitCode::SUCCESS)
    }
}
