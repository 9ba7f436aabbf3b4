//! Servers that speak TLS only to clients with a certificate of their authority: one, one behind a Sentinel, and a
//! cluster of one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::cmd;
use tempfile::TempDir;

use crate::process::{KillOnDrop, wait_for_ping};
use crate::{Certificates, RedisServer, free_port, wait_until_sync};

/// Name that the Sentinel gives the master.
const MASTER: &str = "racks";
const SOON: Duration = Duration::from_secs(30);

/// The user of a [`SecuredRedis::sentinel`], and its password.
pub const SENTINEL_USER: (&str, &str) = ("watcher", "sentinel-pw");

/// A running server that asks for certificates, and its Sentinel if it has one.
#[derive(Debug)]
pub struct SecuredRedis {
    server: RedisServer,
    url: String,
    _sentinel: Option<(KillOnDrop, TempDir)>,
}

impl SecuredRedis {
    /// Starts one server.
    ///
    /// # Errors
    ///
    /// When `redis-server` is not installed, or was built without TLS.
    pub fn single(certificates: &Certificates) -> Result<Self> {
        let (server, tls_port) = server(certificates, &[])?;
        Ok(Self {
            server,
            url: format!("rediss://127.0.0.1:{tls_port}"),
            _sentinel: None,
        })
    }

    /// Starts a cluster of one master.
    ///
    /// # Errors
    ///
    /// As [`SecuredRedis::single`].
    pub fn cluster(certificates: &Certificates) -> Result<Self> {
        let bus = free_port()?.to_string();
        let args = [
            "--cluster-enabled",
            "yes",
            "--tls-cluster",
            "yes",
            "--cluster-port",
            &bus,
        ];
        let (server, tls_port) = server(certificates, &args)?;
        let mut connection = server.client().get_connection()?;
        let mut slots = cmd("CLUSTER");
        slots.arg(&["ADDSLOTSRANGE", "0", "16383"]);
        slots.exec(&mut connection).context("assign the slots")?;
        wait_until_sync(SOON, "the cluster is well", || {
            let info: String = cmd("CLUSTER").arg("INFO").query(&mut connection).ok()?;
            info.contains("cluster_state:ok").then_some(())
        })?;
        Ok(Self {
            server,
            url: format!("rediss+cluster://127.0.0.1:{tls_port}"),
            _sentinel: None,
        })
    }

    /// Starts a master and a Sentinel that only [`SENTINEL_USER`] may ask.
    ///
    /// # Errors
    ///
    /// As [`SecuredRedis::single`].
    pub fn sentinel(certificates: &Certificates) -> Result<Self> {
        let (server, master_port) = server(certificates, &[])?;
        let directory = TempDir::new().context("create the Sentinel's directory")?;
        let (port, tls_port) = (free_port()?, free_port()?);
        let (user, password) = SENTINEL_USER;
        let file = directory.path().join("sentinel.conf");
        let tls: Vec<String> = tls_args(certificates, tls_port)
            .chunks(2)
            .map(|pair| format!("{}\n", pair.join(" ").trim_start_matches("--")))
            .collect();
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n{}tls-replication yes\n\
             sentinel monitor {MASTER} 127.0.0.1 {master_port} 1\nuser default off\n\
             user {user} on >{password} allchannels +@all\n",
            directory.path().display(),
            tls.concat()
        );
        fs::write(&file, text).context("write the Sentinel's configuration")?;
        let mut process = KillOnDrop::spawn(&mut sentinel_command(&file))?;
        wait_for_ping(&mut process, "the Sentinel", port)?;
        let all = Self {
            server,
            url: format!("rediss+sentinel://127.0.0.1:{tls_port}/{MASTER}"),
            _sentinel: Some((process, directory)),
        };
        wait_until_sync(SOON, "the Sentinel reaches the master", || {
            reaches_master(port).ok()
        })?;
        Ok(all)
    }

    /// Returns the address for clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the server; its own port needs no certificate.
    pub fn server(&mut self) -> &mut RedisServer {
        &mut self.server
    }
}

/// Starts a server with a port for TLS. Returns it and that port.
fn server(certificates: &Certificates, args: &[&str]) -> Result<(RedisServer, u16)> {
    let port = free_port()?;
    let tls = tls_args(certificates, port);
    let all: Vec<&str> = tls
        .iter()
        .map(String::as_str)
        .chain(args.iter().copied())
        .collect();
    let server = RedisServer::start_with(&all)?;
    ensure!(server.port() != port, "both ports are the same");
    Ok((server, port))
}

/// Returns the arguments for TLS on `port`, in pairs.
fn tls_args(certificates: &Certificates, port: u16) -> Vec<String> {
    let path = |path: std::path::PathBuf| path.display().to_string();
    [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", path(certificates.certificate())),
        ("--tls-key-file", path(certificates.key())),
        ("--tls-ca-cert-file", path(certificates.ca())),
        ("--tls-auth-clients", "yes".to_owned()),
    ]
    .into_iter()
    .flat_map(|(key, value)| [key.to_owned(), value])
    .collect()
}

fn sentinel_command(config: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command.arg(config).arg("--sentinel");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn reaches_master(port: u16) -> Result<()> {
    let (user, password) = SENTINEL_USER;
    let client = redis::Client::open(format!("redis://{user}:{password}@127.0.0.1:{port}"))?;
    let mut connection = client.get_connection()?;
    let mut master = cmd("SENTINEL");
    master.arg("MASTER").arg(MASTER);
    let master: std::collections::HashMap<String, String> = master.query(&mut connection)?;
    ensure!(
        master.get("flags").is_some_and(|flags| flags == "master") && master.contains_key("runid"),
        "the Sentinel has not reached it"
    );
    Ok(())
}
