//! Names and certificates that are changed while the collector runs: whose token is taken back is let in no more, and a
//! certificate that runs out is replaced without a restart.
//!
//! In: the files, looked at every few seconds. Out: what they say now. What cannot be used is said once, and what was
//! there goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::Web;
use super::listen::Certificate;
use super::names::Names;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);

/// Looks until `stop`.
pub(super) async fn run(web: &Web, tls: Option<&Certificate>, stop: CancellationToken) {
    let names = web.access.names();
    let mut of_names = Watched::new(names.into_iter().map(Names::path)).await;
    let mut of_tls = Watched::new(tls.into_iter().flat_map(Certificate::paths)).await;
    if of_names.is_nothing() && of_tls.is_nothing() {
        return;
    }
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        if of_names.has_changed().await
            && let Some(names) = names
        {
            match names.renew() {
                Ok(count) => {
                    tracing::info!(names = count, "names are read again");
                    web.renewed.send_replace(());
                }
                Err(error) => say("names are as before", &error),
            }
        }
        if of_tls.has_changed().await
            && let Some(tls) = tls
        {
            match tls.renew() {
                Ok(()) => tracing::info!("the certificate is read again"),
                Err(error) => say("the certificate is as before", &error),
            }
        }
    }
}

fn say(what: &str, error: &dyn std::error::Error) {
    let source = error.source().map(ToString::to_string);
    tracing::warn!(%error, source, "{what}");
}

/// Files, and what they were like.
struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<(SystemTime, u64)>>,
}

impl Watched {
    async fn new<'p>(files: impl Iterator<Item = &'p Path>) -> Self {
        let files: Vec<PathBuf> = files.map(Path::to_owned).collect();
        let seen = look(&files).await;
        Self { files, seen }
    }

    fn is_nothing(&self) -> bool {
        self.files.is_empty()
    }

    async fn has_changed(&mut self) -> bool {
        let now = look(&self.files).await;
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

/// When each was written, and how long it is; nothing of one that is not there. A disk that hangs holds up this alone:
/// nothing is read of it before it answers here.
async fn look(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let known = tokio::fs::metadata(file).await.ok();
        all.push(known.and_then(|known| Some((known.modified().ok()?, known.len()))));
    }
    all
}
