//! Child processes that do not outlive their test, and the questions asked of small servers.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::wait_until_sync;

/// Time in which a server must answer its first PING, even on a busy machine.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(15);

/// Returns a port of 127.0.0.1 that was free a moment ago.
///
/// Another process can take it before the caller does, so a caller that binds it must be ready to try
/// again with another one.
///
/// # Errors
///
/// When no port can be bound at all.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind a free port of 127.0.0.1")?;
    Ok(listener.local_addr().context("read the bound port")?.port())
}

/// A child process, killed when dropped.
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) Child);

impl KillOnDrop {
    /// Starts `command` as a child process.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        let sent = sent.context("start kill")?;
        ensure!(sent.success(), "send SIG{signal} to {id}: {sent}");
        Ok(())
    }

    /// Pauses the process, and waits until every thread has stopped, which takes a while on a busy machine.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal("STOP")?;
        let tasks = format!("/proc/{}/task", self.0.id());
        wait_until_sync(START_DEADLINE, "every thread pauses", || {
            // Without /proc the signal has to suffice.
            let Ok(tasks) = fs::read_dir(&tasks) else {
                return Some(());
            };
            let mut states = tasks.filter_map(|task| {
                let stat = fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
                // After the name, which stands in brackets and may hold anything.
                stat.rsplit_once(") ")?.1.chars().next()
            });
            states.all(|state| state == 'T').then_some(())
        })
    }

    /// Kills the process and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.0.kill().context("kill the process")?;
        self.0.wait().context("wait for the killed process")?;
        Ok(())
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // It may be gone already, and a failing drop would hide the test's own failure.
        drop(self.kill());
    }
}

/// Waits until the server behind `child` answers a PING on `port`, in any words but LOADING.
pub(crate) fn wait_for_ping(child: &mut KillOnDrop, what: &str, port: u16) -> Result<()> {
    let answered = wait_until_sync(START_DEADLINE, &format!("{what} answers PING"), || {
        if let Ok(Some(status)) = child.0.try_wait() {
            return Some(Err(status));
        }
        ping(port).then_some(Ok(()))
    })?;
    match answered {
        Ok(()) => Ok(()),
        Err(status) => bail!("{what} on port {port} ended before it answered: {status}"),
    }
}

/// Returns whether the server replies to a PING. One that wants a password replies NOAUTH, which counts too.
fn ping(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut reply = [0; 16];
        let length = stream.read(&mut reply)?;
        let reply = &reply[..length];
        Ok(reply.starts_with(b"+PONG") || reply.starts_with(b"-NOAUTH"))
    };
    ask().unwrap_or(false)
}
