//! A message in a chat: as Slack's incoming webhooks take it, and Mattermost, Rocket.Chat and others that do the same.

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::line::{Style, incident_line};
use super::outbox::{Channel, Message, Sent};
use super::{NotifierError, http, link};
use crate::config::NotifierConfig;

/// Sends to one channel of a chat.
#[derive(Debug)]
pub struct Slack {
    url: Url,
    client: Client,
    page: Option<String>,
}

impl Slack {
    /// As `config` says; `page` is where the dashboard is.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn new(config: &NotifierConfig, page: Option<String>) -> Result<Self, NotifierError> {
        Ok(Self {
            url: http::address(config, None)?,
            client: http::client(config)?,
            page,
        })
    }

    fn attachment(&self, record: &IncidentRecord) -> Value {
        let colour = match (record.event, record.severity) {
            (Event::Resolved, _) => "#1d6b46",
            (_, Severity::Critical) => "#b3261e",
            (_, Severity::Warning) => "#e08a00",
            (_, Severity::Info) => "#47606f",
        };
        let mut attachment = json!({
            "color": colour,
            "fallback": escaped(&record.title),
            "title": escaped(&record.title),
            "text": escaped(&incident_line(record, &Style::plain())),
            "ts": record.at.millis() / 1000,
        });
        if let Some(link) = link(self.page.as_deref(), record) {
            attachment["title_link"] = json!(link);
        }
        attachment
    }
}

/// What the chat would take for a mention or a link is text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[async_trait]
impl Channel for Slack {
    async fn send(&mut self, message: &Message<'_>) -> Sent {
        let body = match message {
            Message::One { record, .. } => {
                let word = match record.event {
                    Event::Resolved => "✓ over".to_owned(),
                    _ => record.severity.name().to_uppercase(),
                };
                json!({
                    "text": escaped(&format!("{word}: {}", record.title)),
                    "attachments": [self.attachment(record)],
                })
            }
            Message::Digest { text, records, .. } => json!({
                "text": escaped(text),
                "attachments": records.iter().map(|record| self.attachment(record)).collect::<Vec<_>>(),
            }),
            Message::Test { text, .. } => json!({ "text": escaped(text) }),
        };
        let request = self.client.post(self.url.clone());
        let request = request.header("Idempotency-Key", message.key()).json(&body);
        http::send(request, |answer| answer.trim() == "ok").await
    }

    fn digests(&self) -> bool {
        true
    }
}
