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
use super::opening::{Attempts, opener};
use super::record::Record;
use super::segment_log::{Bounds, RecordEnd};
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
    /// Receives the number of readings on disk once the spool opens; `None` while it is open.
    opening: Option<oneshot::Receiver<u64>>,
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

/// The result of the first attempt to open a spool.
#[derive(Debug)]
pub enum Opened {
    /// Success. Holds the last number that previous runs are known to have assigned.
    Now(Option<Seq>),
    /// A failure, after which its thread retries. Until it succeeds the spool accepts nothing.
    Later(SpoolError),
}

impl Spool {
    /// Opens the spool in the folder at `path`.
    ///
    /// # Errors
    ///
    /// When another agent uses the folder, or the spool's thread cannot be started.
    pub async fn open(
        path: PathBuf,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> Result<(Self, Opened), SpoolError> {
        let files = move || Ok(Box::new(Folder::open(&path)?) as Box<dyn Files>);
        Self::over(files, bounds, sync).await
    }

    /// Opens a spool over the files that `files` returns; the spool's own thread calls it.
    ///
    /// # Errors
    ///
    /// When another agent uses the files, or the spool's thread cannot be started.
    pub async fn over(
        files: impl FnMut() -> Result<Box<dyn Files>, SpoolError> + Send + 'static,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> Result<(Self, Opened), SpoolError> {
        let (commands, receiver) = mpsc::sync_channel(QUEUE_DEPTH);
        let (first, opening) = oneshot::channel();
        let (later, opened_later) = oneshot::channel();
        let open = opener(files, bounds);
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || {
                let attempts = Attempts { first, later };
                if let Some(log) = attempts.open(open, &receiver) {
                    serve(log, sync, &receiver);
                }
            })
            .map_err(|source| SpoolError::Start { source })?;
        let mut spool = Self {
            commands,
            opening: None,
            waiting: 0,
            dropped: 0,
            write_failed: None,
            read_failed: None,
            in_use: None,
        };
        let error = match timeout(REPLY_TIMEOUT, opening).await {
            Ok(Ok(Ok((waiting, last)))) => {
                spool.begin(waiting);
                return Ok((spool, Opened::Now(last)));
            }
            Ok(Ok(Err(error @ SpoolError::InUse))) => return Err(error),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => SpoolError::ThreadEnded,
            Err(_) => SpoolError::NoAnswer(REPLY_TIMEOUT),
        };
        spool.opening = Some(opened_later);
        Ok((spool, Opened::Later(error)))
    }

    /// Starts to use an open spool that holds `waiting` readings.
    fn begin(&mut self, waiting: u64) {
        self.waiting = waiting;
        if waiting > 0 {
            info!(
                waiting,
                "sending spooled readings from the previous run first"
            );
            self.in_use = Some((Instant::now(), 0));
        }
    }

    /// Returns whether the spool is open, and takes note if it has opened since the last call.
    pub fn is_open(&mut self) -> bool {
        if let Some(opening) = &mut self.opening
            && let Ok(waiting) = opening.try_recv()
        {
            self.opening = None;
            info!("spool opened");
            self.begin(waiting);
        }
        self.opening.is_none()
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

    /// Returns whether a write may be tried: once the spool is open, and not during the pause after a
    /// failed one.
    pub fn is_writable(&self) -> bool {
        self.opening.is_none() && has_paused(self.write_failed)
    }

    /// Returns whether a read may be tried: once the spool is open, and not during the pause after a
    /// failed one.
    pub fn is_readable(&self) -> bool {
        self.opening.is_none() && has_paused(self.read_failed)
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
