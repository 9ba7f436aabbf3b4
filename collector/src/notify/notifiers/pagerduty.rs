//! `PagerDuty` by its Events API v2: each incident is triggered, acknowledged and resolved there under one `dedup_key`.

use std::path::PathBuf;

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::notify::error::{SetupErrorKind, read_secret};
use crate::notify::http::{self, Meaning};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{
    Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome,
};
use crate::notify::text::{dashboard_link, rfc3339};

/// The endpoint of the Events API v2 (developer.pagerduty.com, "Events API v2 Overview").
const EVENTS_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of the longest summary that the API accepts.
const SUMMARY_LIMIT: usize = 1024;

/// The keys of `type = "pagerduty"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// A file with the routing key of the service in its first line.
    pub key_file: PathBuf,
    /// The endpoint, if events go through a proxy.
    pub url: Option<Secret>,
    /// A file with the endpoint in its first line, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl NotifierType for PagerDutyConfig {
    const TYPE: &'static str = "pagerduty";

    fn check(&self) -> Result<(), EntryError> {
        http::check_optional_address(self.url.as_ref(), self.url_file.as_ref())
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind> {
        let url = match (&self.url, &self.url_file) {
            (None, None) => http::parse_address(EVENTS_URL)?,
            (url, file) => http::address(url.as_ref(), file.as_ref())?,
        };
        Ok(Recipient::only(PagerDuty {
            url,
            key: read_secret(&self.key_file)?,
            client: http::client(context.timeout, self.ca_file.as_deref())?,
            dashboard: context.dashboard.map(str::to_owned),
        }))
    }
}

/// A notifier that sends events to one service.
struct PagerDuty {
    url: Url,
    key: String,
    client: Client,
    dashboard: Option<String>,
}

impl PagerDuty {
    /// Returns the event for one change of an incident.
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
                "summary": summary.chars().take(SUMMARY_LIMIT).collect::<String>(),
                "source": if name.is_empty() { cause } else { name },
                "severity": severity(record.severity),
                "timestamp": rfc3339(record.at),
                "component": record.first.as_str(),
                "group": record.racks.join(", "),
                "custom_details": record,
            },
        });
        if let Some(link) = dashboard_link(self.dashboard.as_deref(), record) {
            event["client_url"] = json!(link);
            event["links"] = json!([{ "href": link, "text": "View incident in Rackwatch" }]);
        }
        event
    }

    /// Returns an event that is about no incident.
    fn plain_event(&self, action: &str, key: &str, (text, severity): (&str, &str)) -> Value {
        let summary: String = text.chars().take(SUMMARY_LIMIT).collect();
        json!({
            "routing_key": self.key,
            "event_action": action,
            "dedup_key": key,
            "client": "Rackwatch",
            "payload": { "summary": summary, "source": "rackwatch", "severity": severity },
        })
    }
}

/// The API answers with 400 both for a malformed event and for a wrong routing key. An operator can correct the key.
const MEANING: Meaning = Meaning {
    confirms: |answer| {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        answer["status"] == "success"
    },
    fault_of_configuration: |answer| {
        let answer = answer.to_lowercase().replace('_', " ");
        let is_about_key = answer.contains("routing key") || answer.contains("invalid key");
        is_about_key.then_some("it does not know the routing key in key_file")
    },
};

/// Returns the API's word for a severity.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

#[async_trait]
impl Notifier for PagerDuty {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        let event = match message {
            Message::Incident { record, .. } => self.event(record),
            Message::Failure {
                notifier,
                text,
                has_recovered,
                ..
            } => {
                let action = if *has_recovered { "resolve" } else { "trigger" };
                let about = format!("rackwatch-notifier-{notifier}");
                self.plain_event(action, &about, (text, "warning"))
            }
            Message::Digest { text, key, .. } | Message::Test { text, key } => {
                self.plain_event("trigger", key, (text, "info"))
            }
        };
        let request = self.client.post(self.url.clone());
        let request = request
            .header("Idempotency-Key", message.key())
            .json(&event);
        http::send(request, MEANING).await
    }

    fn sends_acknowledgements(&self) -> bool {
        true
    }
}
