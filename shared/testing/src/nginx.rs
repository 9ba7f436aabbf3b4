//! A real nginx, Debian's `nginx-light`, as the proxy in front of a server.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{KillOnDrop, free_port};
use crate::{http_get, wait_until_sync};

const ATTEMPTS: usize = 3;
const SOON: Duration = Duration::from_secs(20);

/// nginx on a port of its own, without privileges, ended when dropped.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    _folder: TempDir,
    _process: KillOnDrop,
}

impl Nginx {
    /// Starts one whose only server has these `location` blocks.
    ///
    /// # Errors
    ///
    /// When it is not installed, refuses the configuration, or does not start in time.
    pub fn start(locations: &str) -> Result<Self> {
        for _ in 1..ATTEMPTS {
            // Another process may have taken the port meanwhile.
            if let Ok(started) = Self::try_start(locations) {
                return Ok(started);
            }
        }
        Self::try_start(locations)
    }

    fn try_start(locations: &str) -> Result<Self> {
        let port = free_port()?;
        let folder = TempDir::new().context("create nginx's folder")?;
        let prefix = folder.path().display().to_string();
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(port, &prefix, locations))?;
        let debian = Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if debian.exists() {
            debian
        } else {
            Path::new("nginx")
        });
        command.arg("-p").arg(&prefix).arg("-c").arg(&file);
        // Without it, nginx tries the log that it was built with.
        command.args(["-e", "stderr"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = KillOnDrop::spawn(&mut command)
            .context("start nginx (Debian's package nginx-light)")?;
        wait_until_sync(SOON, "nginx answers", || {
            if let Ok(Some(status)) = process.0.try_wait() {
                return Some(Err(status));
            }
            let (status, _) = http_get(port, "/nginx-is-ready").ok()?;
            (status == 204).then_some(Ok(()))
        })?
        .or_else(|status| bail!("nginx ended before it answered: {status}"))?;
        Ok(Self {
            port,
            _folder: folder,
            _process: process,
        })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of its server, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Returns a configuration that writes nowhere but below `prefix`, in one process.
fn configuration(port: u16, prefix: &str, locations: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = kinds.map(|kind| format!("{kind}_temp_path {prefix}/{kind};\n"));
    format!(
        "daemon off;\nmaster_process off;\npid {prefix}/nginx.pid;\nevents {{ worker_connections 512; }}\n\
         http {{\naccess_log off;\n{}server {{\nlisten 127.0.0.1:{port};\n\
         location = /nginx-is-ready {{ return 204; }}\n{locations}\n}}\n}}\n",
        folders.concat()
    )
}
