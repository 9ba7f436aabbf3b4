//! The console: one line on stdout for each record, in colour on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;

use super::alert_sink::AlertSink;
use super::line::{Style, incident_line, line};

/// The program's stdout, shared by all that print, so that no line lands inside the demo's live line.
#[derive(Clone, Debug)]
pub struct Screen {
    live: Arc<Mutex<Option<String>>>,
    terminal: bool,
}

impl Screen {
    /// Returns a screen on stdout.
    pub fn stdout() -> Self {
        Self {
            live: Arc::default(),
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Returns whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints a line above the live line.
    pub fn print(&self, line: &str) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        // A closed stdout, such as a pipe into `head`, must not stop the collector.
        let _ignored = match live.as_deref() {
            Some(live) => write!(out, "\r\x1b[2K{line}\n{live}"),
            None => writeln!(out, "{line}"),
        };
        let _ignored = out.flush();
    }

    /// Replaces or removes the live line at the bottom. Does nothing without a terminal.
    pub fn set_live_line(&self, line: Option<String>) {
        if !self.terminal {
            return;
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        let _ignored = write!(out, "\r\x1b[2K{}", line.as_deref().unwrap_or_default());
        let _ignored = out.flush();
        *live = line;
    }
}

/// Prints alerts and incidents on a screen.
#[derive(Clone, Debug)]
pub struct Console {
    screen: Screen,
    style: Style,
}

impl Console {
    /// Creates a console on `screen`, in colour if that is a terminal and `NO_COLOR` is not set.
    pub fn new(screen: Screen) -> Self {
        let colour = screen.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            screen,
            style: Style {
                colour,
                ..Style::plain()
            },
        }
    }

    /// Prints an incident record if it is a notification.
    pub fn print_incident(&self, record: &IncidentRecord) {
        if record.notification_id.is_some() {
            self.screen.print(&incident_line(record, &self.style));
        }
    }
}

impl AlertSink for Console {
    fn write(&mut self, record: &AlertRecord) {
        self.screen.print(&line(record, &self.style));
    }

    fn flush(&mut self) {}
}
