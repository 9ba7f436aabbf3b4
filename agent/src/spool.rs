//! The spool: what Redis does not take goes to disk, and comes back from there in order.
//!
//! In: entries that waited too long in memory, oldest first. Out: the same, until Redis has them.
//! Bounded in bytes and age; the oldest are dropped first, and counted. A restart of the agent or
//! of the host loses what was not synced (`spool.sync`), and nothing else.
//!
//! The disk belongs to a thread of its own: one that hangs, is full or read-only stops neither
//! the sampler nor the publisher; they go on in memory, which is bounded: of what a disk that hangs has
//! not taken, a few batches wait for it, and the rest is refused at once.

pub mod files;
pub mod log;
mod position;
pub mod record;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use rackwatch_core::wire::Seq;
use tokio::sync::oneshot;
use tracing::{info, warn};

use self::files::Files;
use self::log::{Bounds, End, Log};
use self::record::Record;
use crate::clock;

/// When what was written is synced, so that it survives a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After each write.
    Always,
    /// This long after a write, at the latest.
    Within(Duration),
    /// When the operating system gets to it.
    Never,
}

/// An answer of a disk that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error the disk is left in peace for this long.
const REST: Duration = Duration::from_secs(10);
/// Orders that wait for the disk. A disk that hangs fills it, and what comes then is refused at once:
/// the readings stay in the queue, which is bounded.
const DEPTH: usize = 4;
/// The position is written this often at most.
const REMEMBER: Duration = Duration::from_secs(1);

/// The spool of this agent, by the thread that has the disk.
#[derive(Debug)]
pub struct Spool {
    orders: mpsc::SyncSender<Order>,
    /// Readings on disk that Redis does not have.
    waiting: u64,
    dropped: u64,
    /// Since when the disk refuses to be written, and to be read: a full one still gives what it has.
    unwritable: Option<Instant>,
    unreadable: Option<Instant>,
    /// When entries began to go to disk, and how many have been sent from there since.
    began: Option<(Instant, u64)>,
}

/// What the thread is to do.
#[derive(Debug)]
enum Order {
    Append(Vec<Record>, Answer<usize>),
    First(usize, Answer<Vec<(Record, End)>>),
    Done(Vec<End>, Option<Seq>),
    Close(Option<Seq>, Answer<()>),
}

/// A result, with the readings that wait and those that were dropped.
type Answer<T> = oneshot::Sender<(io::Result<T>, u64, u64)>;

impl Spool {
    /// Opens the spool in the folder at `path`, and says what the run before gave as its last number.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, another agent uses it, or the disk does not answer.
    pub async fn open(
        path: PathBuf,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> io::Result<(Self, Option<Seq>)> {
        let files = move || Ok(Box::new(files::Folder::open(&path)?) as Box<dyn Files>);
        Self::over(files, bounds, sync).await
    }

    /// A spool over these files, which are first touched by its thread.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or do not answer.
    pub async fn over(
        files: impl FnOnce() -> io::Result<Box<dyn Files>> + Send + 'static,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> io::Result<(Self, Option<Seq>)> {
        let (orders, receiver) = mpsc::sync_channel(DEPTH);
        let (answer, answered) = oneshot::channel();
        let work = move || {
            match files().and_then(|files| Log::open(files, bounds)) {
                Err(error) => {
                    let _told = answer.send(Err(error));
                }
                // Whoever lost patience goes on without: then this is the end of it.
                Ok((log, last)) => {
                    if answer.send(Ok((log.readings(), last))).is_ok() {
                        serve(log, sync, &receiver);
                    }
                }
            }
        };
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(work)?;
        let (waiting, last) = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(opened)) => opened?,
            Ok(Err(_)) => return Err(thread_ended()),
            Err(_) => return Err(no_answer()),
        };
        if waiting > 0 {
            info!(
                waiting,
                "readings of the run before are in the spool, they go first"
            );
        }
        let spool = Self {
            orders,
            waiting,
            dropped: 0,
            unwritable: None,
            unreadable: None,
            began: (waiting > 0).then(|| (Instant::now(), 0)),
        };
        Ok((spool, last))
    }

    /// Whether nothing is on disk.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Readings on disk.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Readings that were dropped from it since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether writing may be tried.
    pub fn takes(&self) -> bool {
        rested(self.unwritable)
    }

    /// Whether reading may be tried.
    pub fn gives(&self) -> bool {
        rested(self.unreadable)
    }

    /// Adds records; how many the disk took, from the first on.
    pub async fn append(&mut self, records: Vec<Record>) -> usize {
        if self.is_empty() && self.began.is_none() && self.unwritable.is_none() {
            info!("redis does not take readings, they go to the spool");
        }
        let taken = self.ask(|answer| Order::Append(records, answer)).await;
        let taken = said(taken, &mut self.unwritable, "written");
        let taken = taken.unwrap_or(0);
        if taken > 0 {
            self.began.get_or_insert_with(|| (Instant::now(), 0));
        }
        taken
    }

    /// The first records, of about so many readings.
    pub async fn first(&mut self, readings: usize) -> Vec<(Record, End)> {
        let first = self.ask(|answer| Order::First(readings, answer)).await;
        said(first, &mut self.unreadable, "read").unwrap_or_default()
    }

    /// Redis has these; `last` is the last number that was given.
    pub fn done(&mut self, readings: u64, ends: Vec<End>, last: Option<Seq>) {
        self.waiting = self.waiting.saturating_sub(readings);
        // A thread that is gone has said why; for one that hangs they come once more.
        let _refused = self.orders.try_send(Order::Done(ends, last));
        let Some((began, sent)) = &mut self.began else {
            return;
        };
        *sent += readings;
        if self.waiting == 0 {
            let (took, sent) = (began.elapsed(), *sent);
            let took = humantime::format_duration(Duration::from_secs(took.as_secs()));
            info!(sent, %took, "the spool is empty again");
            self.began = None;
        }
    }

    /// Writes all down, for the next start.
    pub async fn close(&mut self, last: Option<Seq>) {
        let closed = self.ask(|answer| Order::Close(last, answer)).await;
        if let Err(error) = closed
            && self.unwritable.is_none()
        {
            warn!(%error, "the spool cannot be closed");
        }
    }

    /// Gives the thread an order, and waits for its answer.
    async fn ask<T>(&mut self, order: impl FnOnce(Answer<T>) -> Order) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        // Refused, it drops the answer's sender, or the thread has ended: both are errors below.
        let full = matches!(
            self.orders.try_send(order(answer)),
            Err(TrySendError::Full(_))
        );
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok((result, waiting, dropped))) => {
                self.waiting = waiting;
                self.dropped = dropped;
                result
            }
            Ok(Err(_)) if !full => Err(thread_ended()),
            Ok(Err(_)) | Err(_) => Err(no_answer()),
        }
    }
}

