//! `[[notify]]`: the keys that notifiers of every type share, and the keys of each type.

use std::fmt;
use std::time::Duration;

use rackwatch_core::keys::incidents;
use rackwatch_runtime::config::{self, KeyError};
use serde::{Deserialize, Deserializer};

use super::error::SetupError;
use super::notifier::{NotifierContext, Recipient};
use super::notifiers::NotifierKind;
use super::route::{RouteConfig, Routes};

/// One `[[notify]]` entry.
#[derive(Clone, Debug)]
pub struct NotifierConfig {
    /// The keys that every type has.
    pub common: CommonConfig,
    /// The keys of its type.
    pub kind: NotifierKind,
}

/// The keys of `[[notify]]` that every type has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommonConfig {
    /// The name in logs and in the consumer group `alert_<name>_group`. A renamed notifier gets only new
    /// incidents.
    pub name: NotifierName,
    /// The timeout of one attempt. Default 10 s.
    #[serde(default = "default_timeout", with = "config::duration")]
    pub timeout: Duration,
    /// The longest pause between attempts. Default 5 min.
    #[serde(default = "default_retry_max", with = "config::duration")]
    pub retry_max: Duration,
    /// The routes: one must match an incident for it to be sent. Without routes, all are sent.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_retry_max() -> Duration {
    Duration::from_mins(5)
}

impl<'de> Deserialize<'de> for NotifierConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (common, kind) = NotifierKind::kinds().deserialize(from)?;
        Ok(Self { common, kind })
    }
}

impl NotifierConfig {
    /// Returns the name of the notifier.
    pub fn name(&self) -> &str {
        &self.common.name.0
    }

    /// Returns the key of the progress of each recipient, with its address if there are several.
    pub(crate) fn progress_keys(&self) -> Vec<(Option<String>, String)> {
        let mut recipients: Vec<_> = self.kind.recipients().into_iter().map(Some).collect();
        if recipients.is_empty() {
            recipients.push(None);
        }
        let key = |recipient: Option<String>| {
            let key = incidents::delivery(self.name(), recipient.as_deref());
            (recipient, key)
        };
        recipients.into_iter().map(key).collect()
    }

    /// Sets up the notifier, once for each recipient, and its routes. `dashboard` is the public address of the dashboard, for links.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or a value is unusable.
    pub fn build(&self, dashboard: Option<&str>) -> Result<(Vec<Recipient>, Routes), SetupError> {
        let context = NotifierContext {
            timeout: self.common.timeout,
            dashboard: dashboard.map(|url| url.trim_end_matches('/')),
        };
        let routes = Routes::new(&self.common.routes).map_err(Into::into);
        routes
            .and_then(|routes| Ok((self.kind.build(&context)?, routes)))
            .map_err(|source| SetupError {
                section: format!("notify {:?}", self.name()),
                source,
            })
    }

    /// Checks the routes of entry number `index`.
    ///
    /// # Errors
    ///
    /// When a pattern, the hours or the zone of a route cannot be parsed.
    pub(crate) fn check(&self, index: usize) -> Result<(), KeyError> {
        let checked = Routes::new(&self.common.routes).map(drop);
        checked.map_err(|error| {
            let path = format!("notify[{index}].routes[{}].{}", error.index, error.key);
            KeyError::value(path, error.problem)
        })
    }
}

/// The name of a notifier: 1 to 32 characters of `a-z`, `0-9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NotifierName(String);

impl fmt::Display for NotifierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for NotifierName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if (1..=32).contains(&text.len()) && text.chars().all(is_allowed) {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is not a valid name: use 1 to 32 characters of a-z, 0-9, _ and -"
            ))
        }
    }
}
