//! Routes: which incidents a notifier is notified of, by severity, place, role and time of day. Pure.

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use rackwatch_core::alert::Severity;
use rackwatch_core::device::Role;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::time::Timestamp;
use serde::{Deserialize, Deserializer};

/// One `[[notify.routes]]`. An incident matches if it meets every key that is set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// The lowest severity that matches.
    pub severity: Option<Severity>,
    /// Patterns for the names of racks.
    #[serde(deserialize_with = "at_least_one")]
    pub racks: Vec<String>,
    /// Patterns for the names of rooms.
    #[serde(deserialize_with = "at_least_one")]
    pub rooms: Vec<String>,
    /// The roles of its sensors.
    #[serde(deserialize_with = "at_least_one")]
    pub roles: Vec<Role>,
    /// The hours of the day, such as `08:00-18:00`, or `18:00-08:00` across midnight.
    pub hours: Option<String>,
    /// The days of the week. Hours across midnight belong to the day on which they begin.
    #[serde(deserialize_with = "at_least_one")]
    pub days: Vec<Day>,
    /// The time zone of hours and days. Default UTC.
    pub zone: Option<String>,
}

/// Reads a list that is not empty: an empty one could mean everything or nothing.
fn at_least_one<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let items = Vec::deserialize(from)?;
    if items.is_empty() {
        let message = "expected at least one item: remove the key to match all";
        return Err(serde::de::Error::custom(message));
    }
    Ok(items)
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the days say it all")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Monday,
            Day::Tue => Self::Tuesday,
            Day::Wed => Self::Wednesday,
            Day::Thu => Self::Thursday,
            Day::Fri => Self::Friday,
            Day::Sat => Self::Saturday,
            Day::Sun => Self::Sunday,
        }
    }
}

/// A key of a route with an unusable value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes[{index}].{key} = {value:?}: {problem}")]
pub struct InvalidRoute {
    /// The position of the route, from 0.
    pub index: usize,
    /// The key of the route.
    pub key: &'static str,
    /// The value as configured.
    pub value: String,
    /// The problem with the value, and the form to use.
    pub problem: String,
}

/// The time at which routes select an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// A route matches.
    Now,
    /// A route matches, and its hours or days will come.
    InHours,
    /// No route matches.
    Never,
}

/// The routes of one notifier.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Compiles the configured routes.
    ///
    /// # Errors
    ///
    /// When a pattern, the hours or the zone cannot be parsed.
    pub fn new(config: &[RouteConfig]) -> Result<Self, InvalidRoute> {
        let routes = config.iter().enumerate().map(|(index, route)| {
            Route::new(route).map_err(|problem| InvalidRoute {
                index,
                key: problem.key,
                value: problem.value,
                problem: problem.text,
            })
        });
        Ok(Self(routes.collect::<Result<_, _>>()?))
    }

    /// Returns when the notifier is notified of `record`, seen from `now`. Without routes it is notified of everything.
    pub fn when(&self, record: &IncidentRecord, now: Timestamp) -> RouteMatch {
        let mut matching = self.0.iter().filter(|route| route.matches(record));
        if self.0.is_empty() {
            return RouteMatch::Now;
        }
        let Some(first) = matching.next() else {
            return RouteMatch::Never;
        };
        if first.is_active(now) || matching.any(|route| route.is_active(now)) {
            RouteMatch::Now
        } else {
            RouteMatch::InHours
        }
    }
}

/// One route with its patterns and hours compiled.
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

/// An [`InvalidRoute`] without its position.
struct Problem {
    key: &'static str,
    value: String,
    text: String,
}

impl Problem {
    fn new(key: &'static str, value: &str, text: &dyn ToString) -> Self {
        Self {
            key,
            value: value.to_owned(),
            text: text.to_string(),
        }
    }
}

impl Route {
    fn new(config: &RouteConfig) -> Result<Self, Problem> {
        let zone = config.zone.as_deref().unwrap_or("UTC");
        Ok(Self {
            severity: config.severity.unwrap_or(Severity::Info),
            racks: compile("racks", &config.racks)?,
            rooms: compile("rooms", &config.rooms)?,
            roles: config.roles.clone(),
            hours: config.hours.as_deref().map(parse_hours).transpose()?,
            days: config.days.iter().copied().map(Weekday::from).collect(),
            zone: TimeZone::get(zone).map_err(|_| {
                Problem::new(
                    "zone",
                    zone,
                    &"unknown time zone, use a name such as Europe/Berlin",
                )
            })?,
        })
    }