fn rested(trouble: Option<Instant>) -> bool {
    trouble.is_none_or(|since| since.elapsed() >= REST)
}

/// None where the disk refuses or does not answer; that is logged when it begins and ends.
fn said<T>(result: io::Result<T>, trouble: &mut Option<Instant>, what: &str) -> Option<T> {
    match result {
        Ok(done) => {
            if trouble.take().is_some() {
                info!("the spool can be {what} again");
            }
            Some(done)
        }
        Err(error) => {
            if trouble.is_none() {
                warn!(%error, "the spool cannot be {what}, readings are kept in memory only");
            }
            *trouble = Some(Instant::now());
            None
        }
    }
}

/// The thread's loop, until the agent ends.
fn serve(mut log: Log, sync: SyncPolicy, orders: &mpsc::Receiver<Order>) {
    let mut remembered = Instant::now();
    let mut written: Option<Instant> = None;
    loop {
        let wait = match (sync, written) {
            (SyncPolicy::Within(limit), Some(written)) => limit.saturating_sub(written.elapsed()),
            _ => Duration::from_secs(3600),
        };
        match orders.recv_timeout(wait) {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                written = None;
                log.sync();
            }
            // Whoever lost patience has kept them, and brings them again.
            Ok(Order::Append(_, answer)) if answer.is_closed() => {}
            Ok(Order::Append(records, answer)) => {
                let taken = append(&mut log, &records, sync);
                written = written.or(Some(Instant::now()));
                tell(answer, taken, &log);
            }
            Ok(Order::First(readings, answer)) => {
                let first = log.first(readings, clock::now());
                tell(answer, first, &log);
            }
            Ok(Order::Done(ends, last)) => {
                log.done(&ends);
                if log.readings() == 0 || remembered.elapsed() >= REMEMBER {
                    remembered = Instant::now();
                    remember(&mut log, last.as_ref());
                }
            }
            Ok(Order::Close(last, answer)) => {
                log.sync();
                remember(&mut log, last.as_ref());
                tell(answer, Ok(()), &log);
            }
        }
    }
}

/// How many were taken before the disk refused; an error only where it took none.
fn append(log: &mut Log, records: &[Record], sync: SyncPolicy) -> io::Result<usize> {
    let mut taken = 0;
    for record in records {
        match log.append(record, clock::now()) {
            Ok(()) => taken += 1,
            Err(error) if taken == 0 => return Err(error),
            Err(_) => break,
        }
    }
    // The answer comes after it.
    if sync == SyncPolicy::Always {
        log.sync();
    }
    Ok(taken)
}

fn thread_ended() -> io::Error {
    io::Error::other("its thread has ended")
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
}

fn remember(log: &mut Log, last: Option<&Seq>) {
    if let Err(error) = log.remember(last) {
        // Records come twice after a restart, which does no harm.
        tracing::debug!(%error, "the spool's position cannot be written");
    }
}

fn tell<T>(answer: Answer<T>, result: io::Result<T>, log: &Log) {
    // Whoever asked may have lost patience.
    let _told = answer.send((result, log.readings(), log.dropped()));
}
