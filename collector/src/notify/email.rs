//! Mail, by SMTP: one message for each thing that people are told, all of one incident in one thread.
//!
//! Its `Message-ID` is made of the name of what is told, so that a message that is sent twice is one to whoever looks.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rackwatch_core::incident::{Event, IncidentRecord};

use super::line::{Style, incident_line};
use super::outbox::{Channel, Message, Sent};
use super::{NotifierError, http, link};
use crate::config::{Encryption, NotifierConfig};

/// Answers to a login that people put right (RFC 4954, section 6): what waits is sent then.
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// Sends to some people.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    page: Option<String>,
    timeout: Duration,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").finish_non_exhaustive()
    }
}

impl Email {
    /// As `config` says; `page` is where the dashboard is.
    ///
    /// # Errors
    ///
    /// When a server or somebody is missing, or a password would go unencrypted.
    pub fn new(config: &NotifierConfig, page: Option<String>) -> Result<Self, NotifierError> {
        let name = config.name.as_str();
        let missing = |key| NotifierError::missing(name, key);
        let host = config.host.as_deref().ok_or_else(|| missing("host"))?;
        let from = config.from.as_deref().ok_or_else(|| missing("from"))?;
        if config.to.is_empty() {
            return Err(missing("to"));
        }
        let mailbox = |text: &str| {
            text.parse::<Mailbox>().map_err(|_| NotifierError::Mailbox {
                name: name.to_owned(),
                text: text.to_owned(),
            })
        };
        let (port, tls) = match config.encryption {
            Encryption::None => (25, Tls::None),
            Encryption::Starttls => (587, Tls::Required(parameters(config, host)?)),
            Encryption::Tls => (465, Tls::Wrapper(parameters(config, host)?)),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(config.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(config.timeout));
        match (&config.user, &config.password_file) {
            (None, None) => {}
            (Some(_), Some(_)) if config.encryption == Encryption::None => {
                return Err(NotifierError::Bare {
                    name: name.to_owned(),
                });
            }
            (Some(user), Some(path)) => {
                let password = http::secret(name, path)?;
                builder = builder.credentials(Credentials::new(user.clone(), password));
            }
            _ => return Err(missing("user, or password_file")),
        }
        Ok(Self {
            transport: builder.build(),
            from: mailbox(from)?,
            to: config
                .to
                .iter()
                .map(|text| mailbox(text))
                .collect::<Result<_, _>>()?,
            page,
            timeout: config.timeout,
        })
    }

    fn domain(&self) -> &str {
        self.from.email.domain()
    }

    fn mail(&self, message: &Message<'_>) -> Result<lettre::Message, lettre::error::Error> {
        let id = |name: &str| format!("<rackwatch.{name}@{}>", self.domain());
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .message_id(Some(id(&tame(message.key()))));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let (subject, text) = match message {
            Message::One { record, .. } => {
                let thread = id(&tame(record.id.as_str()));
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

    fn text(&self, record: &IncidentRecord) -> String {
        let line = incident_line(record, &Style::plain());
        let devices: Vec<_> = record.devices.iter().map(ToString::to_string).collect();
        let link = link(self.page.as_deref(), record);
        let link = link.map_or_else(String::new, |link| format!("\n{link}\n"));
        let act = match record.event {
            Event::Resolved => String::new(),
            _ => format!(
                "\nTo acknowledge it: rackwatch-collector ack {}\n",
                record.id.short()
            ),
        };
        format!(
            "{line}\n\nFirst: {}\nRacks: {}\nSensors ({}): {}\n{link}{act}",
            record.first,
            record.racks.join(", "),
            record.device_count,
            devices.join(", ")
        )
    }
}

/// Only what may stand in a message's id.
fn tame(text: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() { c } else { '.' };
    text.chars().map(tame).collect()
}

fn subject(record: &IncidentRecord) -> String {
    let word = match record.event {
        Event::Resolved => "over".to_owned(),
        Event::Repeat => format!("still {}", record.severity),
        _ => record.severity.to_string(),
    };
    format!("[rackwatch] {word}: {}", record.title)
}

fn parameters(config: &NotifierConfig, host: &str) -> Result<TlsParameters, NotifierError> {
    let name = config.name.as_str();
    let wrong = |source| NotifierError::Smtp {
        name: name.to_owned(),
        source,
    };
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let pem = http::read(name, path)?;
        let authority = Certificate::from_pem(pem.as_bytes()).map_err(wrong)?;
        parameters = parameters.add_root_certificate(authority);
    }
    parameters.build().map_err(wrong)
}

#[async_trait]
impl Channel for Email {
    async fn send(&mut self, message: &Message<'_>) -> Sent {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(error) => {
                return Sent::Refused {
                    why: error.to_string(),
                };
            }
        };
        let sent = tokio::time::timeout(self.timeout, self.transport.send(mail)).await;
        let error = match sent {
            Ok(Ok(_)) => return Sent::Arrived { confirmed: false },
            Ok(Err(error)) => error,
            Err(_) => {
                return Sent::Later {
                    why: "no answer in time".to_owned(),
                    after: None,
                };
            }
        };
        let login = error
            .status()
            .is_some_and(|code| LOGIN.contains(&u16::from(code)));
        let mut why = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            why = format!("{why}: {source}");
        }
        if error.is_permanent() && !login {
            Sent::Refused { why }
        } else {
            Sent::Later { why, after: None }
        }
    }

    fn digests(&self) -> bool {
        true
    }
}
