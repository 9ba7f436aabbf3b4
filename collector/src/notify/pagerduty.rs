//! `PagerDuty`, by its Events API v2: an incident there for each of ours (`dedup_key`), which is triggered, acknowledged and
//! resolved.

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::line::{Style, incident_line};
use super::outbox::{Channel, Message, Sent};
use super::{NotifierError, http, iso, link};
use crate::config::NotifierConfig;

/// Where events go (developer.pagerduty.com, "Events API v2 Overview").
const EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";
/// The longest summary that is taken, in characters.
const LONGEST_SUMMARY: usize = 1024;

/// Sends events to one service.
pub struct PagerDuty {
    url: Url,
    key: String,
    client: Client,
    page: Option<String>,
}

impl std::fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PagerDuty").finish_non_exhaustive()
    }
}

impl PagerDuty {
    /// As `config` says; `page` is where the dashboard is.
    ///
    /// # Errors
    ///
    /// When there is no routing key.
    pub fn new(config: &NotifierConfig, page: Option<String>) -> Result<Self, NotifierError> {
        let name = config.name.as_str();
        let Some(path) = &config.key_file else {
            return Err(NotifierError::missing(name, "key_file"));
        };
        Ok(Self {
            url: http::address(config, Some(EVENTS))?,
            key: http::secret(name, path)?,
            client: http::client(config)?,
            page,
        })
    }

    fn event(&self, record: &IncidentRecord) -> Value {
        let summary = incident_line(record, &Style::plain());
        let (cause, name) = record.cause.parts();
        let mut event = json!({
            "routing_key": self.key,
            "event_action": match record.event {
                Event::Resolved => "resolve",
                Event::Acked => "acknowledge",
                _ => "trigger",
            },
            "dedup_key": record.id.as_str(),
            "client": "Rackwatch",
            "payload": {
                "summary": summary.chars().take(LONGEST_SUMMARY).collect::<String>(),
                "source": if name.is_empty() { cause } else { name },
                "severity": severity(record.severity),
                "timestamp": iso(record.at),
                "component": record.first.as_str(),
                "group": record.racks.join(", "),
                "custom_details": record,
            },
        });
        if let Some(link) = link(self.page.as_deref(), record) {
            event["client_url"] = json!(link);
            event["links"] = json!([{ "href": link, "text": "The incident in Rackwatch" }]);
        }
        event
    }
}

/// The word of that API.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

#[async_trait]
impl Channel for PagerDuty {
    async fn send(&mut self, message: &Message<'_>) -> Sent {
        let event = match message {
            Message::One { record, .. } => self.event(record),
            Message::Digest { text, key, .. } | Message::Test { text, key } => json!({
                "routing_key": self.key,
                "event_action": "trigger",
                "dedup_key": key,
                "client": "Rackwatch",
                "payload": { "summary": text, "source": "rackwatch", "severity": "info" },
            }),
        };
        let request = self.client.post(self.url.clone());
        let request = request
            .header("Idempotency-Key", message.key())
            .json(&event);
        http::send(request, |answer| {
            let answer: Value = serde_json::from_str(answer).unwrap_or_default();
            answer["status"] == "success"
        })
        .await
    }

    fn hears_acks(&self) -> bool {
        true
    }
}
