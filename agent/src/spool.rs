//! The spool: what Redis does not take goes to disk, and comes back from there in order.
//!
//! In: entries that waited too long in memory, oldest first. Out: the same, until Redis has them.
//! Bounded in bytes and age; the oldest are dropped first, and counted. A restart of the agent or
//! of the host loses what was not synced (`spool.sync`), and nothing else.
//!
//! The disk belongs to a thread of its own: one that hangs, is full or read-only stops neither
//! the sampler nor the publisher; they go on in memory. That is bounded, but for what was handed to a
//! disk that hangs.

pub mod files;
pub mod log;
mod position;
pub mod record;

use std::io;
use std::path::Path;
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
    /// Since when the disk refuses.
    trouble: Option<Instant>,
    /// When entries began to go to disk, and how many have been sent from there since.
    began: Option<(Instant, u64)>,
}

/// What is done to it at the end.
const CLOSED: &str = "closed";

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
    /// When the folder cannot be used, or another agent uses it.
    pub fn open(path: &Path, bounds: Bounds, sync: SyncPolicy) -> io::Result<(Self, Option<Seq>)> {
        Self::over(Box::new(files::Folder::open(path)?), bounds, sync)
    }

    /// A spool over these files.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn over(
        files: Box<dyn Files>,
        bounds: Bounds,
        sync: SyncPolicy,
    ) -> io::Result<(Self, Option<Seq>)> {
        let (log, last) = Log::open(files, bounds)?;
        let waiting = log.readings();
        if waiting > 0 {
            info!(
                waiting,
                "readings of the run before are in the spool, they go first"
            );
        }
        let (orders, receiver) = mpsc::sync_channel(DEPTH);
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || serve(log, sync, &receiver))?;
        let spool = Self {
            orders,
            waiting,
            dropped: 0,
            trouble: None,
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

    /// Whether it may be tried.
    pub fn is_usable(&self) -> bool {
        self.trouble.is_none_or(|since| since.elapsed() >= REST)
    }

    /// Adds records; how many the disk took, from the first on.
    pub async fn append(&mut self, records: Vec<Record>) -> usize {
        if self.is_empty() && self.began.is_none() && self.trouble.is_none() {
            info!("redis does not take readings, they go to the spool");
        }
        let taken = self
            .ask("written", |answer| Order::Append(records, answer))
            .await;
        let taken = taken.unwrap_or(0);
        if taken > 0 {
            self.began.get_or_insert_with(|| (Instant::now(), 0));
        }
        taken
    }

    /// The first records, of about so many readings.
    pub async fn first(&mut self, readings: usize) -> Vec<(Record, End)> {
        let first = self
            .ask("read", |answer| Order::First(readings, answer))
            .await;
        first.unwrap_or_default()
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
        let _told = self.ask(CLOSED, |answer| Order::Close(last, answer)).await;
    }

    /// None where the disk refuses or does not answer; that is logged when it begins and ends.
    async fn ask<T>(
        &mut self,
        what: &'static str,
        order: impl FnOnce(Answer<T>) -> Order,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // Refused, it drops the answer's sender, or the thread has ended: both are errors below.
        let full = matches!(
            self.orders.try_send(order(answer)),
            Err(TrySendError::Full(_))
        );
        let result = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok((result, waiting, dropped))) => {
                self.waiting = waiting;
                self.dropped = dropped;
                result
            }
            Ok(Err(_)) if !full => Err(io::Error::other("its thread has ended")),
            Ok(Err(_)) | Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it does not answer",
            )),
        };
        match result {
            Ok(done) => {
                // Closing works on a full disk too.
                if what != CLOSED && self.trouble.take().is_some() {
                    info!("the spool can be used again");
                }
                Some(done)
            }
            Err(error) => {
                if self.trouble.is_none() {
                    warn!(%error, "the spool cannot be {what}, readings are kept in memory only");
                }
                self.trouble = Some(Instant::now());
                None
            }
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
                if let Err(error) = log.sync() {
                    warn!(%error, "the spool cannot be synced");
                }
            }
            // Whoever lost patience has kept them, and brings them again.
            Ok(Order::Append(_, answer)) if answer.is_closed() => {}
            Ok(Order::Append(records, answer)) => {
                let taken = append(&mut log, &records, sync);
                written = written.or(Some(Instant::now()));
                tell(answer, taken, &log);
            }
            Ok(Order::First(readings, answer)) => {
                let first = log.first(readings);
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
                let synced = log.sync();
                remember(&mut log, last.as_ref());
                tell(answer, synced, &log);
            }
        }
    }
}

/// How many were taken before the disk refused; an error only where it took none.
fn append(log: &mut Log, records: &[Record], sync: SyncPolicy) -> io::Result<usize> {
    let mut taken = 0;
    for record in records {
        let appended = log.append(record, clock::now()).and_then(|()| match sync {
            SyncPolicy::Always => log.sync(),
            SyncPolicy::Within(_) | SyncPolicy::Never => Ok(()),
        });
        match appended {
            Ok(()) => taken += 1,
            Err(error) if taken == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(taken)
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
