//! Output of commands: results to stdout, remarks and logs to stderr.

use std::io::{self, IsTerminal as _, Write};

use rackwatch_runtime::config::LogConfig;
use rackwatch_runtime::logging;
use serde::Serialize;

use crate::notify::line::Style;

/// Returns the style of lines on stdout: coloured on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn style() -> Style {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style {
        colour: io::stdout().is_terminal() && !no_color,
        ..Style::plain()
    }
}

/// Writes to stdout. A closed stdout (a pipe into `head`) is not an error of the command.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Returns a value as indented JSON with a line break: what `--json` prints.
pub(super) fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a line that is not part of the result to stderr, even if stderr is closed.
pub(super) fn remark(text: &str) {
    logging::remark(text);
}

/// Starts logging. Commands go on without a log if that fails.
pub(super) fn start_logging(config: &LogConfig) {
    if let Err(error) = logging::init(config) {
        remark(&format!("warning: cannot start logging: {error}"));
    }
}
