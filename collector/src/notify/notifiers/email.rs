//! Mail by SMTP: one message for each notification, with all messages of an incident in one thread.
//!
//! Each recipient gets an envelope of its own, so a refused one keeps nothing from the others. The headers name all of
//! them. The `Message-ID` is derived from the deduplication key: mail clients show a repeated message once.

mod login;
mod oauth;
mod session;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use rackwatch_runtime::error::chain;
use serde::Deserialize;

use self::login::{Login, LoginKeys};
use self::session::{Server, Tls};
use crate::notify::error::{SetupErrorKind, read_file};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{
    Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome,
};
use crate::notify::outbox::storm;
use crate::notify::text::dashboard_link;

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
    /// A file with an access token of OAuth 2.0 in its first line, which another program keeps fresh.
    pub oauth_token_file: Option<PathBuf>,
    /// The token endpoint that issues access tokens.
    pub oauth_token_url: Option<Secret>,
    /// The name of this client at the token endpoint.
    pub oauth_client_id: Option<String>,
    /// A file with the secret of this client in its first line.
    pub oauth_client_secret_file: Option<PathBuf>,
    /// A file with a refresh token in its first line. Without it, the client uses its own credentials.
    pub oauth_refresh_token_file: Option<PathBuf>,
    /// The scope to ask for.
    pub oauth_scope: Option<String>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The address of the sender.
    pub from: Address,
    /// The addresses of the recipients. Each is sent to, and retried, independently of the others.
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

impl EmailConfig {
    fn login_keys(&self) -> LoginKeys<'_> {
        LoginKeys {
            user: self.user.as_ref(),
            password_file: self.password_file.as_ref(),
            oauth_token_file: self.oauth_token_file.as_ref(),
            oauth_token_url: self.oauth_token_url.as_ref(),
            oauth_client_id: self.oauth_client_id.as_ref(),
            oauth_client_secret_file: self.oauth_client_secret_file.as_ref(),
            oauth_refresh_token_file: self.oauth_refresh_token_file.as_ref(),
            oauth_scope: self.oauth_scope.as_ref(),
            ca_file: self.ca_file.as_ref(),
        }
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
        let mut known = BTreeSet::new();
        let repeated = self.to.iter().find(|to| !known.insert(&to.0.email));
        if let Some(Address(repeated)) = repeated {
            let message = format!("{} is there twice: remove one of them", repeated.email);
            return Err(wrong("to", &message));
        }
        login::check(&self.login_keys())?;
        if self.user.is_some() && self.encryption == Encryption::None {
            let message = "expected \"starttls\" or \"tls\": passwords are never sent unencrypted";
            return Err(wrong("encryption", message));
        }
        Ok(())
    }

    fn recipients(&self) -> Vec<String> {
        let all = self.to.iter().map(|address| address.0.email.to_string());
        // A single one has the progress of the notifier.
        all.filter(|_| self.to.len() > 1).collect()
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind> {
        let tls = || tls_parameters(&self.host, self.ca_file.as_deref());
        let (default_port, tls) = match self.encryption {
            Encryption::None => (25, Tls::None),
            Encryption::Starttls => (587, Tls::Starttls(tls()?)),
            Encryption::Tls => (465, Tls::Wrapped(tls()?)),
        };
        let server = Server {
            host: self.host.clone(),
            port: self.port.unwrap_or(default_port),
            tls,
            timeout: context.timeout,
        };
        let login = login::read(&self.login_keys(), context)?;
        let to: Vec<Mailbox> = self.to.iter().map(|address| address.0.clone()).collect();
        let recipient = |address: &Mailbox| Recipient {
            address: (to.len() > 1).then(|| address.email.to_string()),
            notifier: Box::new(Email {
                server: server.clone(),
                login: login.clone(),
                from: self.from.0.clone(),
                all: to.clone(),
                to: address.clone(),
                dashboard: context.dashboard.map(str::to_owned),
                storm: self.storm,
            }),
        };
        Ok(to.iter().map(recipient).collect())
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

/// A notifier that mails one of the recipients of a `[[notify]]`.
struct Email {
    server: Server,
    login: Option<Login>,
    from: Mailbox,
    /// All recipients, for the header.
    all: Vec<Mailbox>,
    /// The recipient of this notifier.
    to: Mailbox,
    dashboard: Option<String>,
    storm: usize,
}

impl Email {
    /// Returns the message as a mail.
    fn mail(&self, message: &Message<'_>) -> Result<lettre::Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let id = |key: &str| format!("<rackwatch.{}@{domain}>", id_part(key));
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(Some(id(message.key())));
        for to in &self.all {
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
            Message::Failure { notifier, text, .. } => {
                let thread = id(&format!("notifier-{notifier}"));
                mail = mail.in_reply_to(thread.clone()).references(thread);
                (format!("[rackwatch] {text}"), (*text).to_owned())
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
        let envelope = (&self.from.email, &self.to.email);
        let login = self.login.as_ref();
        self.server.send(login, envelope, &mail.formatted()).await
    }

    fn storm(&self) -> usize {
        self.storm
    }
}
