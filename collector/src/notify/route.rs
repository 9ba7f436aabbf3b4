//! Routes: of which incidents a channel is told, by how bad they are, where, and what time it is. Pure.

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use rackwatch_core::alert::Severity;
use rackwatch_core::device::Role;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::time::Timestamp;

use crate::config::{Day, RouteConfig};

/// What one channel wants to hear of.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

#[derive(Clone, Debug)]
struct Route {
    severity: Severity,
    racks: Option<GlobSet>,
    rooms: Option<GlobSet>,
    roles: Vec<Role>,
    hours: Option<(Time, Time)>,
    days: Vec<Weekday>,
    zone: TimeZone,
}

/// A route that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes[{index}].{key} = {value:?}: {why}")]
pub struct NotARoute {
    /// Which, from 0.
    pub index: usize,
    /// Its key.
    pub key: &'static str,
    /// What it says.
    pub value: String,
    /// What is wrong with that.
    pub why: String,
}

impl Routes {
    /// As they are configured.
    ///
    /// # Errors
    ///
    /// When a glob, hours or a zone is none.
    pub fn new(config: &[RouteConfig]) -> Result<Self, NotARoute> {
        let routes = config.iter().enumerate();
        let routes = routes.map(|(index, route)| Route::new(route, index));
        Ok(Self(routes.collect::<Result<_, _>>()?))
    }

    /// Whether `record` is for this channel at `now`. What is over is told whoever was told that it began: at any
    /// hour.
    pub fn want(&self, record: &IncidentRecord, now: Timestamp) -> bool {
        self.0.is_empty() || self.0.iter().any(|route| route.wants(record, now))
    }
}

impl Route {
    fn new(config: &RouteConfig, index: usize) -> Result<Self, NotARoute> {
        let wrong = |key, value: &str, why: &str| NotARoute {
            index,
            key,
            value: value.to_owned(),
            why: why.to_owned(),
        };
        let globs = |key, texts: &[String]| {
            if texts.is_empty() {
                return Ok(None);
            }
            let mut set = GlobSetBuilder::new();
            for text in texts {
                set.add(Glob::new(text).map_err(|e| wrong(key, text, &e.to_string()))?);
            }
            let set = set.build();
            set.map(Some)
                .map_err(|error| wrong(key, &texts.join(", "), &error.to_string()))
        };
        let hours = config.hours.as_deref().map(|text| {
            let (from, to) = text.split_once('-')?;
            let time = |text: &str| text.trim().parse::<Time>().ok();
            Some((time(from)?, time(to)?))
        });
        let hours = match hours {
            Some(None) => {
                let text = config.hours.as_deref().unwrap_or_default();
                return Err(wrong("hours", text, "write them as 08:00-18:00"));
            }
            hours => hours.flatten(),
        };
        let zone = config.zone.as_deref().unwrap_or("UTC");
        Ok(Self {
            severity: config.severity.unwrap_or(Severity::Info),
            racks: globs("racks", &config.racks)?,
            rooms: globs("rooms", &config.rooms)?,
            roles: config.roles.clone(),
            hours,
            days: config.days.iter().copied().map(weekday).collect(),
            zone: TimeZone::get(zone)
                .map_err(|_| wrong("zone", zone, "no time zone such as Europe/Berlin"))?,
        })
    }

    fn wants(&self, record: &IncidentRecord, now: Timestamp) -> bool {
        let any = |globs: &Option<GlobSet>, names: &[String]| {
            let matches = |globs: &GlobSet| names.iter().any(|name| globs.is_match(name));
            globs.as_ref().is_none_or(matches)
        };
        let role = |role: &Role| self.roles.contains(role);
        record.severity >= self.severity
            && any(&self.racks, &record.racks)
            && any(&self.rooms, &record.rooms)
            && (self.roles.is_empty() || record.roles.iter().any(role))
            && (record.until.is_some() || self.is_on(now))
    }

    fn is_on(&self, now: Timestamp) -> bool {
        let millis = i64::try_from(now.millis()).unwrap_or(i64::MAX);
        let Ok(now) = jiff::Timestamp::from_millisecond(millis) else {
            return true;
        };
        let wall = self.zone.to_datetime(now);
        let (time, mut day) = (wall.time(), wall.weekday());
        let in_hours = match self.hours {
            None => true,
            Some((from, to)) if from <= to => from <= time && time < to,
            Some((from, to)) => {
                if time < to {
                    // It began yesterday.
                    day = day.previous();
                }
                time >= from || time < to
            }
        };
        in_hours && (self.days.is_empty() || self.days.contains(&day))
    }
}

fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example;

    fn routes(text: &str) -> Result<Routes, NotARoute> {
        #[derive(serde::Deserialize)]
        struct All {
            routes: Vec<RouteConfig>,
        }
        let all: All = toml::from_str(text).unwrap();
        Routes::new(&all.routes)
    }

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(u64::try_from(at.as_millisecond()).unwrap()).unwrap()
    }

    const NOON: &str = "2026-11-26T12:00:00Z";

    #[test]
    fn everything_where_nothing_is_said() {
        assert!(Routes::default().want(&example(), at(NOON)));
    }

    #[test]
    fn all_of_a_route_must_hold_and_one_route_is_enough() {
        let record = example();
        for (text, wanted) in [
            ("severity = 'critical'", true),
            ("racks = ['B0*']", true),
            ("racks = ['C*']", false),
            ("rooms = ['hall-1']\nroles = ['inlet']", true),
            ("rooms = ['hall-1']\nroles = ['cpu']", false),
            ("racks = ['C*']\n[[routes]]\nrooms = ['hall-?']", true),
        ] {
            let routes = routes(&format!("[[routes]]\n{text}")).unwrap();
            assert_eq!(routes.want(&record, at(NOON)), wanted, "{text}");
        }
        let warning = IncidentRecord {
            severity: Severity::Warning,
            ..record
        };
        let critical = routes("[[routes]]\nseverity = 'critical'").unwrap();
        assert!(!critical.want(&warning, at(NOON)));
    }

    #[test]
    fn hours_are_by_the_clock_of_the_zone() {
        let night = "[[routes]]\nhours = '18:00-08:00'\ndays = ['fri']\nzone = 'Europe/Berlin'";
        let night = routes(night).unwrap();
        // 27 November 2026 is a Friday; Berlin is an hour ahead.
        for (text, wanted) in [
            ("2026-11-27T16:59:59Z", false),
            ("2026-11-27T17:00:00Z", true),
            ("2026-11-28T06:59:59Z", true),
            ("2026-11-28T07:00:00Z", false),
            ("2026-11-28T20:00:00Z", false),
            ("2026-11-27T03:00:00Z", false),
        ] {
            assert_eq!(night.want(&example(), at(text)), wanted, "{text}");
        }
        let over = IncidentRecord {
            until: Some(at(NOON)),
            ..example()
        };
        assert!(night.want(&over, at("2026-11-28T12:00:00Z")), "it is over");
    }

    #[test]
    fn what_cannot_be_meant_says_where() {
        for (text, key) in [
            ("hours = 'always'", "hours"),
            ("racks = ['[']", "racks"),
            ("zone = 'Atlantis'", "zone"),
        ] {
            let error = routes(&format!("[[routes]]\n[[routes]]\n{text}")).unwrap_err();
            assert_eq!((error.index, error.key), (1, key));
        }
    }
}
