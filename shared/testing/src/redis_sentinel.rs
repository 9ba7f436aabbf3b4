//! A master, a replica and three Sentinels that watch them, all private.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{KillOnDrop, wait_for_ping};
use crate::{RedisServer, free_port, wait_until_sync};

/// Name that the Sentinels give the master.
const MASTER: &str = "racks";
const SOON: Duration = Duration::from_secs(30);

/// Running servers, which stop when dropped.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The initial master and its replica.
    servers: [RedisServer; 2],
    sentinels: Vec<(u16, KillOnDrop)>,
    _directory: TempDir,
}

impl RedisSentinel {
    /// Starts all of them, and waits until the replica follows and the Sentinels know each other.
    ///
    /// # Errors
    ///
    /// When `redis-server` is not installed, or they do not find each other in time.
    pub fn start() -> Result<Self> {
        let master = RedisServer::start()?;
        let port = master.port().to_string();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port])?;
        let directory = TempDir::new().context("create the Sentinels' directory")?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let port = free_port()?;
            let folder = directory.path().join(port.to_string());
            fs::create_dir(&folder).context("create a Sentinel's directory")?;
            let config = folder.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {MASTER} 500\n\
                 sentinel failover-timeout {MASTER} 3000\n",
                folder.display(),
                master.port()
            );
            fs::write(&config, text).context("write a Sentinel's configuration")?;
            let mut command = Command::new("redis-server");
            command.arg(&config).arg("--sentinel");
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let mut process = KillOnDrop::spawn(&mut command)?;
            wait_for_ping(&mut process, "a Sentinel", port)?;
            sentinels.push((port, process));
        }
        let all = Self {
            servers: [master, replica],
            sentinels,
            _directory: directory,
        };
        wait_until_sync(
            SOON,
            "the Sentinels know each other and the replica",
            || {
                all.sentinels
                    .iter()
                    .all(|(port, _)| knows_all(*port))
                    .then_some(())
            },
        )?;
        Ok(all)
    }

    /// Returns the address that names the Sentinels.
    pub fn url(&self) -> String {
        let hosts = self
            .sentinels
            .iter()
            .map(|(port, _)| format!("127.0.0.1:{port}"));
        format!(
            "redis+sentinel://{}/{MASTER}",
            hosts.collect::<Vec<_>>().join(",")
        )
    }

    /// Returns the server that is the master at the start.
    pub fn initial_master(&mut self) -> &mut RedisServer {
        &mut self.servers[0]
    }

    /// Returns the server that is the replica at the start.
    pub fn initial_replica(&mut self) -> &mut RedisServer {
        &mut self.servers[1]
    }
}

fn knows_all(port: u16) -> bool {
    let known = || -> redis::RedisResult<bool> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
        let mut connection = client.get_connection()?;
        let mut master = redis::cmd("SENTINEL");
        master.arg("MASTER").arg(MASTER);
        let master: std::collections::HashMap<String, String> = master.query(&mut connection)?;
        let number = |name: &str| master.get(name).and_then(|text| text.parse::<u32>().ok());
        Ok(number("num-slaves") == Some(1) && number("num-other-sentinels") == Some(2))
    };
    known().unwrap_or(false)
}
