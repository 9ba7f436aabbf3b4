//! A TCP proxy that fails as networks do: connections break, hang half open, or lose answers.
//!
//! A fault holds for whatever is sent after the call that sets it has returned.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Both ends of each open connection, with its number.
    open: Mutex<Vec<(u64, [TcpStream; 2])>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Vec<(u64, [TcpStream; 2])>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        // The pumps would see it only at their next look.
        for (_, ends) in self.shared.open().drain(..) {
            close(&ends);
        }
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
        if let (Ok(client), Ok(server)) = (client.try_clone(), server.try_clone()) {
            shared.open().push((number, [client, server]));
        }
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
            // A fault may have been set since the look above: what was read after that must not pass.
            Ok(_) if marked(&shared.cut) => break,
            Ok(_) if answers && marked(&shared.deaf) => {}
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
    close(&[from, to]);
    shared.open().retain(|(open, _)| *open != number);
}

/// Closes both ends of a connection, which may be closed already.
fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        drop(end.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use redis::ConnectionLike;

    use super::*;
    use crate::{RedisServer, wait_until_sync};

    /// Time for an answer that comes, on a machine that is busy.
    const SOON: Duration = Duration::from_secs(30);
    /// Time for an answer that never comes.
    const IN_VAIN: Duration = Duration::from_millis(300);

    fn connection(proxy: &FaultProxy) -> redis::Connection {
        let client = redis::Client::open(proxy.url()).unwrap();
        let connection = client.get_connection().unwrap();
        connection.set_read_timeout(Some(SOON)).unwrap();
        connection
    }

    fn count_in_vain(connection: &mut redis::Connection) {
        connection.set_read_timeout(Some(IN_VAIN)).unwrap();
        let counted = redis::cmd("INCR").arg("n").query::<u64>(connection);
        counted.unwrap_err();
    }

    #[test]
    fn it_passes_freezes_loses_answers_and_cuts() {
        let server = RedisServer::start().unwrap();
        let proxy = FaultProxy::before(server.port()).unwrap();
        let mut old = connection(&proxy);
        assert!(old.check_connection());
        proxy.lose_answers();
        count_in_vain(&mut old);
        let mut new = connection(&proxy);
        // It was done all the same; a busy proxy may pass it late.
        wait_until_sync(SOON, "it is counted", || {
            let n: Option<u64> = redis::cmd("GET").arg("n").query(&mut new).unwrap();
            (n == Some(1)).then_some(())
        })
        .unwrap();
        proxy.freeze();
        count_in_vain(&mut new);
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

    #[test]
    fn a_cut_holds_for_the_next_byte() {
        let server = RedisServer::start().unwrap();
        let proxy = FaultProxy::before(server.port()).unwrap();
        for _ in 0..200 {
            let mut cut = connection(&proxy);
            proxy.cut();
            let asked = redis::cmd("PING").query::<String>(&mut cut);
            asked.unwrap_err();
        }
        assert_eq!(proxy.shared.open().len(), 0);
    }
}
