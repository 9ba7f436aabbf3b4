//! Sets up logging to stderr.
//!
//! In: the `[log]` section, `RACKWATCH_LOG` and `NO_COLOR`. Out: every later `tracing` event as a line
//! of text or JSON. Results go to stdout, so that both can be redirected separately. A line that
//! cannot be written is lost. Those who log never wait for stderr: `queue` does.

mod lines;
mod queue;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::lines::LineStyle;
use self::queue::LogQueue;
use crate::config::LogConfig;

/// Environment variable that overrides `log.filter`.
const FILTER_VARIABLE: &str = "RACKWATCH_LOG";

/// Longest wait for stderr at the end of the program.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process, once logging is set up.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// The reason why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is malformed.
    #[error(
        "cannot use the log filter {filter:?} of {from}: write a level such as info, or name=level"
    )]
    Filter {
        /// Filter as it is configured.
        filter: String,
        /// Key or variable that holds it.
        from: &'static str,
        /// Error of the logging library.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The thread that writes lines cannot be started.
    #[error("cannot start the thread that writes log lines")]
    Start {
        /// Error of the operating system.
        source: io::Error,
    },
    /// Logging is set up already.
    #[error("cannot set up logging twice")]
    Twice {
        /// Error of the logging library.
        source: TryInitError,
    },
}

/// Sets up logging for the whole process; in colour on a terminal unless `NO_COLOR` is set.
///
/// # Errors
///
/// When the filter is malformed, or logging is set up already.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = io::stderr().is_terminal() && !no_color;
    let filter = filter(config, env::var(FILTER_VARIABLE).ok())?;
    let format = config.format;
    let style = LineStyle { format, ansi };
    let queue =
        LogQueue::start(io::stderr(), style).map_err(|source| LogError::Start { source })?;
    let writer = queue.clone();
    style
        .subscriber(filter, move || writer.clone())
        .try_init()
        .map_err(|source| LogError::Twice { source })?;
    // Only the first call gets here.
    let _first = QUEUE.set(queue);
    Ok(())
}

/// Writes a line to stderr that is no log message, after the messages so far.
pub fn remark(text: &str) {
    let line = format!("{text}\n");
    match QUEUE.get() {
        Some(queue) => queue.push(line.into_bytes()),
        // A closed stderr is no error of the command.
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until all lines are written, at most a second: to be called at the end of the program.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

fn filter(config: &LogConfig, variable: Option<String>) -> Result<EnvFilter, LogError> {
    let (filter, from) = match variable.filter(|text| !text.is_empty()) {
        Some(text) => (text, FILTER_VARIABLE),
        None => (config.filter.clone(), "log.filter"),
    };
    EnvFilter::builder()
        .parse(&filter)
        .map_err(|source| LogError::Filter {
            filter,
            from,
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::lines::Bytes;
    use super::*;
    use crate::config::LogFormat;

    fn logged(format: LogFormat, variable: Option<&str>, ansi: bool) -> String {
        let buffer = Bytes::default();
        let writer = buffer.clone();
        let filter = filter(&LogConfig::default(), variable.map(str::to_owned)).unwrap();
        let subscriber = LineStyle { format, ansi }.subscriber(filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(racks = 2, "started");
            tracing::debug!("detail");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_has_fields_and_no_colour_off_a_terminal() {
        let text = logged(LogFormat::Text, None, false);
        assert!(text.contains("started racks=2"), "{text}");
        assert!(!text.contains("detail") && !text.contains('\x1b'), "{text}");
        assert!(logged(LogFormat::Text, None, true).contains('\x1b'));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json, Some("debug"), false);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["message"], &lines[0]["racks"]),
            (&"started".into(), &2.into())
        );
        assert_eq!(lines[1]["message"], "detail");
    }

    #[test]
    fn a_value_with_a_newline_forges_no_line() {
        let forged = "x\nWARN forged \u{202e}";
        let shown = |format| {
            let (mut reader, writer) = io::pipe().unwrap();
            let filter = filter(&LogConfig::default(), None).unwrap();
            let style = LineStyle {
                format,
                ansi: false,
            };
            let queue = LogQueue::start(writer, style).unwrap();
            let log = queue.clone();
            let subscriber = style.subscriber(filter, move || log.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(name = %forged, "{forged}");
            });
            queue.flush(Duration::from_secs(10));
            drop(queue);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        };
        let text = shown(LogFormat::Text);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r"x\nWARN forged \u{202e}"), "{text}");
        let json = shown(LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(line["name"], forged);
    }

    #[test]
    fn lines_beyond_the_queue_are_counted_and_reported() {
        let (reader, writer) = io::pipe().unwrap();
        let style = LineStyle {
            format: LogFormat::Text,
            ansi: false,
        };
        let queue = LogQueue::start(writer, style).unwrap();
        let log = queue.clone();
        let filter = filter(&LogConfig::default(), None).unwrap();
        let subscriber = style.subscriber(filter, move || log.clone());
        let lines = 20_000;
        // The pipe is not read, and full soon.
        tracing::subscriber::with_default(subscriber, || {
            for line in 0..lines {
                tracing::info!(line, "something happened");
            }
        });
        assert!(!queue.flush(Duration::ZERO), "the pipe is full");
        let reading = std::thread::spawn(move || io::read_to_string(reader).unwrap());
        assert!(queue.flush(Duration::from_secs(10)));
        drop(queue);
        let text = reading.join().unwrap();
        let lost = text
            .lines()
            .find(|line| line.contains("log lines lost"))
            .unwrap();
        let lost: usize = lost.rsplit_once("lines=").unwrap().1.parse().unwrap();
        assert_eq!(text.lines().count() - 1 + lost, lines);
    }

    #[test]
    fn a_wrong_filter_names_where_it_came_from() {
        let error = filter(&LogConfig::default(), Some("a=loud".to_owned())).unwrap_err();
        assert!(
            error.to_string().contains("\"a=loud\" of RACKWATCH_LOG"),
            "{error}"
        );
    }
}
