//! A private `redis-server` without persistence, on a free port and on a unix socket.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::free_port;
use crate::process::{KillOnDrop, wait_for_ping};

/// Tries to start with another port if another process took the free one.
const ATTEMPTS: u32 = 5;

/// A running (or, after [`RedisServer::stop`], stopped) `redis-server` of its own.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    args: Vec<String>,
    process: Option<KillOnDrop>,
}

impl RedisServer {
    /// Starts a server with default settings; `redis-server` has to be on the path.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not answer in time.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments, such as `&["--requirepass", "secret"]`.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`], and when it refuses the arguments.
    pub fn start_with(args: &[&str]) -> Result<Self> {
        let mut server = Self {
            port: 0,
            directory: TempDir::new().context("make the server's directory")?,
            args: args.iter().map(ToString::to_string).collect(),
            process: None,
        };
        for _ in 1..ATTEMPTS {
            server.port = free_port()?;
            if server.restart().is_ok() {
                return Ok(server);
            }
        }
        server.port = free_port()?;
        server.restart()?;
        Ok(server)
    }

    /// Returns its TCP address, without user and password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns its unix socket address.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Returns its TCP port, the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a client for it.
    ///
    /// # Panics
    ///
    /// Never with the address built here.
    pub fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).expect("an address built here is valid")
    }

    /// Kills it, as a crash would; its data is lost.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed.
    pub fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Stops it where it is, as a machine that hangs would, until [`RedisServer::resume`].
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.running()?.pause()
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.running()?.signal("CONT")
    }

    fn running(&self) -> Result<&KillOnDrop> {
        self.process.as_ref().context("the server does not run")
    }

    /// Starts it again, empty, with the same port, socket and arguments.
    ///
    /// # Errors
    ///
    /// When it does not answer in time, for example because another process took the port.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        let mut process = KillOnDrop::spawn(&mut self.command())?;
        wait_for_ping(&mut process, "redis-server", self.port)?;
        self.process = Some(process);
        Ok(())
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("redis.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.directory.path())
            .arg("--unixsocket")
            .arg(self.socket())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(url: &str) -> redis::RedisResult<String> {
        let mut connection = redis::Client::open(url)?.get_connection()?;
        redis::cmd("PING").query(&mut connection)
    }

    #[test]
    fn answers_on_both_sockets_and_survives_a_restart() {
        let mut server = RedisServer::start().unwrap();
        assert_eq!(ping(&server.url()).unwrap(), "PONG");
        assert_eq!(ping(&server.unix_url()).unwrap(), "PONG");

        server.stop().unwrap();
        ping(&server.url()).unwrap_err();

        server.restart().unwrap();
        assert_eq!(ping(&server.url()).unwrap(), "PONG");
    }

    #[test]
    fn takes_further_arguments() {
        let server = RedisServer::start_with(&["--requirepass", "secret"]).unwrap();
        ping(&server.url()).unwrap_err();
        assert_eq!(
            ping(&format!("redis://:secret@127.0.0.1:{}", server.port())).unwrap(),
            "PONG"
        );
    }
}
