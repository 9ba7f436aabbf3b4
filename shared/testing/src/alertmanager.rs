//! A real Prometheus Alertmanager, Debian's.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{KillOnDrop, free_port};
use crate::{http_get, wait_until_sync};

/// Alertmanager on a port of its own, ended when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    port: u16,
    folder: TempDir,
    process: Option<KillOnDrop>,
}

impl Alertmanager {
    /// Starts one that groups by the severity, and notifies no receiver.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not start in time.
    pub fn start() -> Result<Self> {
        let mut made = Self {
            port: free_port()?,
            folder: TempDir::new()?,
            process: None,
        };
        made.run()?;
        Ok(made)
    }

    /// Ends it, and starts another in its place, which knows of nothing.
    ///
    /// # Errors
    ///
    /// When it does not start in time.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.folder = TempDir::new()?;
        self.run()
    }

    fn run(&mut self) -> Result<()> {
        let (folder, port) = (self.folder.path(), self.port);
        let file = folder.join("alertmanager.yml");
        let config = "route:\n  receiver: none\n  group_by: [severity]\n  group_wait: 0s\nreceivers:\n  - name: none\n";
        fs::write(&file, config)?;
        let debian = Path::new("/usr/bin/prometheus-alertmanager");
        let mut command = Command::new(if debian.exists() {
            debian
        } else {
            Path::new("alertmanager")
        });
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", folder.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg("--cluster.listen-address=");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let process = KillOnDrop::spawn(&mut command)
            .context("start Alertmanager (Debian's package prometheus-alertmanager)")?;
        self.process = Some(process);
        wait_until_sync(Duration::from_secs(20), "Alertmanager is ready", || {
            let (status, _) = http_get(port, "/-/ready").ok()?;
            (status == 200).then_some(())
        })?;
        Ok(())
    }

    /// Returns the address of the API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns its reply to a request.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<String> {
        let (status, body) = http_get(self.port, path)?;
        anyhow::ensure!(status == 200, "{path}: status {status}");
        Ok(body)
    }
}
