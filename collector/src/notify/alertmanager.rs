//! Prometheus Alertmanager, by its API v2: an alert there for each of our incidents, which it groups, routes and silences
//! as it does its own.
//!
//! Alertmanager takes an alert that is not sent again for over, unless it is told when it ends: so each is told to end in a
//! week, and at its end now. When it starts again it knows of none: what is open is said again every minute. Labels are what an alert is told by there, so only what stays is one: what is suspected
//! changes as an incident grows. The severity is one too, for routes; when it changes the alert with the old one ends.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::Timestamp;
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::line::{Style, incident_line};
use super::outbox::{Channel, Message, Sent};
use super::{NotifierError, http, iso, link};
use crate::config::NotifierConfig;

/// An incident of which nothing more is heard is over after so long.
const AT_LAST: Duration = Duration::from_hours(7 * 24);

/// Sends to one Alertmanager.
pub struct Alertmanager {
    url: Url,
    login: Option<(String, String)>,
    client: Client,
    page: Option<String>,
    repeat: Duration,
}

impl std::fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alertmanager").finish_non_exhaustive()
    }
}

impl Alertmanager {
    /// As `config` says, whose address is that of Alertmanager itself; `page` is where the dashboard is.
    ///
    /// # Errors
    ///
    /// When the address is none, or the password cannot be read.
    pub fn new(config: &NotifierConfig, page: Option<String>) -> Result<Self, NotifierError> {
        let name = config.name.as_str();
        let mut url = http::address(config, None)?;
        let path = format!("{}/api/v2/alerts", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let login = match (&config.user, &config.password_file) {
            (Some(user), Some(path)) => Some((user.clone(), http::secret(name, path)?)),
            (None, None) => None,
            _ => return Err(NotifierError::missing(name, "user, or password_file")),
        };
        Ok(Self {
            url,
            login,
            client: http::client(config)?,
            page,
            repeat: config.repeat,
        })
    }

    /// The incident as an alert of each severity, of which one fires at most.
    fn alerts(&self, record: &IncidentRecord) -> Vec<Value> {
        let (cause, name) = record.cause.parts();
        let alert = |severity: Severity, ends: Timestamp| {
            json!({
                "labels": {
                    "alertname": "RackwatchIncident",
                    "incident": record.id.as_str(),
                    "severity": severity.name(),
                },
                "annotations": {
                    "summary": record.title,
                    "description": incident_line(record, &Style::plain()),
                    "cause": format!("{cause} {name}").trim_end(),
                    "first": record.first.as_str(),
                    "racks": record.racks.join(", "),
                },
                "startsAt": iso(record.since),
                "endsAt": iso(ends),
                "generatorURL": link(self.page.as_deref(), record).unwrap_or_default(),
            })
        };
        let is_over = record.event == Event::Resolved;
        let ends = |severity| {
            if severity == record.severity && !is_over {
                record.at.plus(AT_LAST)
            } else {
                record.until.unwrap_or(record.at)
            }
        };
        // Nobody is sent info.
        [Severity::Warning, Severity::Critical]
            .map(|severity| alert(severity, ends(severity)))
            .into()
    }
}

#[async_trait]
impl Channel for Alertmanager {
    async fn send(&mut self, message: &Message<'_>) -> Sent {
        let alerts = match message {
            Message::One { record, .. } => self.alerts(record),
            Message::Digest { text, key, .. } | Message::Test { text, key } => vec![json!({
                "labels": { "alertname": "RackwatchTest", "key": key, "severity": "info" },
                "annotations": { "summary": text },
            })],
        };
        let mut request = self.client.post(self.url.clone()).json(&alerts);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        // It keeps what it answers 200 to.
        http::send(request, |_| true).await
    }

    fn repeats(&self) -> Option<Duration> {
        Some(self.repeat)
    }
}
