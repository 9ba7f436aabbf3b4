//! Opening the spool, as often as it takes.
//!
//! In: a way to open the files. Out: the log, at once or after the disk has recovered: a folder whose
//! disk is mounted late, is full or hangs must not leave the agent without a spool until its next
//! start.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rackwatch_core::wire::Seq;
use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::error::chain;
use tokio::sync::oneshot;
use tracing::debug;

use super::error::SpoolError;
use super::files::Files;
use super::segment_log::{Bounds, SegmentLog};
use super::worker::Command;

/// Shortest and longest pause between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The log, and the last number that previous runs are known to have assigned.
type OpenLog = (SegmentLog, Option<Seq>);

/// The outcome of the first attempt: readings on disk and that number.
type FirstOutcome = Result<(u64, Option<Seq>), SpoolError>;

/// Returns a function that opens the files and the log in them.
pub(super) fn opener(
    mut files: impl FnMut() -> Result<Box<dyn Files>, SpoolError>,
    bounds: Bounds,
) -> impl FnMut() -> Result<OpenLog, SpoolError> {
    move || SegmentLog::open(files()?, bounds)
}

/// The two ways to report that the spool is open.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Receives the outcome of the first attempt, unless the agent has stopped waiting for it.
    pub(super) first: oneshot::Sender<FirstOutcome>,
    /// Receives the number of readings on disk if the spool opens later.
    pub(super) later: oneshot::Sender<u64>,
}

impl Attempts {
    /// Opens the log, and tries again until that succeeds. Returns `None` if the agent has ended, or
    /// another agent uses the folder.
    pub(super) fn open(
        self,
        mut open: impl FnMut() -> Result<OpenLog, SpoolError>,
        commands: &Receiver<Command>,
    ) -> Option<SegmentLog> {
        match open() {
            Ok((log, last)) => {
                if self.first.send(Ok((log.readings(), last))).is_err() {
                    self.later.send(log.readings()).ok()?;
                }
                return Some(log);
            }
            Err(error) => {
                let is_in_use = matches!(error, SpoolError::InUse);
                // Two agents would send each other's readings: the agent does not start then.
                if self.first.send(Err(error)).is_ok() && is_in_use {
                    return None;
                }
            }
        }
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            if !has_waited(commands, backoff.next_jittered(backoff::random())) {
                return None;
            }
            match open() {
                Ok((log, _)) => {
                    self.later.send(log.readings()).ok()?;
                    return Some(log);
                }
                Err(error) => debug!(error = chain(&error), "cannot open the spool yet"),
            }
        }
    }
}

/// Waits for `pause`; returns false if the agent has ended meanwhile. A command that comes before the
/// spool is open fails.
fn has_waited(commands: &Receiver<Command>, pause: Duration) -> bool {
    let started = Instant::now();
    loop {
        let left = pause.saturating_sub(started.elapsed());
        match commands.recv_timeout(left) {
            Ok(refused) => drop(refused),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
