//! Telling people. One file a channel; each takes records from a feed, tells them, and only then has them
//! acknowledged: the console and files tell every alert, `outbox` sends incidents to where people are.

pub mod alertmanager;
pub mod console;
pub mod delivery;
pub mod email;
pub mod file;
pub mod heartbeat;
mod http;
pub mod line;
pub mod outbox;
pub mod pagerduty;
pub mod route;
pub mod slack;
mod standing;
pub mod webhook;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::time::Timestamp;

use self::outbox::Channel;
use self::route::{NotARoute, Routes};
use crate::config::{NotifierConfig, NotifierKind};
use crate::failpoint;
use crate::feed::{Feed, FeedEntry};
use crate::stage::StageError;

/// A notifier that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// Not an address.
    #[error("notify {name:?}: url is no http:// or https:// address")]
    Url {
        /// Which.
        name: String,
    },
    /// Something has to be said.
    #[error("notify {name:?}: {key} is missing")]
    Missing {
        /// Which.
        name: String,
        /// What is.
        key: &'static str,
    },
    /// A file cannot be read.
    #[error("notify {name:?}: cannot read {}", path.display())]
    File {
        /// Which.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("notify {name:?}: the first line of {} is empty", path.display())]
    Empty {
        /// Which.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// The secret cannot be one.
    #[error("notify {name:?}: {}: a secret is whsec_ and base64, or text, of at least 16 bytes", path.display())]
    Secret {
        /// Which.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// The client cannot be made.
    #[error("notify {name:?}: the HTTP client cannot be made")]
    Client {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody has such an address.
    #[error("notify {name:?}: {text:?} is no mail address")]
    Mailbox {
        /// Which.
        name: String,
        /// What it says.
        text: String,
    },
    /// A password would be sent for all to see.
    #[error("notify {name:?}: a password is not sent with encryption = \"none\"")]
    Bare {
        /// Which.
        name: String,
    },
    /// Its TLS cannot be made.
    #[error("notify {name:?}: the way to the mail server cannot be encrypted")]
    Smtp {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: lettre::transport::smtp::Error,
    },
    /// A route.
    #[error("notify {name:?}")]
    Route {
        /// Which.
        name: String,
        /// What is wrong.
        #[source]
        source: NotARoute,
    },
}

impl NotifierError {
    fn missing(name: &str, key: &'static str) -> Self {
        Self::Missing {
            name: name.to_owned(),
            key,
        }
    }

    fn client(name: &str, source: reqwest::Error) -> Self {
        Self::Client {
            name: name.to_owned(),
            // The address may hold a token.
            source: source.without_url(),
        }
    }
}

/// Where a notifier sends to, and of what it is told; `page` is where people find the dashboard.
///
/// # Errors
///
/// When it cannot be meant.
pub fn channel(
    config: &NotifierConfig,
    page: Option<&str>,
) -> Result<(Box<dyn Channel>, Routes), NotifierError> {
    let page = page.map(|page| page.trim_end_matches('/').to_owned());
    let routes = Routes::new(&config.routes).map_err(|source| NotifierError::Route {
        name: config.name.as_str().to_owned(),
        source,
    })?;
    let channel: Box<dyn Channel> = match config.kind {
        NotifierKind::Webhook => Box::new(webhook::Webhook::new(config)?),
        NotifierKind::Slack => Box::new(slack::Slack::new(config, page)?),
        NotifierKind::PagerDuty => Box::new(pagerduty::PagerDuty::new(config, page)?),
        NotifierKind::Alertmanager => Box::new(alertmanager::Alertmanager::new(config, page)?),
        NotifierKind::Email => Box::new(email::Email::new(config, page)?),
    };
    Ok((channel, routes))
}

/// Where people find an incident on the dashboard.
fn link(page: Option<&str>, record: &IncidentRecord) -> Option<String> {
    Some(format!("{}/#/incident/{}", page?, record.id.as_str()))
}

/// As other programs write times: RFC 3339 in UTC.
fn iso(at: Timestamp) -> String {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis);
    at.unwrap_or_default().to_string()
}

/// An incident, for tests.
#[cfg(test)]
pub(crate) fn example() -> IncidentRecord {
    use rackwatch_core::alert::Severity;
    use rackwatch_core::device::{DeviceId, Role};
    use rackwatch_core::incident::{Cause, Event, IncidentId};
    use rackwatch_core::subject::Subject;

    let at = |seconds: u64| Timestamp::from_millis(1_795_000_000_000 + seconds * 1000).unwrap();
    let first = Subject::from(DeviceId::new("inlet-B07-1").unwrap());
    IncidentRecord {
        id: IncidentId::from_wire("2647846df3c1ceb9"),
        event: Event::Opened,
        notification_id: Some("2647846df3c1ceb9-1".to_owned()),
        severity: Severity::Critical,
        title: "cooling is failing: rack B07".to_owned(),
        cause: Cause::Rack("B07".to_owned()),
        first: first.clone(),
        since: at(0),
        until: None,
        at: at(10),
        racks: vec!["B07".to_owned()],
        rooms: vec!["hall-1".to_owned()],
        roles: vec![Role::Inlet],
        devices: vec![first],
        device_count: 1,
        alerts: 1,
        open: 1,
        extreme: None,
        left_ms: None,
        acked_by: None,
    }
}

/// Somewhere to tell alerts.
pub trait Teller: Send {
    /// Tells one record. What cannot be told is logged by the teller; it must not stop the rest.
    fn tell(&mut self, record: &AlertRecord);

    /// What was told so far has reached where it is to go.
    fn flush(&mut self);
}

/// Everyone who tells alerts; clones are the same ones. The feeds of several partitions share them.
#[derive(Clone)]
pub struct Tellers(Arc<Mutex<Vec<Box<dyn Teller>>>>);

impl fmt::Debug for Tellers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tellers").finish()
    }
}

impl Tellers {
    /// These.
    pub fn new(tellers: Vec<Box<dyn Teller>>) -> Self {
        Self(Arc::new(Mutex::new(tellers)))
    }

    /// One more.
    pub fn add(&mut self, teller: Box<dyn Teller>) {
        let mut tellers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tellers.push(teller);
    }

    /// All records of `alerts` told by all of them.
    fn tell(&self, alerts: &[FeedEntry<AlertRecord>]) {
        let mut tellers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in alerts {
            match &alert.record {
                Ok(record) => tellers.iter_mut().for_each(|teller| teller.tell(record)),
                Err(reason) => {
                    tracing::warn!(entry = %alert.id, reason, "alert record cannot be told");
                }
            }
        }
        for teller in &mut *tellers {
            teller.flush();
        }
    }
}

/// Tells every record of `feed`, until the feed ends.
pub async fn run(
    mut feed: impl Feed<Record = AlertRecord>,
    tellers: Tellers,
) -> Result<(), StageError> {
    loop {
        let alerts = match feed.next().await {
            Ok(alerts) => alerts,
            Err(StageError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        if alerts.is_empty() {
            continue;
        }
        failpoint::pass("before told");
        tellers.tell(&alerts);
        failpoint::pass("before acknowledged");
        let ids: Vec<_> = alerts.iter().map(|alert| alert.id).collect();
        match feed.acknowledge(&ids).await {
            Err(StageError::Stopped) => return Ok(()),
            other => other?,
        }
        failpoint::pass("after acknowledged");
    }
}
