//! The console: one line a record on stdout, coloured on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;

use super::Teller;
use super::line::{Style, incident_line, line};

/// Where lines for people go. Cloned by all who write there, so that an alert never lands in the
/// middle of the demo's live line.
#[derive(Clone, Debug)]
pub struct Screen {
    live: Arc<Mutex<Option<String>>>,
    terminal: bool,
}

impl Screen {
    /// The program's stdout.
    pub fn stdout() -> Self {
        Self {
            live: Arc::default(),
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Whether somebody looks at it as it is written.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes a line; the live line, if there is one, stays below it.
    pub fn print(&self, line: &str) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        // A closed stdout (a pipe into `head`) must not stop the collector: there is nobody to tell.
        let _told = match live.as_deref() {
            Some(live) => write!(out, "\r\x1b[2K{line}\n{live}"),
            None => writeln!(out, "{line}"),
        };
        let _told = out.flush();
    }

    /// Replaces the live line at the bottom; `None` takes it away. Does nothing off a terminal.
    pub fn live(&self, line: Option<String>) {
        if !self.terminal {
            return;
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        let _told = write!(out, "\r\x1b[2K{}", line.as_deref().unwrap_or_default());
        let _told = out.flush();
        *live = line;
    }
}

/// Tells alerts on a screen.
#[derive(Clone, Debug)]
pub struct Console {
    screen: Screen,
    style: Style,
}

impl Console {
    /// On `screen`, in colour where that is a terminal and `NO_COLOR` is not set.
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
}

impl Console {
    /// Prints an incident that people are told of.
    pub fn incident(&self, record: &IncidentRecord) {
        if record.notification_id.is_some() {
            self.screen.print(&incident_line(record, &self.style));
        }
    }
}

impl Teller for Console {
    fn tell(&mut self, record: &AlertRecord) {
        self.screen.print(&line(record, &self.style));
    }

    fn flush(&mut self) {}
}
