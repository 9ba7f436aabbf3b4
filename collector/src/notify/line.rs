//! An alert as one line for people.
//!
//! `2026-11-23 14:02:11+01:00 CRITICAL high_temp  B07/U42 inlet inrow-B07-1  33.1 °C > 32.0,
//! +1.8 °C/min, for 2m10s  [a1b2c3]`, and `… RESOLVED …  27.2 °C after 14m, peak 35.0  [a1b2c3]`.
//! The id in brackets is what other commands take.

use std::fmt::Write;
use std::time::Duration;

use jiff::tz::TimeZone;
use rackwatch_core::alert::{AlertRecord, AlertState, Resolution, Severity};
use rackwatch_core::detect::Phrase;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::Timestamp;
pub use rackwatch_core::time::length;

/// How lines are written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Colour the severity.
    pub colour: bool,
    /// Whose wall clock.
    pub zone: TimeZone,
}

impl Style {
    /// The system's time zone, no colour.
    pub fn plain() -> Self {
        Self {
            colour: false,
            zone: TimeZone::system(),
        }
    }

    /// `text` in the colour of that severity; of what is well where there is none.
    pub fn paint(&self, text: &str, severity: Option<Severity>) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let on = match severity {
            Some(severity) => colour_of(false, severity),
            None => colour_of(true, Severity::Info),
        };
        format!("{on}{text}\x1b[0m")
    }
}

/// The line for `record`, without a newline.
pub fn line(record: &AlertRecord, style: &Style) -> String {
    let mut line = time(record.at, &style.zone);
    let word = match record.state() {
        AlertState::Firing => record.severity.name().to_uppercase(),
        AlertState::Resolved => "RESOLVED".to_owned(),
    };
    let (on, off) = if style.colour {
        (colour(record), "\x1b[0m")
    } else {
        ("", "")
    };
    // Writing to a String cannot fail.
    let _ok = write!(line, " {on}{word:<8}{off} {:<9}", record.kind());
    let _ok = write!(
        line,
        "  {}{} {}",
        place(record),
        record.role,
        record.subject
    );
    line.push_str("  ");
    what(record, &mut line);
    if record.historical {
        line.push_str(", historical");
    }
    let _ok = write!(line, "  [{}]", record.id.short());
    line
}

/// The line for an incident, without a newline.
///
/// `2026-11-23 14:02:11+01:00 CRITICAL incident   cooling is failing: row B, 12 sensors in B1, B2, critical in
/// 3m to 4m, first inlet-B1-2  [a1b2c3]`
pub fn incident_line(record: &IncidentRecord, style: &Style) -> String {
    let mut line = time(record.at, &style.zone);
    let over = record.event == Event::Resolved;
    let word = if over {
        "RESOLVED".to_owned()
    } else {
        record.severity.name().to_uppercase()
    };
    let (on, off) = if style.colour {
        (colour_of(over, record.severity), "\x1b[0m")
    } else {
        ("", "")
    };
    let again = match record.event {
        Event::Worse => "now worse: ",
        Event::Repeat => "still there: ",
        _ => "",
    };
    // Writing to a String cannot fail.
    let _ok = write!(
        line,
        " {on}{word:<8}{off} {:<9}  {again}{}",
        "incident", record.title
    );
    if over {
        let _ok = write!(
            line,
            ", after {}",
            length(record.until.unwrap_or(record.at).since(record.since))
        );
    } else {
        if let Some(extreme) = record.extreme {
            let _ok = write!(line, ", {:.1} °C", extreme.degrees());
        }
        if let Some((least, most)) = record.left_ms {
            let of = |ms| length(Duration::from_secs(ms / 1000));
            let _ok = write!(line, ", critical in {} to {}", of(least), of(most));
        }
        if record.device_count > 1 {
            let _ok = write!(line, ", first {}", record.first);
        }
        let age = record.at.since(record.since);
        if record.event == Event::Repeat {
            let _ok = write!(line, ", for {}", length(age));
        }
    }
    let _ok = write!(line, "  [{}]", record.id.short());
    line
}

/// The point in time as people in that zone read it, to the second.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => at
            .to_zoned_datetime(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%:z")
            .to_string(),
        Err(_) => at.to_string(),
    }
}

fn colour(record: &AlertRecord) -> &'static str {
    colour_of(record.resolution.is_some(), record.severity)
}

