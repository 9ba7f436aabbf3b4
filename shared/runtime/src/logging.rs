//! Sets up logging to stderr.
//!
//! In: the `[log]` section, `RACKWATCH_LOG` and `NO_COLOR`. Out: every later `tracing` event as a line
//! of text or JSON. Results go to stdout, so that both can be redirected separately. A line that
//! cannot be written is lost.

use std::env;
use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Environment variable that overrides `log.filter`.
const FILTER_VARIABLE: &str = "RACKWATCH_LOG";

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
    subscriber(config.format, filter, ansi, io::stderr)
        .try_init()
        .map_err(|source| LogError::Twice { source })
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

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    ansi: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(ansi);
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, variable: Option<&str>, ansi: bool) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let filter = filter(&LogConfig::default(), variable.map(str::to_owned)).unwrap();
        let subscriber = subscriber(format, filter, ansi, move || writer.clone());
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
    fn a_wrong_filter_names_where_it_came_from() {
        let error = filter(&LogConfig::default(), Some("a=loud".to_owned())).unwrap_err();
        assert!(
            error.to_string().contains("\"a=loud\" of RACKWATCH_LOG"),
            "{error}"
        );
    }
}
