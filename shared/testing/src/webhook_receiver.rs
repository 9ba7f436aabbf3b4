//! An HTTP server that keeps what it is sent, and answers as a test wants it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use rustls::ServerConfig;

use crate::Certificates;
use crate::accept::{LOOK_EVERY, serve_all};
use crate::certificates::encrypted;

/// The answer to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response with this status.
    Status(u16),
    /// A response with this status and body.
    Body(u16, &'static str),
    /// 400 for a body of more bytes than this, as a chat refuses a message beyond its limit; 200 for any other.
    Limit(usize),
    /// With 429, and so many seconds of patience asked for.
    TooMany(u64),
    /// No response at all.
    Hang,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method and path, as `POST /hook`, with the query.
    pub target: String,
    /// Header values by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Body as it was sent.
    pub body: String,
    /// Answer that it got.
    pub answer: Answer,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    answer: Mutex<Answer>,
    requests: Mutex<Vec<Request>>,
}

/// The server; it ends when dropped, and its port refuses connections then.
#[derive(Debug)]
pub struct WebhookReceiver {
    port: u16,
    scheme: &'static str,
    shared: Arc<Shared>,
}

impl WebhookReceiver {
    /// Listens on `port` of 127.0.0.1, any for 0, and answers with 200.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn start(port: u16) -> Result<Self> {
        Self::with(port, None)
    }

    /// Starts one on any port, with HTTPS.
    ///
    /// # Errors
    ///
    /// When there is no port, or the certificates cannot be read.
    pub fn start_tls(certificates: &Certificates) -> Result<Self> {
        Self::with(0, Some(certificates.server()?))
    }

    fn with(port: u16, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).context("listen for webhooks")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            answer: Mutex::new(Answer::Status(200)),
            requests: Mutex::default(),
        });
        let (serving, stopping) = (Arc::clone(&shared), Arc::clone(&shared));
        serve_all(
            listener,
            move || stopping.stop.load(Ordering::SeqCst),
            move |stream| match &tls {
                None => serve(stream, &serving),
                Some(config) => {
                    if let Ok(stream) = encrypted(config, stream) {
                        serve(stream, &serving);
                    }
                }
            },
        )?;
        Ok(Self {
            port,
            scheme,
            shared,
        })
    }

    /// Returns its address as a URL.
    pub fn url(&self) -> String {
        let Self { scheme, port, .. } = self;
        format!("{scheme}://127.0.0.1:{port}/hook?token=hunter2")
    }

    /// Answers so from now on.
    pub fn answer(&self, answer: Answer) {
        *lock(&self.shared.answer) = answer;
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request on a connection.
fn serve(mut stream: impl Read + Write, shared: &Shared) {
    let Some((target, headers, body)) = read(&mut stream) else {
        return;
    };
    let answer = match *lock(&shared.answer) {
        Answer::Limit(limit) if body.len() > limit => Answer::Status(400),
        Answer::Limit(_) => Answer::Status(200),
        answer => answer,
    };
    lock(&shared.requests).push(Request {
        target,
        headers,
        body,
        answer,
    });
    let (head, body) = match answer {
        Answer::Status(status) => (format!("HTTP/1.1 {status} -\r\n"), ""),
        Answer::Body(status, body) => (format!("HTTP/1.1 {status} -\r\n"), body),
        // Replaced above.
        Answer::Limit(_) => ("HTTP/1.1 200 -\r\n".to_owned(), ""),
        Answer::TooMany(seconds) => (format!("HTTP/1.1 429 -\r\nRetry-After: {seconds}\r\n"), ""),
        Answer::Hang => {
            while !shared.stop.load(Ordering::SeqCst) && *lock(&shared.answer) == Answer::Hang {
                thread::park_timeout(LOOK_EVERY);
            }
            return;
        }
    };
    // The client may be gone.
    drop(write!(
        stream,
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    drop(stream.flush());
}

fn read(stream: &mut impl Read) -> Option<(String, BTreeMap<String, String>, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (target, _version) = line.trim_end().rsplit_once(' ')?;
    let target = target.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(Ok(0), |text| text.parse());
    let mut body = vec![0; length.ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((target, headers, String::from_utf8(body).ok()?))
}
