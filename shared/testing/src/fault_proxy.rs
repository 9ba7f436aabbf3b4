//! A TCP proxy that fails as networks do: connections break, hang half open, or lose answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Interval at which a pump checks for the stop.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Forwards to one port of 127.0.0.1 until a fault is set; ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Connections of this number or an older one hang: nothing passes, nothing closes.
    frozen: AtomicU64,
    /// Connections of this number or an older one are closed.
    cut: AtomicU64,
    /// Connections of this number or an older one lose their answers.
    deaf: AtomicU64,
    /// The number of the newest connection.
    newest: AtomicU64,
}

impl FaultProxy {
    /// Starts a proxy before `port`.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the proxy")?;
        let own = listener.local_addr().context("read the bound port")?.port();
        listener
            .set_nonblocking(true)
            .context("set the listener up")?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, port, &accepting));
        Ok(Self { port: own, shared })
    }

    /// Returns a Redis address that leads through the proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Makes all open connections hang, as after a cable was pulled. New ones pass.
    pub fn freeze(&self) {
        self.mark(&self.shared.frozen);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.mark(&self.shared.cut);
    }

    /// Drops all answers on open connections; requests still arrive.
    pub fn lose_answers(&self) {
        self.mark(&self.shared.deaf);
    }

    fn mark(&self, up_to: &AtomicU64) {
        up_to.store(self.shared.newest.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            thread::park_timeout(LOOK_EVERY);
            continue;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // A server that is away refuses: so does its proxy.
        let Ok(server) = TcpStream::connect(address) else {
            continue;
        };
        let number = shared.newest.fetch_add(1, Ordering::SeqCst) + 1;
        for (from, to, answers) in [(&client, &server, false), (&server, &client, true)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                continue;
            };
            let shared = Arc::clone(shared);
            thread::spawn(move || pump(from, to, answers, number, &shared));
        }
    }
}

/// Copies one direction of a connection.
fn pump(mut from: TcpStream, mut to: TcpStream, answers: bool, number: u64, shared: &Shared) {
    let marked = |mark: &AtomicU64| number <= mark.load(Ordering::SeqCst);
    let mut buffer = vec![0; 64 * 1024];
    let usable =
        from.set_read_timeout(Some(LOOK_EVERY)).is_ok() && from.set_nonblocking(false).is_ok();
    while usable && !shared.stop.load(Ordering::SeqCst) && !marked(&shared.cut) {
        if marked(&shared.frozen) {
            thread::park_timeout(LOOK_EVERY);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) if answers && marked(&shared.deaf) => {}
            // It froze while this was read: lost on the way.
            Ok(_) if marked(&shared.frozen) => {}
            Ok(length) => {
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    // Either end may be closed already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use redis::ConnectionLike;

    use super::*;
    use crate::RedisServer;

    fn connection(proxy: &FaultProxy) -> redis::Connection {
        let client = redis::Client::open(proxy.url()).unwrap();
        let connection = client.get_connection().unwrap();
        connection
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        connection
    }

    #[test]
    fn it_passes_freezes_loses_answers_and_cuts() {
        let server = RedisServer::start().unwrap();
        let proxy = FaultProxy::before(server.port()).unwrap();
        let mut old = connection(&proxy);
        assert!(old.check_connection());
        proxy.lose_answers();
        let counted = redis::cmd("INCR").arg("n").query::<u64>(&mut old);
        counted.unwrap_err();
        let mut new = connection(&proxy);
        let n: u64 = redis::cmd("GET").arg("n").query(&mut new).unwrap();
        assert_eq!(n, 1, "it was done all the same");
        proxy.freeze();
        redis::cmd("INCR")
            .arg("n")
            .query::<u64>(&mut new)
            .unwrap_err();
        let mut new = connection(&proxy);
        let n: u64 = redis::cmd("GET").arg("n").query(&mut new).unwrap();
        assert_eq!(n, 1, "it never arrived");
        proxy.cut();
        let error = redis::cmd("GET")
            .arg("n")
            .query::<u64>(&mut new)
            .unwrap_err();
        assert!(!error.is_timeout(), "{error}");
        assert!(connection(&proxy).check_connection());
    }
}
