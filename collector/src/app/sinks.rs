//! The alert sinks of this collector, which all of its partitions share.

use std::path::PathBuf;

use rackwatch_core::keys;

use crate::config::AlertsConfig;
use crate::notify::console::{Console, Screen};
use crate::notify::file::{AlertFile, FileFormat};
use crate::notify::{SinkError, SinkThread};

/// The alert sink behind one consumer group of the alerts; none if it is not configured.
pub(crate) type SinkOfGroup = (&'static str, Option<SinkThread>);

/// Opens the configured alert sinks. The first is that of the console.
///
/// # Errors
///
/// When a file cannot be opened.
pub(crate) fn alert_sinks(
    config: &AlertsConfig,
    screen: &Screen,
) -> Result<Vec<SinkOfGroup>, SinkError> {
    let console = || SinkThread::start("console", Box::new(Console::new(screen.clone())));
    let console = config.console.then(console).transpose()?;
    let mut sinks = vec![(keys::LOGGER_GROUP, console)];
    let files = [
        ("file", &config.file, FileFormat::Lines),
        ("json-file", &config.json_file, FileFormat::Json),
    ];
    for ((name, path, format), group) in files.into_iter().zip(keys::ALERT_FILE_GROUPS) {
        let open = |path: &PathBuf| {
            let (rotate_at, keep) = (config.rotate_at.bytes(), config.rotate_keep);
            let file = AlertFile::new(path, format, rotate_at, keep);
            SinkThread::start(name, Box::new(file))
        };
        sinks.push((group, path.as_ref().map(open).transpose()?));
    }
    Ok(sinks)
}
