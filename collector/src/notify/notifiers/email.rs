//! Mail by SMTP: one message for each notification, with all messages of an incident in one thread.
//!
//! The `Message-ID` is derived from the deduplication key: mail clients show a repeated message once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_runtime::config::tagged::EntryError;
use rackwatch_runtime::error::chain;
use serde::Deserialize;

use super::login;
use crate::notify::error::{SetupErrorKind, read_file};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{Message, Notifier, NotifierContext, NotifierType, SendOutcome};
use crate::notify::outbox::storm;
use crate::notify::text::dashboard_link;

/// Replies that reject the login (RFC 4954, section 6). The message is retried: an operator can correct the login.
const LOGIN_REPLIES: [u16; 4] = [530, 534, 535, 538];

/// The keys of `type = "email"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The host name of the mail server.
    pub host: String,
    /// The port; by default the usual one for `encryption`.
    pub port: Option<u16>,
    /// The encryption of the connection to the server.
    #[serde(default)]
    pub encryption: Encryption,
    /// The user to log in as.
    pub user: Option<String>,
    /// A file with the user's password in its first line.
    pub password_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The address of the sender.
    pub from: Address,
    /// The addresses of the recipients.
    pub to: Vec<Address>,
    /// The most messages a minute; any more are sent as a digest. Zero disables digests. Default 10.
    #[serde(default = "storm::default_threshold")]
    pub storm: usize,
}

/// The encryption of the connection to a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// TLS that begins after the greeting. Default port 587.
    #[default]
    Starttls,
    /// TLS from the first byte. Default port 465.
    Tls,
    /// No TLS, for a server on this host. Default port 25. A login is not allowed.
    None,
}

/// An email address, with or without a name: `ops@example.org`, `Ann <ann@example.org>`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(Mailbox);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mailbox = text.parse().map(Self);
        mailbox.map_err(|_| format!("{text:?} is not a valid email address"))
    }
}

impl NotifierType for EmailConfig {
    const TYPE: &'static str = "email";

    fn check(&self) -> Result<(), EntryError> {
        let wrong = |key: &str, message: &str| EntryError::Wrong {
            key: key.to_owned(),
            message: message.to_owned(),
        };
        if self.to.is_empty() {
            return Err(wrong("to", "expected at least one recipient"));
        }
        login::check(self.user.as_ref(), self.password_file.as_ref())?;
        if self.user.is_some() && self.encryption == Encryption::None {
            let message = "expected \"starttls\" or \"tls\": passwords are never sent unencrypted";
            return Err(wrong("encryption", message));
        }
        Ok(())
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Box<dyn Notifier>, SetupErrorKind> {
        let tls = || tls_parameters(&self.host, self.ca_file.as_deref());
        let (default_port, tls) = match self.encryption {
            Encryption::None => (25, Tls::None),
            Encryption::Starttls => (587, Tls::Required(tls()?)),
            Encryption::Tls => (465, Tls::Wrapper(tls()?)),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port.unwrap_or(default_port))
            .tls(tls)
            .timeout(Some(context.timeout));
        let login = login::read(self.user.as_ref(), self.password_file.as_ref())?;
        if let Some((user, password)) = login {
            transport = transport.credentials(Credentials::new(user, password));
        }
        Ok(Box::new(Email {
            transport: transport.build(),
            from: self.from.0.clone(),
            to: self.to.iter().map(|address| address.0.clone()).collect(),
            dashboard: context.dashboard.map(str::to_owned),
            storm: self.storm,
            timeout: context.timeout,
        }))
    }
}

fn tls_parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, SetupErrorKind> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let pem = read_file(path)?;
        let authority = Certificate::from_pem(pem.as_bytes()).map_err(SetupErrorKind::Smtp)?;
        parameters = parameters.add_root_certificate(authority);
    }
    parameters.build().map_err(SetupErrorKind::Smtp)
}

/// A notifier that mails the recipients of one `[[notify]]`.
struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    dashboard: Option<String>,
    storm: usize,
    timeout: Duration,
}

impl Email {
    /// Returns the message as a mail to all recipients.
    fn mail(&self, message: &Message<'_>) -> Result<lettre::Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let id = |key: &str| format!("<rackwatch.{}@{domain}>", id_part(key));
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(Some(id(message.key())));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let (subject, text) = match message {
            Message::Incident { record, .. } => {
                let thread = id(record.id.as_str());
                mail = mail.in_reply_to(thread.clone()).references(thread);
                (subject(record), self.text(record))
            }
            Message::Digest { text, records, .. } => {
                let each = records.iter().map(|record| self.text(record));
                let all = each.collect::<Vec<_>>().join("\n");
                ((*text).to_owned(), format!("{text}\n\n{all}"))
            }
            Message::Test { text, .. } => ((*text).to_owned(), (*text).to_owned()),
        };
        mail.subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text + "\n")
    }

    /// Returns the body of a mail about one incident.
    fn text(&self, record: &IncidentRecord) -> String {
        let line = incident_line(record, &Style::plain());
        let devices: Vec<_> = record.devices.iter().map(ToString::to_string).collect();
        let link = dashboard_link(self.dashboard.as_deref(), record);
        let link = link.map_or_else(String::new, |link| format!("\n{link}\n"));
        let action = match record.event {
            Event::Resolved => String::new(),
            _ => format!(
                "\nTo acknowledge it: rackwatch-collector ack {}\n",
                record.id.short()
            ),
        };
        format!(
            "{line}\n\nFirst sensor: {}\nRacks: {}\nSensors ({}): {}\n{link}{action}",
            record.first,
            record.racks.join(", "),
            record.device_count,
            devices.join(", ")
        )
    }

    /// Sends a mail within the timeout. The transport's own timeout covers only single steps.
    async fn deliver(&self, mail: lettre::Message) -> Result<(), SendOutcome> {
        let sent = tokio::time::timeout(self.timeout, self.transport.send(mail)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(SendOutcome::Retry {
                reason: "mail server did not answer in time".to_owned(),
                after: None,
            }),
        }
    }
}

/// Returns the outcome for an error of the transport.
fn failure(error: &smtp::Error) -> SendOutcome {
    let is_login_failure = error
        .status()
        .is_some_and(|code| LOGIN_REPLIES.contains(&u16::from(code)));
    let reason = chain(error);
    if error.is_permanent() && !is_login_failure {
        SendOutcome::Rejected { reason }
    } else {
        SendOutcome::Retry {
            reason,
            after: None,
        }
    }
}

/// Replaces the characters that a message id cannot hold.
fn id_part(text: &str) -> String {
    let replace = |c: char| if c.is_ascii_alphanumeric() { c } else { '.' };
    text.chars().map(replace).collect()
}

/// Returns the subject, such as `[rackwatch] critical: cooling is failing: rack B07`.
fn subject(record: &IncidentRecord) -> String {
    let state = match record.event {
        Event::Resolved => "resolved".to_owned(),
        Event::Repeat => format!("still {}", record.severity),
        _ => record.severity.to_string(),
    };
    format!("[rackwatch] {state}: {}", record.title)
}

#[async_trait]
impl Notifier for Email {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(error) => {
                return SendOutcome::Rejected {
                    reason: chain(&error),
                };
            }
        };
        match self.deliver(mail).await {
            Ok(()) => SendOutcome::Delivered { confirmed: false },
            Err(outcome) => outcome,
        }
    }

    fn storm(&self) -> usize {
        self.storm
    }
}
