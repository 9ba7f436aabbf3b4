//! The style of a line: colour and time zone.

use jiff::tz::TimeZone;
use rackwatch_core::alert::Severity;

/// Switches the colour off again.
const RESET: &str = "\x1b[0m";

/// The style of lines.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whether the severity is coloured.
    pub colour: bool,
    /// The time zone of times.
    pub zone: TimeZone,
}

impl Style {
    /// Returns the system's time zone without colour.
    pub fn plain() -> Self {
        Self {
            colour: false,
            zone: TimeZone::system(),
        }
    }

    /// Returns `text` in the colour of `severity`, or in that of a resolved alert if there is none.
    pub fn paint(&self, text: &str, severity: Option<Severity>) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let colour = match severity {
            None => "\x1b[32m",
            Some(Severity::Critical) => "\x1b[1;31m",
            Some(Severity::Warning) => "\x1b[33m",
            Some(Severity::Info) => "\x1b[36m",
        };
        format!("{colour}{text}{RESET}")
    }
}
