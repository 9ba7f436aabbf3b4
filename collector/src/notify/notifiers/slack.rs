//! Chat messages by an incoming webhook of Slack, Mattermost, Rocket.Chat or another service with the same interface.

use std::path::PathBuf;

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::notify::error::SetupErrorKind;
use crate::notify::http::{self, Meaning};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{
    Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome,
};
use crate::notify::outbox::storm;
use crate::notify::text::{dashboard_link, title_line};

/// The keys of `type = "slack"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// The address of the incoming webhook.
    pub url: Option<Secret>,
    /// A file with the address in its first line, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The most messages a minute; any more are sent as a digest. Zero disables digests. Default 10.
    #[serde(default = "storm::default_threshold")]
    pub storm: usize,
}

impl NotifierType for SlackConfig {
    const TYPE: &'static str = "slack";

    fn check(&self) -> Result<(), EntryError> {
        http::check_address(self.url.as_ref(), self.url_file.as_ref())
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind> {
        Ok(Recipient::only(Slack {
            url: http::address(self.url.as_ref(), self.url_file.as_ref())?,
            client: http::client(context.timeout, self.ca_file.as_deref())?,
            dashboard: context.dashboard.map(str::to_owned),
            storm: self.storm,
        }))
    }
}

/// A notifier for the chat behind one incoming webhook.
struct Slack {
    url: Url,
    client: Client,
    dashboard: Option<String>,
    storm: usize,
}

impl Slack {
    /// Returns the incident as an attachment, coloured by its severity.
    fn attachment(&self, record: &IncidentRecord) -> Value {
        let colour = match (record.event, record.severity) {
            (Event::Resolved, _) => "#1d6b46",
            (_, Severity::Critical) => "#b3261e",
            (_, Severity::Warning) => "#e08a00",
            (_, Severity::Info) => "#47606f",
        };
        let mut attachment = json!({
            "color": colour,
            "fallback": escape(&record.title),
            "title": escape(&record.title),
            "text": escape(&incident_line(record, &Style::plain())),
            "ts": record.at.millis() / 1000,
        });
        if let Some(link) = dashboard_link(self.dashboard.as_deref(), record) {
            attachment["title_link"] = json!(link);
        }
        attachment
    }
}

/// Escapes the characters that start mentions and links in a chat.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[async_trait]
impl Notifier for Slack {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        let body = match message {
            Message::Incident { record, .. } => json!({
                "text": escape(&title_line(record)),
                "attachments": [self.attachment(record)],
            }),
            Message::Digest { text, records, .. } => json!({
                "text": escape(text),
                "attachments": records.iter().map(|record| self.attachment(record)).collect::<Vec<_>>(),
            }),
            Message::Failure { text, .. } | Message::Test { text, .. } => {
                json!({ "text": escape(text) })
            }
        };
        let request = self.client.post(self.url.clone());
        let request = request.header("Idempotency-Key", message.key()).json(&body);
        let meaning = Meaning::confirmed_by(|answer| answer.trim() == "ok");
        http::send(request, meaning).await
    }

    fn storm(&self) -> usize {
        self.storm
    }
}
