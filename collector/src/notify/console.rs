//! The console: one line on stdout for each record, in colour on a terminal.
//!
//! A thread of its own writes to stdout: a pipe whose reader has stopped holds up the console alone. Alert records wait
//! for it, in Redis; other lines that do not fit into its queue are dropped and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;

use super::alert_sink::AlertSink;
use super::line::{Style, incident_line, line};

/// Lines that wait for stdout.
const QUEUE: usize = 1000;

/// The program's stdout, shared by all that print, so that no line lands inside the demo's live line.
#[derive(Clone, Debug)]
pub struct Screen {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
    terminal: bool,
}

/// Something to show.
#[derive(Debug)]
enum Job {
    /// A line above the live line. The thread drops the sender once the line is written.
    Print(String, Option<SyncSender<()>>),
    /// A new live line, or none.
    Live(Option<String>),
}

impl Screen {
    /// Returns a screen on stdout.
    ///
    /// # Errors
    ///
    /// When its thread cannot be started.
    pub fn stdout() -> io::Result<Self> {
        let (jobs, receiver) = mpsc::sync_channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        let of_thread = Arc::clone(&dropped);
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || show_all(&receiver, &of_thread))?;
        Ok(Self {
            jobs,
            dropped,
            terminal: io::stdout().is_terminal(),
        })
    }

    /// Returns whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints a line above the live line soon. Never waits: the line is dropped if too many wait.
    pub fn print(&self, line: &str) {
        let job = Job::Print(line.to_owned(), None);
        if self.jobs.try_send(job).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Prints a line, and waits until stdout has taken it, however long that takes.
    pub fn print_and_wait(&self, line: &str) {
        let (written, wait) = mpsc::sync_channel(0);
        if self
            .jobs
            .send(Job::Print(line.to_owned(), Some(written)))
            .is_ok()
        {
            // The thread drops its end when the line is written.
            let _written = wait.recv();
        }
    }

    /// Replaces or removes the live line at the bottom. Does nothing without a terminal.
    pub fn set_live_line(&self, line: Option<String>) {
        if self.terminal {
            // The next one follows in a second.
            let _dropped = self.jobs.try_send(Job::Live(line));
        }
    }

    /// Waits until every line so far is written, at most for `patience`: to be called at the end of the program.
    pub fn flush(&self, patience: Duration) {
        let (written, wait) = mpsc::sync_channel(0);
        let mark = Job::Print(String::new(), Some(written));
        // A full queue means that stdout has taken nothing for long.
        if self.jobs.try_send(mark).is_ok() {
            let _written = wait.recv_timeout(patience);
        }
    }
}

/// Writes what comes until all screens are gone.
fn show_all(jobs: &Receiver<Job>, dropped: &AtomicU64) {
    let mut live: Option<String> = None;
    let mut out = io::stdout();
    while let Ok(job) = jobs.recv() {
        // A closed stdout, such as a pipe into `head`, must not stop the collector.
        let _ignored = match job {
            Job::Print(line, written) => {
                let shown = match live.as_deref() {
                    // The mark of a flush.
                    _ if line.is_empty() && written.is_some() => Ok(()),
                    Some(live) => write!(out, "\r\x1b[2K{line}\n{live}"),
                    None => writeln!(out, "{line}"),
                };
                let shown = shown.and_then(|()| out.flush());
                drop(written);
                shown
            }
            Job::Live(line) => {
                let shown = write!(out, "\r\x1b[2K{}", line.as_deref().unwrap_or_default());
                live = line;
                shown.and_then(|()| out.flush())
            }
        };
        let lines = dropped.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "console lines dropped, stdout was not read in time");
        }
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
        self.screen.print_and_wait(&line(record, &self.style));
    }
}
