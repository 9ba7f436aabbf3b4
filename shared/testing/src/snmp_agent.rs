//! A device that speaks SNMP: net-snmp's `snmpd`, with numbers that a test says.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::KillOnDrop;
use crate::wait_until_sync;

/// A device on a UDP port of its own, ended when dropped.
#[derive(Debug)]
pub struct SnmpAgent {
    port: u16,
    _folder: TempDir,
    _process: KillOnDrop,
}

impl SnmpAgent {
    /// The community of v2c.
    pub const COMMUNITY: &str = "not-public";
    /// The user of v3, by SHA-256 and AES-128.
    pub const USER: &str = "monitor";
    /// Password for v3 authentication.
    pub const PASSWORD: &str = "auth-hush-hush";
    /// Password for v3 privacy.
    pub const PRIVACY: &str = "priv-hush-hush";

    /// Starts one with these integers, by object identifier.
    ///
    /// # Errors
    ///
    /// When `snmpd` is not installed, or does not start in time.
    pub fn start(numbers: &[(&str, i64)]) -> Result<Self> {
        let folder = TempDir::new()?;
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut text = format!(
            "agentAddress udp:127.0.0.1:{port}\nrocommunity {} 127.0.0.1\n\
             createUser {user} SHA-256 {} AES {}\nrouser {user} priv\n",
            Self::COMMUNITY,
            Self::PASSWORD,
            Self::PRIVACY,
            user = Self::USER,
        );
        for (oid, number) in numbers {
            writeln!(text, "override .{oid} integer {number}")?;
        }
        let file = folder.path().join("snmpd.conf");
        fs::write(&file, text)?;
        let log = folder.path().join("log");
        let system = Path::new("/usr/sbin/snmpd");
        let program = if system.exists() {
            system
        } else {
            Path::new("snmpd")
        };
        let mut command = Command::new(program);
        // In the foreground, with this configuration and no other.
        command.args(["-f", "-C", "-c"]).arg(&file);
        command.arg("-Lf").arg(&log);
        command.env("SNMP_PERSISTENT_DIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let process =
            KillOnDrop::spawn(&mut command).context("start snmpd (Debian's package snmpd)")?;
        wait_until_sync(Duration::from_secs(20), "snmpd listens", || {
            let log = fs::read_to_string(&log).ok()?;
            log.contains("NET-SNMP version").then_some(())
        })?;
        Ok(Self {
            port,
            _folder: folder,
            _process: process,
        })
    }

    /// Returns its UDP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
