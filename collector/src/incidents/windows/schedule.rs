//! Schedules of windows: cron's five fields, by the wall clock of a time zone.
//!
//! `0 22 * * SUN` for four hours is four hours from ten in the evening on Sundays, in summer and in winter. A time that the
//! clock skips counts as the moment after. One that it shows twice counts once, the first time.

use std::cmp::Ordering;
use std::str::FromStr;

use croner::Cron;
use croner::errors::CronError;
use croner::time::{CivilDateTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;

/// The reason why a schedule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A text that is not five cron fields.
    #[error(
        "{text:?} is not a cron schedule of minute, hour, day of the month, month and day of the week: {why}"
    )]
    Cron {
        /// The fields as given.
        text: String,
        /// The fault that the parser found.
        why: String,
    },
    /// An unknown time zone.
    #[error("{0:?} is not a time zone such as Europe/Berlin or UTC")]
    Zone(String),
}

/// A parsed schedule with its time zone.
pub(super) struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Parses five cron fields and the name of a time zone.
    pub(super) fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let invalid = |why: String| ScheduleError::Cron {
            text: cron.to_owned(),
            why,
        };
        // The library also knows seconds and years, which a window does not.
        if cron.split_whitespace().count() != 5 {
            return Err(invalid("expected five fields".to_owned()));
        }
        Ok(Self {
            cron: Cron::from_str(cron).map_err(|error| invalid(error.to_string()))?,
            zone: TimeZone::get(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?,
        })
    }

    /// Returns the newest opening time up to now.
    pub(super) fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        let wall = self.wall_clock(now)?;
        let previous = self.cron.find_previous_occurrence(&wall, true);
        self.instant(&previous.ok()?)
    }

    /// Returns the first opening time after now.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let wall = self.wall_clock(now)?;
        let next = self.cron.find_next_occurrence(&wall, false);
        self.instant(&next.ok()?)
    }

    fn wall_clock(&self, at: Timestamp) -> Option<WallClock> {
        let millis = i64::try_from(at.millis()).ok()?;
        let at = jiff::Timestamp::from_millisecond(millis).ok()?;
        WallClock::new(self.zone.to_datetime(at))
    }

    fn instant(&self, wall: &WallClock) -> Option<Timestamp> {
        let at = self.zone.to_timestamp(wall.at).ok()?;
        Timestamp::from_millis(u64::try_from(at.as_millisecond()).ok()?)
    }
}

/// A local time without a zone, in the form that the cron library takes.
#[derive(Clone, Debug)]
struct WallClock {
    at: DateTime,
    /// The same time in the type of the cron library.
    civil: CivilDateTime,
}

impl WallClock {
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

impl CronDateTime for WallClock {
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
