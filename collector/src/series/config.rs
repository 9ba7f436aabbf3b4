//! The `[series]` section: where series live and for how long.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Where series live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `TimeSeries` where this Redis has it, else plain.
    #[default]
    Auto,
    /// The `TS.*` commands of Redis 8, Redis Stack or the module.
    TimeSeries,
    /// A stream per device, on any Redis or Valkey.
    Plain,
    /// This process: gone when it ends.
    Memory,
}

/// The `[series]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesConfig {
    /// Where series live.
    pub backend: Backend,
    /// How long readings are kept; without it what suits the backend: 48 h with `TimeSeries`, 6 h
    /// where a reading takes more room.
    #[serde(deserialize_with = "some_duration")]
    pub raw_retention: Option<Duration>,
    /// How long one-minute roll-ups are kept.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub rollup_retention: Duration,
    /// The most commands, or samples in one command, that are sent before waiting for replies.
    pub max_batch: NonZeroUsize,
}

impl Default for SeriesConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            raw_retention: None,
            rollup_retention: Duration::from_hours(90 * 24),
            max_batch: const { NonZeroUsize::new(500).unwrap() },
        }
    }
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    rackwatch_runtime::config::duration::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_text_and_unknown_keys_are_refused() {
        let config: SeriesConfig =
            toml::from_str("backend = \"plain\"\nraw_retention = \"2h\"").unwrap();
        assert_eq!(config.backend, Backend::Plain);
        assert_eq!(config.raw_retention, Some(Duration::from_hours(2)));
        assert_eq!(config.max_batch.get(), 500);
        toml::from_str::<SeriesConfig>("max_batch = 0").unwrap_err();
        toml::from_str::<SeriesConfig>("retention = \"2h\"").unwrap_err();
    }
}
