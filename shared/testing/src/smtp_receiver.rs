//! A mail server that keeps what it is sent, and answers as a test wants it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustls::ServerConfig;

use crate::Certificates;
use crate::accept::serve_all;
use crate::certificates::encrypted;

/// Encryption of a conversation.
#[derive(Clone, Debug)]
enum Privacy {
    /// No encryption at all.
    None,
    /// Once the other side asks for it; mail is refused before.
    Asked(Arc<ServerConfig>),
    /// From the first byte on.
    Always(Arc<ServerConfig>),
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Reply to the end of a mail.
    answer: Mutex<String>,
    /// Replies to commands that begin so.
    refusals: Mutex<Vec<(String, String)>>,
    mails: Mutex<Vec<Mail>>,
    /// Arguments of `AUTH`, as they were sent.
    logins: Mutex<Vec<String>>,
    /// The only argument of `AUTH` that is accepted, if one is set.
    expected_login: Mutex<Option<String>>,
}

/// A mail as it came.
#[derive(Clone, Debug)]
struct Mail {
    /// Addresses of the envelope.
    recipients: Vec<String>,
    text: String,
    /// Reply that it got.
    answer: String,
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
        Self::with(Privacy::None)
    }

    /// Starts one that speaks TLS from the first byte on.
    ///
    /// # Errors
    ///
    /// When there is no port, or the certificates cannot be read.
    pub fn start_tls(certificates: &Certificates) -> Result<Self> {
        Self::with(Privacy::Always(certificates.server()?))
    }

    /// Starts one that takes mail only after `STARTTLS`.
    ///
    /// # Errors
    ///
    /// When there is no port, or the certificates cannot be read.
    pub fn start_starttls(certificates: &Certificates) -> Result<Self> {
        Self::with(Privacy::Asked(certificates.server()?))
    }

    fn with(privacy: Privacy) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for mail")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            answer: Mutex::new("250 taken".to_owned()),
            refusals: Mutex::default(),
            mails: Mutex::default(),
            logins: Mutex::default(),
            expected_login: Mutex::default(),
        });
        let (serving, stopping) = (Arc::clone(&shared), Arc::clone(&shared));
        serve_all(
            listener,
            move || stopping.stop.load(Ordering::SeqCst),
            // A client that breaks a conversation off needs no answer.
            move |stream| drop(serve(stream, &privacy, &serving)),
        )?;
        Ok(Self { port, shared })
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers each mail so from now on: `250 taken`, `451 later`, `550 never`.
    pub fn answer(&self, answer: &str) {
        answer.clone_into(&mut lock(&self.shared.answer));
    }

    /// Answers commands that begin with `command` so from now on: `refuse("RCPT TO:<ops@example.org>", "550 unknown")`.
    pub fn refuse(&self, command: &str, answer: &str) {
        lock(&self.shared.refusals).push((command.to_owned(), answer.to_owned()));
    }

    /// Refuses no command any more.
    pub fn refuse_nothing(&self) {
        lock(&self.shared.refusals).clear();
    }

    /// Returns the accepted mails whose envelope has this recipient.
    pub fn mails_to(&self, recipient: &str) -> Vec<String> {
        let mails = lock(&self.shared.mails);
        let accepted = mails.iter().filter(|mail| mail.answer.starts_with('2'));
        let to = accepted.filter(|mail| mail.recipients.iter().any(|to| to == recipient));
        to.map(|mail| mail.text.clone()).collect()
    }

    /// Accepts only this argument of `AUTH` from now on, such as `XOAUTH2 dXNlcj1h`. Any other gets a challenge that
    /// describes the error, as Gmail's does, and then 535.
    pub fn expect_login(&self, login: &str) {
        *lock(&self.shared.expected_login) = Some(login.to_owned());
    }

    /// Returns the arguments of each `AUTH`. Every login succeeds unless another one is expected.
    pub fn logins(&self) -> Vec<String> {
        lock(&self.shared.logins).clone()
    }

    /// Returns each mail with the server's reply.
    pub fn mails(&self) -> Vec<(String, String)> {
        let mails = lock(&self.shared.mails);
        let reply = |mail: &Mail| (mail.text.clone(), mail.answer.clone());
        mails.iter().map(reply).collect()
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

fn serve(stream: TcpStream, privacy: &Privacy, shared: &Shared) -> Result<()> {
    match privacy {
        Privacy::None => {
            converse(stream, Some("220 test"), &["250 ok"], shared)?;
        }
        Privacy::Always(config) => {
            let stream = encrypted(config, stream)?;
            converse(stream, Some("220 test"), ENCRYPTED_OFFER, shared)?;
        }
        Privacy::Asked(config) => {
            let offer = &["250-test", "250 STARTTLS"];
            if let Some(stream) = converse(stream, Some("220 test"), offer, shared)? {
                converse(encrypted(config, stream)?, None, ENCRYPTED_OFFER, shared)?;
            }
        }
    }
    Ok(())
}

/// Extensions that are offered on an encrypted connection.
const ENCRYPTED_OFFER: &[&str] = &["250-test", "250 AUTH PLAIN XOAUTH2"];

/// Handles one SMTP session (RFC 5321). Returns the stream after `STARTTLS` (RFC 3207), to go on encrypted.
fn converse<S: Read + Write>(
    stream: S,
    greeting: Option<&str>,
    offer: &[&str],
    shared: &Shared,
) -> std::io::Result<Option<S>> {
    let waits_for_tls = offer.iter().any(|word| word.ends_with("STARTTLS"));
    let mut stream = BufReader::new(stream);
    if let Some(greeting) = greeting {
        say(&mut stream, greeting)?;
    }
    let mut line = String::new();
    let mut recipients = Vec::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let command = line.trim_end();
        let word = command.to_ascii_uppercase();
        if let Some(refusal) = refusal(command, shared) {
            say(&mut stream, &refusal)?;
        } else if word.starts_with("QUIT") {
            say(&mut stream, "221 bye")?;
            return Ok(None);
        } else if word.starts_with("EHLO") {
            say(&mut stream, &offer.join("\r\n"))?;
        } else if word == "STARTTLS" && waits_for_tls {
            say(&mut stream, "220 go on")?;
            return Ok(Some(stream.into_inner()));
        } else if waits_for_tls {
            say(&mut stream, "530 begin TLS first")?;
        } else if let Some(login) = command.strip_prefix("AUTH ") {
            log_in(&mut stream, login, shared)?;
        } else if word == "DATA" {
            say(&mut stream, "354 go on")?;
            let text = mail(&mut stream)?;
            let answer = lock(&shared.answer).clone();
            lock(&shared.mails).push(Mail {
                recipients: std::mem::take(&mut recipients),
                text,
                answer: answer.clone(),
            });
            say(&mut stream, &answer)?;
        } else if let Some(to) = command.strip_prefix("RCPT TO:<") {
            recipients.extend(to.split('>').next().map(str::to_owned));
            say(&mut stream, "250 ok")?;
        } else {
            say(&mut stream, "250 ok")?;
        }
    }
}

/// Answers `AUTH` with this argument.
fn log_in<S: Read + Write>(
    stream: &mut BufReader<S>,
    login: &str,
    shared: &Shared,
) -> std::io::Result<()> {
    lock(&shared.logins).push(login.to_owned());
    let expected = lock(&shared.expected_login).clone();
    if expected.is_none_or(|expected| expected == login) {
        return say(stream, "235 let in");
    }
    // {"status":"401"}
    say(stream, "334 eyJzdGF0dXMiOiI0MDEifQ==")?;
    stream.read_line(&mut String::new())?;
    say(stream, "535 5.7.8 not accepted")
}

/// Returns the reply to a command that is refused.
fn refusal(command: &str, shared: &Shared) -> Option<String> {
    let refusals = lock(&shared.refusals);
    let mut refusing = refusals.iter();
    let (_, answer) = refusing.find(|(start, _)| command.starts_with(start))?;
    Some(answer.clone())
}

fn say<S: Read + Write>(stream: &mut BufReader<S>, line: &str) -> std::io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    stream.flush()
}

fn mail(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut mail = String::new();
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.is_empty() || line == ".\r\n" {
            return Ok(mail);
        }
        mail.push_str(&line);
    }
}
