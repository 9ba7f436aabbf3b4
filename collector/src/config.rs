//! The collector's configuration: every key with its default.

mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::incident::IncidentTiming;
use rackwatch_core::partition::Partitions;
use rackwatch_core::rules::{Profile, RawRule, RuleError, RuleFault, RuleSet};
use rackwatch_core::wire::Decoded;
use rackwatch_runtime::config::checked::unique_names;
use rackwatch_runtime::config::{
    self, ByteSize, ConfigError, KeyError, KeyFault, LogConfig, RedisConfig, RedisUrl, Settings,
};
use serde::Deserialize;

use crate::notify::{HeartbeatConfig, NotifierConfig};
use crate::progress::Progress;
use crate::series::SeriesConfig;

pub use web::{AccessLevel, ForwardedHeader, HostName, Network, PublicUrl, UserHeader, WebConfig};

/// All sections of `collector.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorConfig {
    /// The connection to Redis.
    pub redis: RedisConfig,
    /// The program's own log.
    pub log: LogConfig,
    /// The number of partitions, and their ownership.
    pub partition: PartitionConfig,
    /// The retention of the raw stream, and what it accepts.
    pub stream: StreamConfig,
    /// The storage of time series.
    pub series: SeriesConfig,
    /// The alert sinks, and settings of all rules.
    pub alerts: AlertsConfig,
    /// The timing of incidents and their notifications.
    pub incidents: IncidentsConfig,
    /// The notifiers of incidents, in the order of the file.
    pub notify: Vec<NotifierConfig>,
    /// The limit of readiness and of the heartbeat.
    pub health: HealthConfig,
    /// The outside monitor of Rackwatch itself.
    pub heartbeat: HeartbeatConfig,
    /// The dashboard and the API.
    pub web: WebConfig,
    /// The operator's rules, which override the defaults.
    pub rules: Vec<RawRule>,
}

/// The keys of `[partition]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartitionConfig {
    /// The number of partitions that readings are spread over; 0 for a single raw stream. By default the number that
    /// Redis holds, or 0 on an empty Redis. `partitions resize` changes it later.
    pub count: Option<Partitions>,
    /// The duration of a partition lease. After a crash another collector takes over once the lease has expired. At
    /// least 500 ms, default 10 s.
    #[serde(deserialize_with = "lease")]
    pub lease: Duration,
    /// The interval at which detector state is saved. A new owner replays at most this much. Default 30 s.
    #[serde(with = "config::duration")]
    pub save_every: Duration,
    /// The most devices of a partition. Readings of further devices become dead letters, so that a client that makes up
    /// device ids cannot exhaust memory. At least 1, default 100,000.
    #[serde(deserialize_with = "max_devices")]
    pub max_devices: usize,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            count: None,
            lease: Duration::from_secs(10),
            save_every: Duration::from_secs(30),
            max_devices: 100_000,
        }
    }
}

/// Shortest lease: a shorter one would be lost at every pause of the machine.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

fn lease<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let lease = config::duration::deserialize(from)?;
    if lease < SHORTEST_LEASE {
        return Err(serde::de::Error::custom("expected at least 500ms"));
    }
    Ok(lease)
}

fn max_devices<'de, D: serde::Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let most = usize::deserialize(from)?;
    if most == 0 {
        return Err(serde::de::Error::custom("expected at least 1"));
    }
    Ok(most)
}

/// The keys of `[stream]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamConfig {
    /// The age up to which processed entries stay in the raw stream, for people to look at. Default 10 min.
    #[serde(with = "config::duration")]
    pub keep: Duration,
    /// The most that a reading may be ahead of the arrival of its entry. Readings further ahead show a wrong clock.
    /// Default 1 min.
    #[serde(with = "config::duration")]
    pub max_future: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(600),
            max_future: Decoded::MAX_FUTURE,
        }
    }
}

/// The keys of `[alerts]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// The limits for inlet air, where no rule sets others.
    pub profile: Profile,
    /// The window of flap damping: a rule that fires again this soon after it was resolved must stay clear for as long
    /// before it is resolved again. Zero disables it. Default 30 min.
    #[serde(with = "config::duration")]
    pub flap: Duration,
    /// The time without data after which the alerts of a sensor end, resolved by nothing. Its `no_data` alert goes on
    /// while the sensor is described. At least 1 min, default 24 h.
    #[serde(deserialize_with = "stale_after")]
    pub stale_after: Duration,
    /// Whether alerts are printed on stdout.
    pub console: bool,
    /// A file for the same lines.
    pub file: Option<PathBuf>,
    /// A file for the records, one JSON object a line.
    pub json_file: Option<PathBuf>,
    /// The size at which these files are rotated. Default 10 MiB.
    pub rotate_at: ByteSize,
    /// The number of rotated files that are kept. Default 5.
    pub rotate_keep: usize,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            flap: RuleSet::FLAP,
            stale_after: RuleSet::STALE_AFTER,
            console: true,
            file: None,
            json_file: None,
            rotate_at: ByteSize(10 << 20),
            rotate_keep: 5,
        }
    }
}

impl AlertsConfig {
    /// Returns the profile's rules with `own` over them, and with the settings of all rules.
    ///
    /// # Errors
    ///
    /// When a rule is wrong.
    pub fn rule_set(&self, own: &[RawRule]) -> Result<RuleSet, RuleError> {
        let rules = RuleSet::of_profile(self.profile, own)?;
        Ok(rules.damped(self.flap).with_stale_after(self.stale_after))
    }
}