fn colour_of(over: bool, severity: Severity) -> &'static str {
    match (over, severity) {
        (true, _) => "\x1b[32m",
        (_, Severity::Critical) => "\x1b[1;31m",
        (_, Severity::Warning) => "\x1b[33m",
        (_, Severity::Info) => "\x1b[36m",
    }
}

/// `B07/U42 `, as far as it is known.
fn place(record: &AlertRecord) -> String {
    match (record.rack.as_str(), record.u) {
        ("", _) => String::new(),
        (rack, Some(u)) => format!("{rack}/U{u} "),
        (rack, None) => format!("{rack} "),
    }
}

fn what(record: &AlertRecord, line: &mut String) {
    let facts = record.facts();
    match record.temperature {
        Some(temperature) => {
            // Writing to a String cannot fail.
            let _ok = write!(line, "{:.1} °C", temperature.degrees());
        }
        None => line.push_str(&record.detail.without_temperature(&facts)),
    }
    match record.resolution {
        None => firing(record, &record.detail.phrase(&facts), line),
        Some(Resolution { duration, peak }) => {
            let _ok = write!(line, " after {}", length(duration));
            if let Some(peak) = peak {
                let _ok = write!(line, ", peak {:.1}", peak.degrees());
            }
        }
    }
}

fn firing(record: &AlertRecord, phrase: &Phrase, line: &mut String) {
    line.push_str(&phrase.text);
    if phrase.is_complete {
        return;
    }
    // Writing to a String cannot fail.
    if let Some(rate) = record.rate {
        let _ok = write!(line, ", {rate:+.1} °C/min");
    }
    let age = record.at.since(record.started);
    if !age.is_zero() {
        let _ok = write!(line, ", for {}", length(age));
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::alert::{AlertId, Detail};
    use rackwatch_core::detect::kind::ChangePayload;
    use rackwatch_core::device::{DeviceId, Role};
    use rackwatch_core::units::Celsius;

    use super::*;

    fn record() -> AlertRecord {
        let at = Timestamp::from_millis(1_795_438_931_000).unwrap();
        AlertRecord {
            subject: DeviceId::new("inrow-B07-1").unwrap().into(),
            temperature: Some(Celsius::new(33.1).unwrap()),
            at,
            threshold: 32.0,
            severity: Severity::Critical,
            id: AlertId::from_wire("a1b2c3d4e5f60718"),
            rule: "high_temp".into(),
            rack: "B07".into(),
            u: Some(42),
            role: Role::Inlet,
            started: at.minus(Duration::from_secs(130)),
            rate: Some(1.8),
            detail: Detail::HighTemp(None),
            resolution: None,
            historical: false,
        }
    }

    fn said(record: &AlertRecord) -> String {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        line(
            record,
            &Style {
                colour: false,
                zone,
            },
        )
    }

    #[test]
    fn lines_read_as_the_design_says() {
        assert_eq!(
            said(&record()),
            "2026-11-23 14:02:11+01:00 CRITICAL high_temp  B07/U42 inlet inrow-B07-1  \
             33.1 °C > 32.0, +1.8 °C/min, for 2m10s  [a1b2c3]"
        );
        let resolved = AlertRecord {
            temperature: Some(Celsius::new(27.2).unwrap()),
            resolution: Some(Resolution {
                peak: Some(Celsius::new(35.0).unwrap()),
                duration: Duration::from_secs(14 * 60),
            }),
            ..record()
        };
        assert_eq!(
            said(&resolved),
            "2026-11-23 14:02:11+01:00 RESOLVED high_temp  B07/U42 inlet inrow-B07-1  \
             27.2 °C after 14m, peak 35.0  [a1b2c3]"
        );
        let spike = AlertRecord {
            severity: Severity::Info,
            detail: Detail::Spike(Some(ChangePayload {
                change: 2.34,
                window: Duration::from_secs(300),
            })),
            rate: None,
            started: record().at,
            rack: String::new(),
            ..record()
        };
        assert_eq!(
            said(&spike),
            "2026-11-23 14:02:11+01:00 INFO     spike      inlet inrow-B07-1  \
             33.1 °C, +2.3 °C within 5m  [a1b2c3]"
        );
    }

    #[test]
    fn lengths_are_short() {
        let said = |seconds| length(Duration::from_secs(seconds));
        assert_eq!(said(45), "45s");
        assert_eq!(said(130), "2m10s");
        assert_eq!(said(840), "14m");
        assert_eq!(said(11_100), "3h05m");
        assert_eq!(said(187_200), "2d4h");
    }
}
