//! `[[notify]]`: who is told of incidents, and of which.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::Role;
use rackwatch_runtime::config::{self, Secret};
use serde::Deserialize;

/// One `[[notify]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifierConfig {
    /// What it is called, in logs and in its group `alert_<name>_group`: another name begins anew.
    pub name: NotifierName,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: NotifierKind,
    /// Where to; it may hold a token, so it is never shown.
    #[serde(default)]
    pub url: Option<Secret>,
    /// A file whose first line is where to.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Webhooks: a file with the secret that signs what is sent; without it nothing is signed.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// `PagerDuty`: a file with the routing key of the service.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Alertmanager and mail: the user to log in as.
    #[serde(default)]
    pub user: Option<String>,
    /// And a file with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Mail: the server that takes it.
    #[serde(default)]
    pub host: Option<String>,
    /// Its port; that of the encryption where none is named.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the way there is encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// PEM file with the authorities to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who mail is from.
    #[serde(default)]
    pub from: Option<String>,
    /// Who it is for.
    #[serde(default)]
    pub to: Vec<String>,
    /// How long one try may take. Default 10 s.
    #[serde(default = "ten_seconds", with = "config::duration")]
    pub timeout: Duration,
    /// The longest wait between tries. Default 5 min.
    #[serde(default = "five_minutes", with = "config::duration")]
    pub retry_max: Duration,
    /// Alertmanager: how often what is open is said again, since it forgets when it starts again. 0: never. Default 1 min.
    #[serde(default = "one_minute", with = "config::duration")]
    pub repeat: Duration,
    /// After so many messages within a minute the rest come together, as one. 0: never. Default 10.
    #[serde(default = "ten")]
    pub storm: usize,
    /// What it is told of: whatever one of these wants; everything where there is none.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
}

fn ten() -> usize {
    10
}

fn one_minute() -> Duration {
    Duration::from_mins(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn five_minutes() -> Duration {
    Duration::from_mins(5)
}

/// The kinds of notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifierKind {
    /// JSON by POST, signed as Standard Webhooks says.
    Webhook,
    /// A message as Slack, Mattermost and Rocket.Chat take it.
    Slack,
    /// `PagerDuty`'s Events API v2.
    PagerDuty,
    /// Prometheus Alertmanager's API v2.
    Alertmanager,
    /// Mail by SMTP.
    Email,
}

/// How the way to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// After the greeting (port 587).
    #[default]
    Starttls,
    /// From the beginning (port 465).
    Tls,
    /// Not at all (port 25): for a server on this machine; no password is sent so.
    None,
}

/// 1 to 32 of `a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NotifierName(String);

impl NotifierName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NotifierName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if (1..=32).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a name of 1 to 32 of a-z 0-9 _ -"))
        }
    }
}

/// One `[[notify.routes]]`: all that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// At least so bad.
    pub severity: Option<Severity>,
    /// Something of it is in a rack that matches one of these globs.
    pub racks: Vec<String>,
    /// Or in such a room.
    pub rooms: Vec<String>,
    /// It has a device that measures one of these.
    pub roles: Vec<Role>,
    /// Only between these times of day, as `08:00-18:00`; over midnight, as `18:00-08:00`.
    pub hours: Option<String>,
    /// Only on these days, as `mon`; of hours over midnight the day on which they begin counts.
    pub days: Vec<Day>,
    /// The time zone of hours and days. Default UTC.
    pub zone: Option<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// `[heartbeat]`: somebody outside is told again and again that all is well, and notices when it stops.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// Where to; it may hold a token, so it is never shown.
    pub url: Option<Secret>,
    /// A file whose first line is where to.
    pub url_file: Option<PathBuf>,
    /// How often. Default 1 min.
    #[serde(with = "config::duration")]
    pub every: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            every: Duration::from_mins(1),
        }
    }
}
