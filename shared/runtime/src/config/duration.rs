//! Durations as people write them: `#[serde(with = "rackwatch_runtime::config::duration")]`.
//!
//! In: text such as `"10s"`, `"5m"` or `"2h 30m"`. A number without a unit is refused: it
//! could be seconds or milliseconds.

use std::time::Duration;

use serde::Deserializer;

/// Reads a duration.
///
/// # Errors
///
/// When it is not text with a number and a unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Visitor)
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = Duration;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration with its unit, such as \"500ms\", \"10s\" or \"2h 30m\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}
