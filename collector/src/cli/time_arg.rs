//! Points in time as people type them: `now`, `-1h`, `2026-11-23 14:00`, with or without a zone.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;

/// A point in time, perhaps as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long before now.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

impl When {
    /// The point in time, as seen from `now`.
    pub(super) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.minus(ago),
            Self::At(at) => at,
        }
    }
}

/// The text is no point in time.
#[derive(Debug, thiserror::Error)]
#[error("write now, a time before now such as -1h, or a time such as 2026-11-23T14:00")]
pub(super) struct NotATime;

impl FromStr for When {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        if let Some(ago) = text.strip_prefix('-') {
            return humantime::parse_duration(ago)
                .map(Self::Ago)
                .map_err(|_| NotATime);
        }
        let at = match text.parse::<jiff::Timestamp>() {
            Ok(at) => at,
            // Without a zone: by the clock on this wall.
            Err(_) => text
                .parse::<DateTime>()
                .and_then(|at| TimeZone::system().to_timestamp(at))
                .map_err(|_| NotATime)?,
        };
        let millis = u64::try_from(at.as_millisecond()).map_err(|_| NotATime)?;
        Timestamp::from_millis(millis).map(Self::At).ok_or(NotATime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let now = Timestamp::from_millis(1_795_438_931_000).unwrap();
        let read = |text: &str| text.parse::<When>().unwrap().seen_from(now);
        assert_eq!(read("now"), now);
        assert_eq!(read("-90m"), now.minus(Duration::from_secs(5400)));
        assert_eq!(read("2026-11-23T13:02:11Z"), now);
        assert_eq!(read("2026-11-23T14:02:11+01:00"), now);
        read("2026-11-23 14:00");
        read("2026-11-23");
        for wrong in ["", "-", "yesterday", "1h", "-1", "1900-01-01T00:00:00Z"] {
            wrong.parse::<When>().unwrap_err();
        }
    }
}
