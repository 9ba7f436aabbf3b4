//! Times on the command line: `now`, `-1h`, `2026-11-23 14:00`, with or without a time zone.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;

use super::common::{Failure, usage};

/// A time, absolute or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeArg {
    /// This long before now.
    Ago(Duration),
    /// An absolute point in time.
    At(Timestamp),
}

impl TimeArg {
    /// Returns the absolute time, given the current time.
    pub(super) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.minus(ago),
            Self::At(at) => at,
        }
    }
}

/// Flags for a range of time. A command with another default start changes it with `mut_arg`.
#[derive(Clone, Debug, Args)]
pub(super) struct RangeArgs {
    /// Start of the range: -1h, 2026-11-23T14:00, 2026-11-23T14:00:00Z
    #[arg(
        long,
        value_name = "TIME",
        default_value = "-1h",
        allow_hyphen_values = true
    )]
    from: TimeArg,
    /// End of the range
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        allow_hyphen_values = true
    )]
    to: TimeArg,
}

impl RangeArgs {
    /// Returns start and end, given the current time.
    ///
    /// # Errors
    ///
    /// When the range is empty.
    pub(super) fn resolve(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
        let (from, to) = (self.from.resolve(now), self.to.resolve(now));
        if from >= to {
            return Err(usage(anyhow::anyhow!(
                "empty time range: --from must be before --to"
            )));
        }
        Ok((from, to))
    }
}

/// A text that is not a time.
#[derive(Debug, thiserror::Error)]
#[error("expected `now`, a duration before now such as -1h, or a time such as 2026-11-23T14:00")]
pub(super) struct ParseTimeError;

impl FromStr for TimeArg {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        if let Some(ago) = text.strip_prefix('-') {
            return humantime::parse_duration(ago)
                .map(Self::Ago)
                .map_err(|_| ParseTimeError);
        }
        let at = match text.parse::<jiff::Timestamp>() {
            Ok(at) => at,
            // Without a zone: local time.
            Err(_) => text
                .parse::<DateTime>()
                .and_then(|at| TimeZone::system().to_timestamp(at))
                .map_err(|_| ParseTimeError)?,
        };
        let millis = u64::try_from(at.as_millisecond()).map_err(|_| ParseTimeError)?;
        Timestamp::from_millis(millis)
            .map(Self::At)
            .ok_or(ParseTimeError)
    }
}

/// Returns a time near `now` for people: `23:38` on the same day, else `2026-11-23 23:38`.
pub(super) fn clock_time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let local = |at: Timestamp| {
        let at = i64::try_from(at.millis()).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX);
        at.to_zoned_datetime(zone.clone())
    };
    let (at, now) = (local(at), local(now));
    let format = if at.date() == now.date() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_shown_only_for_another_day() {
        let now = Timestamp::from_millis(1_795_438_931_000).unwrap();
        let after = |hours: u64| {
            let at = now.plus(Duration::from_secs(hours * 3600));
            clock_time(at, now, &TimeZone::UTC)
        };
        assert_eq!(after(10), "23:02");
        assert_eq!(after(11), "2026-11-24 00:02");
    }

    #[test]
    fn relative_and_absolute_times_are_parsed() {
        let now = Timestamp::from_millis(1_795_438_931_000).unwrap();
        let read = |text: &str| text.parse::<TimeArg>().unwrap().resolve(now);
        assert_eq!(read("now"), now);
        assert_eq!(read("-90m"), now.minus(Duration::from_secs(5400)));
        assert_eq!(read("2026-11-23T13:02:11Z"), now);
        assert_eq!(read("2026-11-23T14:02:11+01:00"), now);
        read("2026-11-23 14:00");
        read("2026-11-23");
        for wrong in ["", "-", "yesterday", "1h", "-1", "1900-01-01T00:00:00Z"] {
            wrong.parse::<TimeArg>().unwrap_err();
        }
    }
}
