//! Maintenance windows: when people do not want to hear of something, once or again and again. Pure.
//!
//! In: a window as it is stored, and the time. Out: the silence that it is right now, if any. A window that comes again is
//! told by the wall clock of its time zone, in cron's five fields: `0 22 * * SUN` for four hours is four hours from
//! Sunday at ten in the evening on, whatever the sun does with the clocks.

use std::cmp::Ordering;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::time::{CivilDateTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest that a window that comes again may last.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A window as it is stored in `rackwatch:windows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Names it.
    pub id: String,
    /// What it is for.
    pub matcher: Matcher,
    /// When.
    #[serde(flatten)]
    pub when: When,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

/// When a window is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum When {
    /// Again and again.
    Again {
        /// When it opens, as cron has it: minute, hour, day of the month, month, day of the week.
        cron: String,
        /// How long it stays open.
        #[serde(rename = "length_ms", with = "rackwatch_core::time::millis")]
        length: Duration,
        /// The time zone of that clock, as `Europe/Berlin`.
        zone: String,
    },
    /// Once.
    Once {
        /// From when on.
        #[serde(rename = "from_ms")]
        from: Timestamp,
        /// Until when.
        #[serde(rename = "until_ms")]
        until: Timestamp,
    },
}

/// A window that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAWindow {
    /// What it is for.
    #[error("{0}")]
    Matcher(String),
    /// When it opens.
    #[error(
        "{text:?} is not minute, hour, day of the month, month and day of the week as cron has them: {why}"
    )]
    Cron {
        /// What was written.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// Where its clock hangs.
    #[error("{0:?} is not a time zone such as Europe/Berlin or UTC")]
    Zone(String),
    /// How long.
    #[error("a window that comes again lasts between a minute and seven days")]
    Length,
    /// Between nothing.
    #[error("it ends before it begins")]
    Empty,
}

impl Window {
    /// Whether it can be meant.
    ///
    /// # Errors
    ///
    /// What cannot.
    pub fn check(&self) -> Result<(), NotAWindow> {
        self.matcher.check().map_err(NotAWindow::Matcher)?;
        match &self.when {
            When::Once { from, until } if until <= from => Err(NotAWindow::Empty),
            When::Once { .. } => Ok(()),
            When::Again { cron, length, zone } => {
                parsed(cron)?;
                zone_of(zone)?;
                if *length < Duration::from_mins(1) || *length > LONGEST {
                    return Err(NotAWindow::Length);
                }
                Ok(())
            }
        }
    }

    /// It will never be open again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        matches!(self.when, When::Once { until, .. } if until <= now)
    }

    /// From when until when it is open, where it is open now.
    pub fn open(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        match &self.when {
            When::Once { from, until } => (*from <= now && now < *until).then_some((*from, *until)),
            When::Again { cron, length, zone } => {
                let zone = zone_of(zone).ok()?;
                let wall = wall(now, &zone)?;
                let began = parsed(cron)
                    .ok()?
                    .find_previous_occurrence(&wall, true)
                    .ok()?;
                let from = instant(&began, &zone)?;
                let until = from.plus(*length);
                (from <= now && now < until).then_some((from, until))
            }
        }
    }

    /// When it opens next; that is not now.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Once { from, .. } => (*from > now).then_some(*from),
            When::Again { cron, zone, .. } => {
                let zone = zone_of(zone).ok()?;
                let next = parsed(cron)
                    .ok()?
                    .find_next_occurrence(&wall(now, &zone)?, false);
                instant(&next.ok()?, &zone)
            }
        }
    }

    /// The silence that it is now.
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

fn parsed(text: &str) -> Result<Cron, NotAWindow> {
    let wrong = |why: String| NotAWindow::Cron {
        text: text.to_owned(),
        why,
    };
    // The library knows seconds and years too; a window has neither.
    if text.split_whitespace().count() != 5 {
        return Err(wrong("five fields are wanted".to_owned()));
    }
    Cron::from_str(text).map_err(|error| wrong(error.to_string()))
}

fn zone_of(name: &str) -> Result<TimeZone, NotAWindow> {
    TimeZone::get(name).map_err(|_| NotAWindow::Zone(name.to_owned()))
}

/// What a clock on a wall there says.
fn wall(at: Timestamp, zone: &TimeZone) -> Option<Wall> {
    let millis = i64::try_from(at.millis()).ok()?;
    let at = jiff::Timestamp::from_millisecond(millis).ok()?;
    Wall::new(zone.to_datetime(at))
}

fn instant(wall: &Wall, zone: &TimeZone) -> Option<Timestamp> {
    // A time that the clock skips is the one right after; one that it shows twice, the first.
    let at = zone.to_timestamp(wall.at).ok()?;
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).ok()?)
}

/// A wall clock's time, for the library: it has no zone of its own.
#[derive(Clone, Debug)]
struct Wall {
    at: DateTime,
    /// The same, as the library has it.
    civil: CivilDateTime,
}

impl Wall {
    fn new(at: DateTime) -> Option<Self> {
        let part = |number: i8| u32::try_from(number).ok();
        let civil = CivilDateTime::from_ymd_hms_opt(
            at.year().into(),
            part(at.month())?,
            part(at.day())?,
            part(at.hour())?,
            part(at.minute())?,
            part(at.second())?,
        )?;
        Some(Self { at, civil })
    }
}

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        self.civil
    }

    fn civil_weekday(&self) -> Weekday {
        match self.at.weekday() {
            jiff::civil::Weekday::Monday => Weekday::Monday,
            jiff::civil::Weekday::Tuesday => Weekday::Tuesday,
            jiff::civil::Weekday::Wednesday => Weekday::Wednesday,
            jiff::civil::Weekday::Thursday => Weekday::Thursday,
            jiff::civil::Weekday::Friday => Weekday::Friday,
            jiff::civil::Weekday::Saturday => Weekday::Saturday,
            jiff::civil::Weekday::Sunday => Weekday::Sunday,
        }
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |number: u32| i8::try_from(number).map_err(|_| CronError::InvalidTime);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        )
        .map(|at| Resolution::Single(Self { at, civil }))
        .map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let by = jiff::Span::new().try_seconds(seconds).ok()?;
        Self::new(self.at.checked_add(by).ok()?)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
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
            when: When::Again {
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
        window.check().unwrap();
        // 29 November 2026 is a Sunday; Berlin is an hour ahead.
        assert_eq!(window.open(at("2026-11-29T20:59:59Z")), None);
        let open = window.open(at("2026-11-29T21:00:00Z")).unwrap();
        let expected = (at("2026-11-29T21:00:00Z"), at("2026-11-30T01:00:00Z"));
        assert_eq!(open, expected);
        assert!(window.silence(at("2026-11-30T00:59:59Z")).is_some());
        assert_eq!(window.open(at("2026-11-30T01:00:00Z")), None);
        // In summer two hours.
        assert!(window.open(at("2026-07-05T20:00:00Z")).is_some());
        assert_eq!(
            window.next(at("2026-11-26T00:00:00Z")),
            Some(at("2026-11-29T21:00:00Z"))
        );
        // The night in which clocks are put back: four hours all the same.
        let (from, until) = window.open(at("2026-10-25T22:00:00Z")).unwrap();
        assert_eq!(until.since(from), Duration::from_hours(4));
    }

    #[test]
    fn a_window_may_come_once() {
        let window = Window {
            when: When::Once {
                from: at("2026-11-29T20:00:00Z"),
                until: at("2026-11-29T21:00:00Z"),
            },
            ..sundays()
        };
        window.check().unwrap();
        assert!(window.open(at("2026-11-29T20:30:00Z")).is_some());
        assert!(window.is_over(at("2026-11-29T21:00:00Z")));
        let json = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), window);
        let again = serde_json::to_string(&sundays()).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&again).unwrap(), sundays());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let with = |cron: &str, zone: &str, length| {
            let when = When::Again {
                cron: cron.to_owned(),
                length: Duration::from_secs(length),
                zone: zone.to_owned(),
            };
            Window { when, ..sundays() }.check()
        };
        let cron = with("0 22 * *", "UTC", 60).unwrap_err().to_string();
        assert!(cron.contains("five fields"), "{cron}");
        let cron = with("0 25 * * *", "UTC", 60).unwrap_err().to_string();
        assert!(cron.contains("0 25 * * *"), "{cron}");
        assert_eq!(
            with("0 22 * * *", "Atlantis", 60),
            Err(NotAWindow::Zone("Atlantis".to_owned()))
        );
        assert_eq!(with("0 22 * * *", "UTC", 1), Err(NotAWindow::Length));
        let nothing = Window {
            matcher: Matcher::default(),
            ..sundays()
        };
        assert!(matches!(nothing.check(), Err(NotAWindow::Matcher(_))));
    }
}
