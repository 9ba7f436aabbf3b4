//! Maintenance windows: silences that operators plan, once or on a schedule. Pure.
//!
//! In: a window as Redis holds it, and the time. Out: the silence that is in force now, if any.

mod schedule;

use std::time::Duration;

use rackwatch_core::incident::silence::{Matcher, Silence, check_duration};
use rackwatch_core::stored::{IfRefused, StoredValue};
use rackwatch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use schedule::Schedule;
pub use schedule::ScheduleError;

/// Longest open time of a scheduled window. A longer one would overlap its own next week.
const MAX_LENGTH: Duration = Duration::from_hours(7 * 24);
/// Shortest open time of a scheduled window: cron knows no shorter unit.
const MIN_LENGTH: Duration = Duration::from_mins(1);

/// A window, as `rackwatch:windows` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The id: six hexadecimal digits, also the field in Redis.
    pub id: String,
    /// The alerts that it covers.
    pub matcher: Matcher,
    /// The times at which it is open.
    #[serde(flatten)]
    pub when: WindowTimes,
    /// The reason, for other operators.
    pub reason: String,
    /// The person who added it.
    pub by: String,
}

impl StoredValue for Window {
    const NAME: &'static str = "maintenance window";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::ADD_AGAIN;
}

/// The times at which a window is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WindowTimes {
    /// Repeated on a schedule.
    Scheduled {
        /// The opening times in cron's five fields: minute, hour, day of the month, month, day of the week.
        cron: String,
        /// The time for which it stays open.
        #[serde(rename = "length_ms", with = "rackwatch_core::time::millis")]
        length: Duration,
        /// The IANA time zone that the schedule follows, such as `Europe/Berlin`.
        zone: String,
    },
    /// Once, between two points in time.
    Once {
        /// The start of the window, inclusive.
        #[serde(rename = "from_ms")]
        from: Timestamp,
        /// The end of the window, exclusive.
        #[serde(rename = "until_ms")]
        until: Timestamp,
    },
}

/// The reason why a window is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A matcher that is invalid or empty.
    #[error("{0}")]
    Matcher(String),
    /// An invalid schedule or time zone.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An open time that is too short or too long.
    #[error("a scheduled window must be open for one minute to seven days")]
    Length,
    /// A single window that is too short or too long.
    #[error("{0}")]
    Duration(String),
    /// A single window that has ended.
    #[error("the window has already ended: choose a later start")]
    Past,
    /// A schedule without a future date.
    #[error("the schedule has no date: {0:?} never comes")]
    Never(String),
}

impl Window {
    /// Checks that the window is open at some time from `now` on.
    ///
    /// # Errors
    ///
    /// Fails on the first invalid part.
    pub fn check(&self, now: Timestamp) -> Result<(), WindowError> {
        self.matcher.compile().map_err(WindowError::Matcher)?;
        match &self.when {
            WindowTimes::Once { from, until } => {
                check_duration(until.since(*from)).map_err(WindowError::Duration)?;
                if self.is_past(now) {
                    return Err(WindowError::Past);
                }
                Ok(())
            }
            WindowTimes::Scheduled { cron, length, zone } => {
                let schedule = Schedule::parse(cron, zone)?;
                if *length < MIN_LENGTH || *length > MAX_LENGTH {
                    return Err(WindowError::Length);
                }
                match schedule.next(now) {
                    Some(_) => Ok(()),
                    None => Err(WindowError::Never(cron.clone())),
                }
            }
        }
    }

    /// Returns whether the window will never be open again.
    pub fn is_past(&self, now: Timestamp) -> bool {
        matches!(self.when, WindowTimes::Once { until, .. } if until <= now)
    }

    /// Returns the start and the end of the window, if it is open now.
    pub fn open(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (from, until) = match &self.when {
            WindowTimes::Once { from, until } => (*from, *until),
            WindowTimes::Scheduled { cron, length, zone } => {
                let from = Schedule::parse(cron, zone).ok()?.previous(now)?;
                (from, from.plus(*length))
            }
        };
        (from <= now && now < until).then_some((from, until))
    }

