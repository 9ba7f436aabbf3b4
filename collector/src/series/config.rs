//! The `[series]` section: backend and retention of series.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The backend that stores series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeriesBackend {
    /// `TimeSeries` if this Redis has it, else plain.
    #[default]
    Auto,
    /// `TS.*` commands of Redis 8, Redis Stack or the module.
    TimeSeries,
    /// One stream per device, on any Redis or Valkey.
    Plain,
    /// Memory of this process, lost when it ends.
    Memory,
}

/// The `[series]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesConfig {
    /// Backend that stores series. Default `auto`.
    pub backend: SeriesBackend,
    /// Retention of raw readings. Default 48 h with `TimeSeries`, 6 h on the others, where a reading
    /// takes more memory.
    #[serde(deserialize_with = "some_duration")]
    pub raw_retention: Option<Duration>,
    /// Retention of one-minute roll-ups.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub rollup_retention: Duration,
    /// Most commands, or samples in one command, that are sent before waiting for replies.
    pub max_batch: NonZeroUsize,
}

impl Default for SeriesConfig {
    fn default() -> Self {
        Self {
            backend: SeriesBackend::Auto,
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
        assert_eq!(config.backend, SeriesBackend::Plain);
        assert_eq!(config.raw_retention, Some(Duration::from_hours(2)));
        assert_eq!(config.max_batch.get(), 500);
        toml::from_str::<SeriesConfig>("max_batch = 0").unwrap_err();
        toml::from_str::<SeriesConfig>("retention = \"2h\"").unwrap_err();
    }
}