    /// Returns whether the route matches, whatever the time.
    fn matches(&self, record: &IncidentRecord) -> bool {
        let any = |globs: &Option<GlobSet>, names: &[String]| {
            let matches = |globs: &GlobSet| names.iter().any(|name| globs.is_match(name));
            globs.as_ref().is_none_or(matches)
        };
        let role = |role: &Role| self.roles.contains(role);
        record.severity >= self.severity
            && any(&self.racks, &record.racks)
            && any(&self.rooms, &record.rooms)
            && (self.roles.is_empty() || record.roles.iter().any(role))
    }

    /// Returns whether `now` is within the hours and days of the route.
    fn is_active(&self, now: Timestamp) -> bool {
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
                    // These hours began the day before.
                    day = day.previous();
                }
                time >= from || time < to
            }
        };
        in_hours && (self.days.is_empty() || self.days.contains(&day))
    }
}

/// Compiles patterns; `None` if there are none, which matches everything.
fn compile(key: &'static str, patterns: &[String]) -> Result<Option<GlobSet>, Problem> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| Problem::new(key, pattern, &error))?);
    }
    let set = set.build();
    set.map(Some)
        .map_err(|error| Problem::new(key, &patterns.join(", "), &error))
}

/// Parses hours such as `08:00-18:00`.
fn parse_hours(text: &str) -> Result<(Time, Time), Problem> {
    let time = |text: &str| text.trim().parse::<Time>().ok();
    let hours = text
        .split_once('-')
        .and_then(|(from, to)| Some((time(from)?, time(to)?)));
    let Some((from, to)) = hours else {
        return Err(Problem::new("hours", text, &"use the form 08:00-18:00"));
    };
    if from == to {
        let problem = "the hours begin and end at the same time: remove the key to match all day";
        return Err(Problem::new("hours", text, &problem));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example::incident;

    fn routes(text: &str) -> Result<Routes, InvalidRoute> {
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
    fn without_routes_everything_matches() {
        assert_eq!(
            Routes::default().when(&incident(), at(NOON)),
            RouteMatch::Now
        );
    }

    #[test]
    fn every_key_of_a_route_must_match_and_one_route_is_enough() {
        let record = incident();
        for (text, expected) in [
            ("severity = 'critical'", true),
            ("racks = ['B0*']", true),
            ("racks = ['C*']", false),
            ("rooms = ['hall-1']\nroles = ['inlet']", true),
            ("rooms = ['hall-1']\nroles = ['cpu']", false),
            ("racks = ['C*']\n[[routes]]\nrooms = ['hall-?']", true),
        ] {
            let routes = routes(&format!("[[routes]]\n{text}")).unwrap();
            let when = if expected {
                RouteMatch::Now
            } else {
                RouteMatch::Never
            };
            assert_eq!(routes.when(&record, at(NOON)), when, "{text}");
        }
        let warning = IncidentRecord {
            severity: Severity::Warning,
            ..record
        };
        let critical = routes("[[routes]]\nseverity = 'critical'").unwrap();
        assert_eq!(critical.when(&warning, at(NOON)), RouteMatch::Never);
    }

    #[test]
    fn hours_and_days_follow_the_clock_of_the_zone() {
        let night = "[[routes]]\nhours = '18:00-08:00'\ndays = ['fri']\nzone = 'Europe/Berlin'";
        let night = routes(night).unwrap();
        // 27 November 2026 is a Friday; Berlin is an hour ahead.
        for (text, expected) in [
            ("2026-11-27T16:59:59Z", false),
            ("2026-11-27T17:00:00Z", true),
            ("2026-11-28T06:59:59Z", true),
            ("2026-11-28T07:00:00Z", false),
            ("2026-11-28T20:00:00Z", false),
            ("2026-11-27T03:00:00Z", false),
        ] {
            let when = if expected {
                RouteMatch::Now
            } else {
                RouteMatch::InHours
            };
            assert_eq!(night.when(&incident(), at(text)), when, "{text}");
        }
        let others = "[[routes]]\nhours = '18:00-08:00'\nracks = ['C*']";
        let others = routes(others).unwrap();
        assert_eq!(others.when(&incident(), at(NOON)), RouteMatch::Never);
    }

    #[test]
    fn an_invalid_value_names_its_route_and_key() {
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
