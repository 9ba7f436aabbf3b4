//! Reloads the access file and the certificate when they change, without a restart.
//!
//! A deleted user loses access, and a renewed certificate takes effect, within seconds. An unusable file is logged once,
//! and the state before stays.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rackwatch_runtime::error::chain;
use tokio_util::sync::CancellationToken;

use super::Web;
use super::listen::Certificate;
use super::names::Names;

/// Interval at which the files are checked.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Checks the files until `stop`.
pub(super) async fn run(web: &Web, tls: Option<&Certificate>, stop: CancellationToken) {
    let names = web.access.names();
    let mut access_file = WatchedFiles::new(names.into_iter().map(Names::path)).await;
    let mut tls_files = WatchedFiles::new(tls.into_iter().flat_map(Certificate::paths)).await;
    if access_file.is_empty() && tls_files.is_empty() {
        return;
    }
    while stop
        .run_until_cancelled(tokio::time::sleep(CHECK_EVERY))
        .await
        .is_some()
    {
        if access_file.has_changed().await
            && let Some(names) = names
        {
            match names.reload() {
                Ok(count) => {
                    tracing::info!(users = count, "access file reloaded");
                    web.access_changed.send_replace(());
                }
                Err(error) => warn(
                    "access file not reloaded, keeping the previous users",
                    &error,
                ),
            }
        }
        if tls_files.has_changed().await
            && let Some(tls) = tls
        {
            match tls.reload() {
                Ok(()) => tracing::info!("certificate reloaded"),
                Err(error) => warn("certificate not reloaded, keeping the previous one", &error),
            }
        }
    }
}

/// Logs an error with its causes.
fn warn(what: &str, error: &(dyn Error + 'static)) {
    tracing::warn!(error = chain(error), "{what}");
}

/// Files, and their state at the last check.
struct WatchedFiles {
    files: Vec<PathBuf>,
    last: Vec<Option<(SystemTime, u64)>>,
}

impl WatchedFiles {
    async fn new<'p>(files: impl Iterator<Item = &'p Path>) -> Self {
        let files: Vec<PathBuf> = files.map(Path::to_owned).collect();
        let last = states(&files).await;
        Self { files, last }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    async fn has_changed(&mut self) -> bool {
        let now = states(&self.files).await;
        let changed = now != self.last;
        self.last = now;
        changed
    }
}

/// Returns the modification time and length of each file, or `None` for a missing one.
///
/// A hanging disk blocks only this check: the files are read only after it.
async fn states(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let metadata = tokio::fs::metadata(file).await.ok();
        all.push(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len()))));
    }
    all
}
