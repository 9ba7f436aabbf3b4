//! Servers of our own: a thread for each connection.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Interval at which to check for the stop.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Has every connection served in a thread of its own, until `stopped`.
pub(crate) fn serve_all(
    listener: TcpListener,
    stopped: impl Fn() -> bool + Send + 'static,
    serve: impl Fn(TcpStream) + Clone + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    thread::spawn(move || {
        while !stopped() {
            let Ok((stream, _)) = listener.accept() else {
                thread::park_timeout(LOOK_EVERY);
                continue;
            };
            let serve = serve.clone();
            thread::spawn(move || {
                if stream.set_nonblocking(false).is_ok() {
                    serve(stream);
                }
            });
        }
    });
    Ok(())
}
