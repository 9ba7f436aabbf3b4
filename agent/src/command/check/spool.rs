//! The step of `check` that tries the spool's folder as an agent uses it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::probe::{Step, StepResult};

use crate::spool::SpoolError;
use crate::spool::files::{Files, Folder};

/// Wait for the disk before the step counts as failed, as at the start of an agent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// File that is written and removed.
const PROBE: &str = "check";

/// Writes, syncs, reads and removes a file in the folder at `path`, if one is configured.
pub(super) async fn check(path: Option<&Path>) -> Step {
    let started = Instant::now();
    let result = match path {
        None => StepResult::Skipped {
            detail: "no spool.path: readings wait in memory only while redis is unavailable"
                .to_owned(),
        },
        Some(path) => attempt(path.to_owned()).await,
    };
    Step {
        name: "spool",
        result,
        took: started.elapsed(),
    }
}

async fn attempt(path: PathBuf) -> StepResult {
    let work = tokio::task::spawn_blocking(move || probe(&path));
    let error = match tokio::time::timeout(TIMEOUT, work).await {
        Ok(Ok(Ok(()))) => return StepResult::Ok,
        Ok(Ok(Err(SpoolError::InUse))) => {
            return StepResult::Skipped {
                detail: "an agent uses it".to_owned(),
            };
        }
        Ok(Ok(Err(error))) => chain(&error),
        Ok(Err(error)) => chain(&error),
        Err(_) => chain(&SpoolError::NoAnswer(TIMEOUT)),
    };
    StepResult::Failed {
        detail: error,
        advice: "give the agent's user a folder that it may write to, on a disk that works",
    }
}

fn probe(path: &Path) -> Result<(), SpoolError> {
    let file = || path.join(PROBE).display().to_string();
    let mut folder = Folder::open(path)?;
    let written = folder
        .append(PROBE, b"rackwatch")
        .map_err(SpoolError::disk("write", file()))
        .and_then(|()| folder.sync(PROBE).map_err(SpoolError::disk("sync", file())))
        .and_then(|()| folder.read(PROBE).map_err(SpoolError::disk("read", file())));
    // Also after a failure: a part may be there.
    let removed = folder
        .remove(PROBE)
        .map_err(SpoolError::disk("remove", file()));
    written?;
    removed
}
