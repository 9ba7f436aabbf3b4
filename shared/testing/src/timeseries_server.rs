//! A stand-in for Redis with time series (TS.*), which Debian's `redis-server` lacks.
//!
//! It runs fakeredis in Python: right for what commands mean, useless for speed, and without
//! INFO, CONFIG GET and WAIT. Streams and failures are better tested against [`RedisServer`].
//!
//! [`RedisServer`]: crate::RedisServer

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::free_port;
use crate::process::{KillOnDrop, wait_for_ping};

const SCRIPT: &str = include_str!("timeseries_server.py");

/// Path of the Python with fakeredis that CI installs, below the workspace root.
const CI_PYTHON: &str = ".ci-cache/venv/bin/python3";

/// A running stand-in, killed when dropped.
#[derive(Debug)]
pub struct TimeSeriesServer {
    port: u16,
    _process: KillOnDrop,
}

impl TimeSeriesServer {
    /// Starts a server.
    ///
    /// The Python is `RACKWATCH_TEST_PYTHON`, else the one CI installs, else `python3`.
    ///
    /// # Errors
    ///
    /// When that Python has no fakeredis, or the server does not answer in time.
    pub fn start() -> Result<Self> {
        let python = python();
        let port = free_port()?;
        let mut process = KillOnDrop::spawn(
            Command::new(&python)
                .args(["-c", SCRIPT, &port.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit()),
        )?;
        wait_for_ping(&mut process, "the fakeredis server", port).with_context(|| {
            format!(
                "start the time series stand-in with {} (needs fakeredis; name a Python that has \
                 it in RACKWATCH_TEST_PYTHON)",
                python.display()
            )
        })?;
        Ok(Self {
            port,
            _process: process,
        })
    }

    /// Returns its address as a URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn python() -> PathBuf {
    if let Some(named) = env::var_os("RACKWATCH_TEST_PYTHON") {
        return named.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|directory| directory.join(CI_PYTHON))
        .find(|python| python.exists())
        .unwrap_or_else(|| "python3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_time_series() {
        let server = TimeSeriesServer::start().unwrap();
        let mut connection = redis::Client::open(server.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let at: i64 = redis::cmd("TS.ADD")
            .arg(&["series", "1000", "21.5"])
            .query(&mut connection)
            .unwrap();
        assert_eq!(at, 1000);
    }
}