/// Shortest time: a look at all devices comes once a minute.
const SHORTEST_STALE_AFTER: Duration = Duration::from_mins(1);

fn stale_after<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let stale_after = config::duration::deserialize(from)?;
    if stale_after < SHORTEST_STALE_AFTER {
        return Err(serde::de::Error::custom("expected at least 1m"));
    }
    Ok(stale_after)
}

/// The keys of `[incidents]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentsConfig {
    /// Delay before the first notification of a non-critical incident, so that related alerts can join. Default
    /// 10 s.
    #[serde(with = "config::duration")]
    pub group_wait: Duration,
    /// Time since an incident last grew in which an alert behind the same cooler, in the same row or in the same
    /// room still joins it. Default 5 min.
    #[serde(with = "config::duration")]
    pub group_window: Duration,
    /// Time without an open alert after which an incident is resolved. Default 10 min.
    #[serde(with = "config::duration")]
    pub resolve_after: Duration,
    /// Interval between notifications of a critical incident that is not acknowledged. Default 30 min.
    #[serde(with = "config::duration")]
    pub repeat_interval_critical: Duration,
    /// Interval between notifications of any other incident that is not acknowledged. Default 4 h.
    #[serde(with = "config::duration")]
    pub repeat_interval_warning: Duration,
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        let IncidentTiming {
            group_wait,
            group_window,
            resolve_after,
            repeat_interval_critical,
            repeat_interval_warning,
        } = IncidentTiming::default();
        Self {
            group_wait,
            group_window,
            resolve_after,
            repeat_interval_critical,
            repeat_interval_warning,
        }
    }
}

impl IncidentsConfig {
    /// Returns the timing for the core.
    pub fn timing(&self) -> IncidentTiming {
        IncidentTiming {
            group_wait: self.group_wait,
            group_window: self.group_window,
            resolve_after: self.resolve_after,
            repeat_interval_critical: self.repeat_interval_critical,
            repeat_interval_warning: self.repeat_interval_warning,
        }
    }
}

/// The keys of `[health]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// The longest time that a reading or an alert may wait, or that Redis may not answer, before `/readyz` fails and the
    /// heartbeat stops. At least 2 s, default 30 s.
    #[serde(deserialize_with = "stuck_after")]
    pub stuck_after: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            stuck_after: Progress::LIMIT,
        }
    }
}

/// Shortest limit: reads block for up to a second.
const SHORTEST_STUCK_AFTER: Duration = Duration::from_secs(2);

fn stuck_after<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let limit = config::duration::deserialize(from)?;
    if limit < SHORTEST_STUCK_AFTER {
        return Err(serde::de::Error::custom("expected at least 2s"));
    }
    Ok(limit)
}

impl Settings for CollectorConfig {
    fn check(&self) -> Result<(), KeyError> {
        self.redis.check()?;
        self.heartbeat.check()?;
        self.web.check()?;
        // Notifiers with one name would share a consumer group.
        unique_names("notify", self.notify.iter().map(NotifierConfig::name))?;
        for (index, notifier) in self.notify.iter().enumerate() {
            notifier.check(index)?;
        }
        self.rule_set().map(drop).map_err(rule_error)
    }
}

/// Returns the error of a rule with the path of its key.
fn rule_error(error: RuleError) -> KeyError {
    let fault = match error.fault {
        RuleFault::Missing => KeyFault::Missing(error.why),
        RuleFault::Key => KeyFault::Key(error.why),
        RuleFault::Value => KeyFault::Value(error.why),
    };
    KeyError {
        path: format!("rules[{}].{}", error.index, error.key),
        fault,
    }
}

impl CollectorConfig {
    /// Reads the file at `path`, or the standard one without a path. The environment overrides the file, and `redis`
    /// overrides both.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a key, value or rule is wrong.
    pub fn load(path: Option<&Path>, redis: Option<&RedisUrl>) -> Result<Self, ConfigError> {
        let mut config = config::load::<Self>("collector", path)?.config;
        if let Some(url) = redis {
            config.redis.url = url.clone();
        }
        Ok(config)
    }

    /// Returns the rules in force: the profile's, with the operator's over them.
    ///
    /// # Errors
    ///
    /// When a rule is wrong.
    pub fn rule_set(&self) -> Result<Arc<RuleSet>, RuleError> {
        Ok(Arc::new(self.alerts.rule_set(&self.rules)?))
    }
}

/// The `[[rules]]` of a configuration file whose other sections are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RulesFile {
    rules: Vec<RawRule>,
}

impl Settings for RulesFile {
    fn check(&self) -> Result<(), KeyError> {
        if self.rules.is_empty() {
            return Err(KeyError {
                path: "rules".to_owned(),
                fault: KeyFault::Missing("add at least one [[rules]] table".to_owned()),
            });
        }
        RuleSet::with_defaults(&self.rules)
            .map(drop)
            .map_err(rule_error)
    }
}

/// Reads and checks the `[[rules]]` of a configuration file.
///
/// # Errors
///
/// When the file cannot be read, has no rule, or a rule is wrong.
pub fn load_rules(file: &Path) -> Result<Vec<RawRule>, ConfigError> {
    let loaded = config::load_from::<RulesFile>(Some(file), file, [])?;
    Ok(loaded.config.rules)
}

#[cfg(test)]
mod tests;
