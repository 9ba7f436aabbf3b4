//! Log lines as text or JSON, in which no value ends the line or commands the terminal.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::name::is_invisible;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// The form of log lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineStyle {
    /// Text or JSON.
    pub(super) format: LogFormat,
    /// Whether text has colours.
    pub(super) ansi: bool,
}

impl LineStyle {
    /// Returns a subscriber that writes each event as one line.
    pub(super) fn subscriber<W>(
        self,
        filter: EnvFilter,
        writer: W,
    ) -> Box<dyn Subscriber + Send + Sync>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_ansi(self.ansi);
        match self.format {
            LogFormat::Text => Box::new(builder.finish()),
            LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
        }
    }

    /// Returns a line with its invisible characters escaped. JSON escapes its own.
    pub(super) fn escaped(self, line: &[u8]) -> Vec<u8> {
        // The library has escaped those of values before it added its own.
        let is_colour = |c| self.ansi && c == '\x1b';
        let Ok(text) = str::from_utf8(line) else {
            return line.to_owned();
        };
        let text = text.strip_suffix('\n').unwrap_or(text);
        let is_escaped = |c| is_invisible(c) && !is_colour(c);
        if self.format == LogFormat::Json || !text.contains(is_escaped) {
            return line.to_owned();
        }
        let mut escaped = String::with_capacity(line.len() + 8);
        for c in text.chars() {
            if is_escaped(c) {
                escaped.extend(c.escape_default());
            } else {
                escaped.push(c);
            }
        }
        escaped.push('\n');
        escaped.into_bytes()
    }

    /// Returns the line that reports lost ones.
    pub(super) fn report_of_lost(self, lines: u64) -> Vec<u8> {
        let bytes = Bytes::default();
        let writer = bytes.clone();
        let subscriber = self.subscriber(EnvFilter::new("warn"), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(lines, "log lines lost, stderr was not read in time");
        });
        let mut bytes = bytes.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *bytes)
    }
}

/// A line being formatted.
#[derive(Clone, Default)]
pub(super) struct Bytes(pub(super) Arc<Mutex<Vec<u8>>>);

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
