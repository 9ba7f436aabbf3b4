//! A BMC that speaks Redfish, on HTTPS with a certificate of its own authority.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::KillOnDrop;
use crate::{Certificates, free_port, wait_until_sync};

const SCRIPT: &str = include_str!("redfish_server.py");

/// A running BMC, ended when dropped.
#[derive(Debug)]
pub struct RedfishServer {
    port: u16,
    folder: TempDir,
    certificates: Certificates,
    _process: KillOnDrop,
}

impl RedfishServer {
    /// Name of the user that may log in.
    pub const USER: &str = "monitor";
    /// Password of that user.
    pub const PASSWORD: &str = "hush-hush";

    /// Starts one with these documents: a JSON object from paths to documents.
    ///
    /// # Errors
    ///
    /// When there is no `python3` or no `openssl`, or it does not answer in time.
    pub fn start(documents: &str) -> Result<Self> {
        let (port, folder) = (free_port()?, TempDir::new()?);
        let certificates = Certificates::create()?;
        let tree = folder.path().join("tree.json");
        fs::write(&tree, documents)?;
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT, &port.to_string()]).arg(&tree);
        command
            .arg(certificates.certificate())
            .arg(certificates.key());
        command.args([Self::USER, Self::PASSWORD]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = KillOnDrop::spawn(&mut command).context("start the Redfish server")?;
        let server = Self {
            port,
            folder,
            certificates,
            _process: process,
        };
        wait_until_sync(
            Duration::from_secs(20),
            "the Redfish server listens",
            || std::net::TcpStream::connect(("127.0.0.1", port)).ok(),
        )?;
        Ok(server)
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of the authority that signed its certificate (PEM).
    pub fn ca(&self) -> PathBuf {
        self.certificates.ca()
    }

    /// Returns the SHA-256 of its certificate, as `openssl` prints it.
    ///
    /// # Errors
    ///
    /// When `openssl` reports an error.
    pub fn fingerprint(&self) -> Result<String> {
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(self.certificates.certificate())
            .output()?;
        let output = String::from_utf8(output.stdout)?;
        let (_, fingerprint) = output.trim().split_once('=').context("a fingerprint")?;
        Ok(fingerprint.to_owned())
    }

    /// Serves other documents from now on.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn serve(&self, documents: &str) -> Result<()> {
        // In one step: it may be reading.
        let new = self.folder.path().join("new.json");
        fs::write(&new, documents)?;
        fs::rename(new, self.folder.path().join("tree.json"))?;
        Ok(())
    }
}
