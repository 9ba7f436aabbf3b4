//! The agent's side of the spool: sends commands to the thread that owns the disk.

use std::path::PathBuf;
use std::sync::mpsc::{self, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use rackwatch_core::wire::Seq;
use rackwatch_runtime::error::chain;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

use super::error::SpoolError;
use super::files::{Files, Folder};
use super::record::Record;
use super::segment_log::{Bounds, RecordEnd, SegmentLog};
use super::worker::{Command, Reply, ReplySender, SyncPolicy, serve};

/// Wait for the disk before a command counts as failed: a busy disk answers within this time.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed command before the next attempt.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Commands that may wait for the disk. A disk that hangs fills the channel, and further commands
/// fail at once: their readings stay in the queue, which is bounded.
const QUEUE_DEPTH: usize = 4;

/// The spool of this agent.
#[derive(Debug)]
pub struct Spool {
    commands: mpsc::SyncSender<Command>,
    /// Readings on disk that Redis does not have.
    waiting: u64,
    /// Readings dropped since the start.
    dropped: u64,
    /// Times of the last failed write and read: a full disk can still be read.
    write_failed: Option<Instant>,
    read_failed: Option<Instant>,
    /// Start of the present use of the disk, and readings sent from it since.
    in_use: Option<(Instant, u64)>,
}

impl Spool {
    /// Opens the spool in the folder at `path`, and returns the last number that previous runs
    /// are known to have assigned.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, another agent uses it, or the disk does not answer.
    pub async fn open(
        path: PathBuf,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> Result<(Self, Option<Seq>), SpoolError> {
        let files = move || Ok(Box::new(Folder::open(&path)?) as Box<dyn Files>);
        Self::over(files, bounds, sync).await
    }

    /// Opens a spool over the files that `files` returns; the spool's own thread calls it.
    ///
    /// # Errors
    ///
    /// When the files cannot be read, or the disk does not answer.
    pub async fn over(
        files: impl FnOnce() -> Result<Box<dyn Files>, SpoolError> + Send + 'static,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> Result<(Self, Option<Seq>), SpoolError> {
        let (commands, receiver) = mpsc::sync_channel(QUEUE_DEPTH);
        let (opened, opening) = oneshot::channel();
        let work = move || match files().and_then(|files| SegmentLog::open(files, bounds)) {
            Err(error) => {
                let _delivered = opened.send(Err(error));
            }
            // If the caller gave up waiting, the agent runs without a spool.
            Ok((log, last)) => {
                if opened.send(Ok((log.readings(), last))).is_ok() {
                    serve(log, sync, &receiver);
                }
            }
        };
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(work)
            .map_err(|source| SpoolError::Start { source })?;
        let (waiting, last) = match timeout(REPLY_TIMEOUT, opening).await {
            Ok(Ok(opened)) => opened?,
            Ok(Err(_)) => return Err(SpoolError::ThreadEnded),
            Err(_) => return Err(SpoolError::NoAnswer(REPLY_TIMEOUT)),
        };
        if waiting > 0 {
            info!(
                waiting,
                "sending spooled readings from the previous run first"
            );
        }
        let spool = Self {
            commands,
            waiting,
            dropped: 0,
            write_failed: None,
            read_failed: None,
            in_use: (waiting > 0).then(|| (Instant::now(), 0)),
        };
        Ok((spool, last))
    }

    /// Returns whether nothing is on disk.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Returns the number of readings on disk.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Returns the number of readings dropped from disk since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns whether a write may be tried: not during the pause after a failed one.
    pub fn is_writable(&self) -> bool {
        has_paused(self.write_failed)
    }

    /// Returns whether a read may be tried: not during the pause after a failed one.
    pub fn is_readable(&self) -> bool {
        has_paused(self.read_failed)
    }

    /// Appends records, and returns how many the disk accepted, counted from the first.
    pub async fn append(&mut self, records: Vec<Record>) -> usize {
        if self.is_empty() && self.in_use.is_none() && self.write_failed.is_none() {
            info!("redis does not accept readings, writing them to the spool");
        }
        let appended = self.call(|reply| Command::Append(records, reply)).await;
        let appended = log_change(appended, &mut self.write_failed, "write to").unwrap_or(0);
        if appended > 0 {
            self.in_use.get_or_insert_with(|| (Instant::now(), 0));
        }
        appended
    }

    /// Returns the first records, with about `readings` readings in all; none if the disk fails.
    pub async fn front(&mut self, readings: usize) -> Vec<(Record, RecordEnd)> {
        let front = self.call(|reply| Command::Front(readings, reply)).await;
        log_change(front, &mut self.read_failed, "read from").unwrap_or_default()
    }

    /// Acknowledges records with `readings` readings; `last` is the last number that the agent
    /// assigned.
    pub fn acknowledge(&mut self, readings: u64, ends: Vec<RecordEnd>, last: Option<Seq>) {
        self.waiting = self.waiting.saturating_sub(readings);
        // If the thread ended or hangs, the records are sent once more.
        let _refused = self.commands.try_send(Command::Acknowledge(ends, last));
        let Some((since, sent)) = &mut self.in_use else {
            return;
        };
        *sent += readings;
        if self.waiting == 0 {
            let duration = Duration::from_secs(since.elapsed().as_secs());
            let duration = humantime::format_duration(duration);
            info!(sent, %duration, "spool is empty again");
            self.in_use = None;
        }
    }

    /// Syncs everything and saves the position, for the next start.
    pub async fn close(&mut self, last: Option<Seq>) {
        let closed = self.call(|reply| Command::Close(last, reply)).await;
        if let Err(error) = closed
            && self.write_failed.is_none()
        {
            warn!(error = chain(&error), "cannot close spool");
        }
    }

    /// Sends a command, and waits for its reply.
    async fn call<T>(
        &mut self,
        command: impl FnOnce(ReplySender<T>) -> Command,
    ) -> Result<T, SpoolError> {
        let (reply, replied) = oneshot::channel();
        // A refused command drops its reply sender, as a thread that ended does: both end in an
        // error below.
        let is_full = matches!(
            self.commands.try_send(command(reply)),
            Err(TrySendError::Full(_))
        );
        match timeout(REPLY_TIMEOUT, replied).await {
            Ok(Ok(Reply {
                result,
                waiting,
                dropped,
            })) => {
                self.waiting = waiting;
                self.dropped = dropped;
                result
            }
            Ok(Err(_)) if !is_full => Err(SpoolError::ThreadEnded),
            Ok(Err(_)) | Err(_) => Err(SpoolError::NoAnswer(REPLY_TIMEOUT)),
        }
    }
}

fn has_paused(failed: Option<Instant>) -> bool {
    failed.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
}

/// Logs the first failure and the first success after it, and returns the value if there is one.
fn log_change<T>(
    result: Result<T, SpoolError>,
    failed: &mut Option<Instant>,
    operation: &'static str,
) -> Option<T> {
    match result {
        Ok(value) => {
            if failed.take().is_some() {
                info!(operation, "spool recovered");
            }
            Some(value)
        }
        Err(error) => {
            if failed.is_none() {
                let error = chain(&error);
                warn!(
                    error,
                    operation, "spool failed, readings are kept in memory only"
                );
            }
            *failed = Some(Instant::now());
            None
        }
    }
}
