//! Prometheus Alertmanager by its API v2: one alert there for each incident, which Alertmanager groups, routes and
//! silences as any other.
//!
//! Alertmanager ends an alert that is not sent again, unless the alert carries an end. So each alert ends in a week,
//! and at once when its incident is resolved. A restarted Alertmanager has forgotten all alerts: [`repeat`] sends the
//! open ones again every minute.
//!
//! Labels identify an alert, so only constant properties are labels. The suspected cause changes while an incident
//! grows, and is an annotation. Routes need the severity, so it is a label: when it changes, the alert with the old
//! severity ends.

pub(in crate::notify) mod repeat;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentId, IncidentRecord};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;
use rackwatch_runtime::config::tagged::EntryError;
use rackwatch_runtime::config::{self, Secret};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use self::repeat::OpenIncidents;
use super::login;
use crate::notify::error::SetupErrorKind;
use crate::notify::http::{self, Meaning};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{
    Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome,
};
use crate::notify::text::{dashboard_link, rfc3339};

/// Age at which an alert ends if nothing more is sent of it: no incident stays open that long without a repeat.
const EXPIRY: Duration = Duration::from_hours(7 * 24);
/// Default of `repeat`: Prometheus sends its own alerts about as often.
const REPEAT: Duration = Duration::from_mins(1);

/// The keys of `type = "alertmanager"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// The address of Alertmanager itself, without the path of its API.
    pub url: Option<Secret>,
    /// A file with the address in its first line, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// The user for basic authentication.
    pub user: Option<String>,
    /// A file with the user's password in its first line.
    pub password_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Interval at which open incidents are sent again; zero disables it. Default 1 min.
    #[serde(default = "default_repeat", with = "config::duration")]
    pub repeat: Duration,
}

fn default_repeat() -> Duration {
    REPEAT
}

impl NotifierType for AlertmanagerConfig {
    const TYPE: &'static str = "alertmanager";

    fn check(&self) -> Result<(), EntryError> {
        http::check_address(self.url.as_ref(), self.url_file.as_ref())?;
        login::check(self.user.as_ref(), self.password_file.as_ref())
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind> {
        let mut url = http::address(self.url.as_ref(), self.url_file.as_ref())?;
        let path = format!("{}/api/v2/alerts", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Recipient::only(Alertmanager {
            url,
            login: login::read(self.user.as_ref(), self.password_file.as_ref())?,
            client: http::client(context.timeout, self.ca_file.as_deref())?,
            dashboard: context.dashboard.map(str::to_owned),
            open: OpenIncidents::new(self.repeat),
        }))
    }
}

/// A notifier for one Alertmanager.
struct Alertmanager {
    url: Url,
    login: Option<(String, String)>,
    client: Client,
    dashboard: Option<String>,
    /// The incidents to send again.
    open: OpenIncidents,
}

impl Alertmanager {
    /// Returns the incident as one alert for each severity. At most one of them fires.
    fn alerts(&self, record: &IncidentRecord, now: Timestamp) -> Vec<Value> {
        let (cause, name) = record.cause.parts();
        // The clock of an agent may be ahead of ours, and that of Redis too. Alertmanager rejects an alert that ends
        // before it starts, and one with an end in the future fires until then.
        let now = now.min(record.at);
        let starts = record.since.min(now);
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
                "startsAt": rfc3339(starts),
                "endsAt": rfc3339(ends),
                "generatorURL": dashboard_link(self.dashboard.as_deref(), record).unwrap_or_default(),
            })
        };
        let is_resolved = record.event == Event::Resolved;
        let ends = |severity| {
            if severity == record.severity && !is_resolved {
                now.plus(EXPIRY)
            } else {
                record.until.unwrap_or(now).clamp(starts, now)
            }
        };
        // Incidents of severity info are not sent.
        [Severity::Warning, Severity::Critical]
            .map(|severity| alert(severity, ends(severity)))
            .into()
    }

    async fn post(&self, alerts: &[Value]) -> SendOutcome {
        let mut request = self.client.post(self.url.clone()).json(alerts);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        // Status 200 means that Alertmanager stores the alerts.
        http::send(request, Meaning::confirmed_by(|_| true)).await
    }
}

#[async_trait]
impl Notifier for Alertmanager {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        match message {
            Message::Incident { record, .. } => {
                let outcome = self.post(&self.alerts(record, clock::now())).await;
                if !matches!(outcome, SendOutcome::Retry { .. }) {
                    self.open.update(record);
                }
                outcome
            }
            Message::Failure {
                notifier,
                text,
                has_recovered,
                ..
            } => {
                let now = clock::now();
                let ends = if *has_recovered {
                    now
                } else {
                    now.plus(EXPIRY)
                };
                let alert = json!({
                    "labels": {
                        "alertname": "RackwatchNotifierFailing",
                        "notifier": notifier,
                        "severity": "warning",
                    },
                    "annotations": { "summary": text },
                    "endsAt": rfc3339(ends),
                });
                self.post(&[alert]).await
            }
            Message::Digest { text, key, .. } | Message::Test { text, key } => {
                let alert = json!({
                    "labels": { "alertname": "RackwatchTest", "key": key, "severity": "info" },
                    "annotations": { "summary": text },
                });
                self.post(&[alert]).await
            }
        }
    }

    fn resume(&mut self, open: Vec<IncidentRecord>) {
        for record in &open {
            self.open.update(record);
        }
    }

    fn forget(&mut self, incident: &IncidentId) {
        self.open.remove(incident);
    }

    async fn refresh(&mut self) -> Result<(), String> {
        for record in self.open.take_due() {
            match self.post(&self.alerts(&record, clock::now())).await {
                SendOutcome::Delivered { .. } => {}
                // The next interval sends all of them again.
                SendOutcome::Retry { reason, .. } | SendOutcome::Rejected { reason } => {
                    return Err(reason);
                }
            }
        }
        Ok(())
    }
}
