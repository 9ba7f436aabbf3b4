//! A mail server that keeps what it is sent, and answers as a test wants it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::accept::serve_all;

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// What it answers to the end of a mail.
    answer: Mutex<String>,
    mails: Mutex<Vec<(String, String)>>,
}

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct SmtpReceiver {
    port: u16,
    shared: Arc<Shared>,
}

impl SmtpReceiver {
    /// Listens on a port of 127.0.0.1, and takes everything.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for mail")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            answer: Mutex::new("250 taken".to_owned()),
            mails: Mutex::default(),
        });
        let (serving, stopping) = (Arc::clone(&shared), Arc::clone(&shared));
        serve_all(
            listener,
            move || stopping.stop.load(Ordering::SeqCst),
            // Whoever breaks a conversation off knows.
            move |stream| drop(serve(&stream, &serving)),
        )?;
        Ok(Self { port, shared })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers each mail so from now on: `250 taken`, `451 later`, `550 never`.
    pub fn answer(&self, answer: &str) {
        answer.clone_into(&mut lock(&self.shared.answer));
    }

    /// Each mail, with what was answered.
    pub fn mails(&self) -> Vec<(String, String)> {
        lock(&self.shared.mails).clone()
    }
}

impl Drop for SmtpReceiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One conversation (RFC 5321).
fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut writer = stream;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 test\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let word = line.trim_end().to_ascii_uppercase();
        if word.starts_with("QUIT") {
            return writer.write_all(b"221 bye\r\n");
        }
        if word != "DATA" {
            writer.write_all(b"250 ok\r\n")?;
            continue;
        }
        writer.write_all(b"354 go on\r\n")?;
        let mut mail = String::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            if line.is_empty() || line == ".\r\n" {
                break;
            }
            mail.push_str(&line);
        }
        let answer = lock(&shared.answer).clone();
        lock(&shared.mails).push((mail, answer.clone()));
        writer.write_all(format!("{answer}\r\n").as_bytes())?;
    }
}
