//! The collector's configuration: every key with its default.

mod notify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::incident::IncidentTiming;
use rackwatch_core::partition::Partitions;
use rackwatch_core::rules::{Profile, RawRule, RuleError, RuleSet};
use rackwatch_core::wire::Decoded;
use rackwatch_runtime::config::{
    self, ByteSize, ConfigError, Loaded, LogConfig, Place, RedisConfig, RedisUrl,
};
use serde::Deserialize;

pub use notify::{
    Day, Encryption, HeartbeatConfig, NotifierConfig, NotifierKind, NotifierName, RouteConfig,
};

use crate::series::SeriesConfig;

/// `collector.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorConfig {
    /// Where Redis is.
    pub redis: RedisConfig,
    /// The program's own log.
    pub log: LogConfig,
    /// How readings are spread, and who owns a part of them.
    pub partition: PartitionConfig,
    /// The raw stream.
    pub stream: StreamConfig,
    /// Where series are kept and for how long.
    pub series: SeriesConfig,
    /// Where alerts are told.
    pub alerts: AlertsConfig,
    /// When people are told of incidents.
    pub incidents: IncidentsConfig,
    /// Who is told.
    pub notify: Vec<NotifierConfig>,
    /// Who notices when all of this stops.
    pub heartbeat: HeartbeatConfig,
    /// The web side.
    pub web: WebConfig,
    /// The operator's own rules, laid over the defaults.
    pub rules: Vec<RawRule>,
}

/// `[partition]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartitionConfig {
    /// How many partitions the readings are spread over; 0: none. Left out, what this Redis holds
    /// counts, and none on an empty one. To change it later: `partitions resize`.
    pub count: Option<Partitions>,
    /// How long a collector owns a partition without saying so again: after a crash another one
    /// takes over so much later. At least half a second, default 10 s.
    #[serde(deserialize_with = "lease")]
    pub lease: Duration,
    /// How often detector state is saved: whoever takes over has at most so much to run through
    /// again. Default 30 s.
    #[serde(with = "config::duration")]
    pub save_every: Duration,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            count: None,
            lease: Duration::from_secs(10),
            save_every: Duration::from_secs(30),
        }
    }
}

/// A shorter lease would be lost to every pause of the machine.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

fn lease<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let lease = config::duration::deserialize(from)?;
    if lease < SHORTEST_LEASE {
        return Err(serde::de::Error::custom("a lease lasts at least 500ms"));
    }
    Ok(lease)
}

/// `[stream]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamConfig {
    /// Entries younger than this stay in the raw stream for people to look at, although they are
    /// done.
    #[serde(with = "config::duration")]
    pub keep: Duration,
    /// A reading that is further ahead of the time at which its entry came goes to the dead letters.
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

/// `[alerts]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Whose limits hold for the air that equipment takes in, where no rule says otherwise.
    pub profile: Profile,
    /// A rule that fires on a device so soon after it was resolved there must stay clear for as long
    /// before it is resolved again: what flaps is said twice, not every minute. Zero: off.
    #[serde(with = "config::duration")]
    pub flap: Duration,
    /// Print alerts on stdout.
    pub console: bool,
    /// Also write the same lines to this file.
    pub file: Option<PathBuf>,
    /// Also write records to this file, a JSON object a line.
    pub json_file: Option<PathBuf>,
    /// A file that has grown to this size is put aside and begun again.
    pub rotate_at: ByteSize,
    /// So many files that were put aside are kept.
    pub rotate_keep: usize,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            flap: RuleSet::FLAP,
            console: true,
            file: None,
            json_file: None,
            rotate_at: ByteSize(10 << 20),
            rotate_keep: 5,
        }
    }
}

/// `[incidents]`.
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

/// `[web]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Where the page, the API, metrics and health are.
    pub listen: SocketAddr,
    /// Where people find the page, for links in what they are told: `https://rackwatch.example.org`.
    pub public_url: Option<String>,
    /// Who may look and act: a file that `access add` writes. Needed where others can reach the address.
    pub access_file: Option<PathBuf>,
    /// Everybody who can reach the address may look and act.
    pub allow_unauthenticated: bool,
    /// A certificate with its chain, PEM; with it the page is https.
    pub tls_cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// So many pages are kept up to date at a time.
    pub max_streams: usize,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            access_file: None,
            allow_unauthenticated: false,
            tls_cert_file: None,
            tls_key_file: None,
            max_streams: 256,
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// A file, key or value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An invalid rule.
    #[error("invalid rule in {place}")]
    Rule {
        /// The place of the key, or of its rule.
        place: Place,
        /// The key and what is wrong with it.
        #[source]
        source: RuleError,
    },
}

impl CollectorConfig {
    /// Reads the file, or the standard one where none is named; the environment and then `redis`
    /// override it.
    pub fn load(path: Option<&Path>, redis: Option<&RedisUrl>) -> Result<Self, BadConfig> {
        let Loaded { mut config, from } = config::load::<Self>("collector", path)?;
        if let Some(url) = redis {
            config.redis.url = url.clone();
        }
        match config.rule_set() {
            Ok(_) => Ok(config),
            Err(source) => {
                let key = config::TableKey {
                    tables: "rules",
                    index: source.index,
                    key: &source.key,
                };
                let place = config::place_of(from.as_deref(), &key);
                Err(BadConfig::Rule { place, source })
            }
        }
    }

    /// The rules that hold.
    pub fn rule_set(&self) -> Result<Arc<RuleSet>, RuleError> {
        let rules = RuleSet::of_profile(self.alerts.profile, &self.rules)?;
        Ok(Arc::new(rules.damped(self.alerts.flap)))
    }
}

#[cfg(test)]
mod tests;