    /// Returns the time at which the window opens next, after now.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            WindowTimes::Once { from, .. } => (*from > now).then_some(*from),
            WindowTimes::Scheduled { cron, zone, .. } => {
                Schedule::parse(cron, zone).ok()?.next(now)
            }
        }
    }

    /// Returns the silence that the window causes now.
    pub fn silence(&self, now: Timestamp) -> Option<Silence> {
        let (from, until) = self.open(now)?;
        Some(Silence {
            id: self.id.clone(),
            matcher: self.matcher.clone(),
            from,
            until,
            reason: self.reason.clone(),
            by: self.by.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::stored::{decode, encode};

    use super::*;

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(u64::try_from(at.as_millisecond()).unwrap()).unwrap()
    }

    fn sundays() -> Window {
        Window {
            id: "w1".to_owned(),
            matcher: Matcher {
                rack: Some("B*".to_owned()),
                ..Matcher::default()
            },
            when: WindowTimes::Scheduled {
                cron: "0 22 * * SUN".to_owned(),
                length: Duration::from_hours(4),
                zone: "Europe/Berlin".to_owned(),
            },
            reason: "updates".to_owned(),
            by: "ops".to_owned(),
        }
    }

    #[test]
    fn a_window_opens_by_the_clock_of_its_zone() {
        let window = sundays();
        window.check(at("2026-11-26T00:00:00Z")).unwrap();
        // 29 November 2026 is a Sunday; Berlin is an hour ahead.
        assert_eq!(window.open(at("2026-11-29T20:59:59Z")), None);
        let open = window.open(at("2026-11-29T21:00:00Z")).unwrap();
        let expected = (at("2026-11-29T21:00:00Z"), at("2026-11-30T01:00:00Z"));
        assert_eq!(open, expected);
        assert!(window.silence(at("2026-11-30T00:59:59Z")).is_some());
        assert_eq!(window.open(at("2026-11-30T01:00:00Z")), None);
        // In summer Berlin is two hours ahead.
        assert!(window.open(at("2026-07-05T20:00:00Z")).is_some());
        assert_eq!(
            window.next(at("2026-11-26T00:00:00Z")),
            Some(at("2026-11-29T21:00:00Z"))
        );
        // The night in which clocks go back: four hours all the same.
        let (from, until) = window.open(at("2026-10-25T22:00:00Z")).unwrap();
        assert_eq!(until.since(from), Duration::from_hours(4));
    }

    #[test]
    fn a_window_may_open_only_once() {
        let window = Window {
            when: WindowTimes::Once {
                from: at("2026-11-29T20:00:00Z"),
                until: at("2026-11-29T21:00:00Z"),
            },
            ..sundays()
        };
        window.check(at("2026-11-29T20:59:59Z")).unwrap();
        let past = window.check(at("2026-11-29T21:00:00Z"));
        assert_eq!(past, Err(WindowError::Past));
        assert!(window.open(at("2026-11-29T20:30:00Z")).is_some());
        assert!(window.is_past(at("2026-11-29T21:00:00Z")));
        for window in [window, sundays()] {
            let json = encode(&window);
            assert_eq!(decode::<Window>(json.as_bytes()).unwrap(), window, "{json}");
        }
    }

    #[test]
    fn an_invalid_window_is_refused() {
        let now = at("2026-11-26T00:00:00Z");
        let with = |cron: &str, zone: &str, length| {
            let when = WindowTimes::Scheduled {
                cron: cron.to_owned(),
                length: Duration::from_secs(length),
                zone: zone.to_owned(),
            };
            Window { when, ..sundays() }.check(now)
        };
        let cron = with("0 22 * *", "UTC", 60).unwrap_err().to_string();
        assert!(cron.contains("five fields"), "{cron}");
        let cron = with("0 25 * * *", "UTC", 60).unwrap_err().to_string();
        assert!(cron.contains("0 25 * * *"), "{cron}");
        assert_eq!(
            with("0 22 * * *", "Atlantis", 60),
            Err(ScheduleError::Zone("Atlantis".to_owned()).into())
        );
        assert_eq!(with("0 22 * * *", "UTC", 1), Err(WindowError::Length));
        let never = "0 0 30 2 *";
        let expected = WindowError::Never(never.to_owned());
        assert_eq!(with(never, "UTC", 60), Err(expected));
        let nothing = Window {
            matcher: Matcher::default(),
            ..sundays()
        };
        assert!(matches!(nothing.check(now), Err(WindowError::Matcher(_))));
    }
}
