//! The thread that owns the disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rackwatch_core::wire::Seq;
use rackwatch_runtime::error::chain;
use tokio::sync::oneshot;
use tracing::debug;

use super::error::SpoolError;
use super::record::Record;
use super::segment_log::{RecordEnd, SegmentLog};

/// Shortest time between two writes of the position file: a crash sends this much again.
const POSITION_EVERY: Duration = Duration::from_secs(1);

/// Wait for commands while nothing has to be synced. Any long time will do.
const IDLE: Duration = Duration::from_secs(3600);

/// The moment at which written records are synced, to survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After each write, before it counts as done.
    Always,
    /// At the latest this long after a write.
    Within(Duration),
    /// When the operating system decides.
    Never,
}

/// A command for the thread.
#[derive(Debug)]
pub(super) enum Command {
    Append(Vec<Record>, ReplySender<usize>),
    Front(usize, ReplySender<Vec<(Record, RecordEnd)>>),
    Acknowledge(Vec<RecordEnd>, Option<Seq>),
    Close(Option<Seq>, ReplySender<()>),
}

/// A result together with the state of the log after it.
#[derive(Debug)]
pub(super) struct Reply<T> {
    pub(super) result: Result<T, SpoolError>,
    pub(super) waiting: u64,
    /// Readings dropped since the start.
    pub(super) dropped: u64,
}

pub(super) type ReplySender<T> = oneshot::Sender<Reply<T>>;

/// Runs commands until all senders are gone.
pub(super) fn serve(mut log: SegmentLog, sync: SyncPolicy, commands: &Receiver<Command>) {
    let opened = Instant::now();
    let mut position_saved = Instant::now();
    let mut unsynced_since: Option<Instant> = None;
    loop {
        let wait = match (sync, unsynced_since) {
            (SyncPolicy::Within(limit), Some(since)) => limit.saturating_sub(since.elapsed()),
            _ => IDLE,
        };
        match commands.recv_timeout(wait) {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                unsynced_since = None;
                log.sync();
            }
            // The caller gave up waiting, has kept the records, and appends them again.
            Ok(Command::Append(_, reply)) if reply.is_closed() => {}
            Ok(Command::Append(records, reply)) => {
                let appended = append(&mut log, &records, sync, opened.elapsed());
                unsynced_since = unsynced_since.or(Some(Instant::now()));
                respond(reply, appended, &log);
            }
            Ok(Command::Front(readings, reply)) => {
                let front = log.front(readings, opened.elapsed());
                respond(reply, front, &log);
            }
            Ok(Command::Acknowledge(ends, last)) => {
                log.acknowledge(&ends);
                if log.readings() == 0 || position_saved.elapsed() >= POSITION_EVERY {
                    position_saved = Instant::now();
                    save_position(&mut log, last.as_ref());
                }
            }
            Ok(Command::Close(last, reply)) => {
                log.sync();
                save_position(&mut log, last.as_ref());
                respond(reply, Ok(()), &log);
            }
        }
    }
}

/// Appends records until the disk refuses one, and returns how many it accepted. Fails only if it
/// accepted none.
fn append(
    log: &mut SegmentLog,
    records: &[Record],
    sync: SyncPolicy,
    elapsed: Duration,
) -> Result<usize, SpoolError> {
    let mut appended = 0;
    for record in records {
        match log.append(record, elapsed) {
            Ok(()) => appended += 1,
            Err(error) if appended == 0 => return Err(error),
            Err(_) => break,
        }
    }
    // Before the reply: the caller relies on it.
    if sync == SyncPolicy::Always {
        log.sync();
    }
    Ok(appended)
}

fn save_position(log: &mut SegmentLog, last: Option<&Seq>) {
    if let Err(error) = log.save_position(last) {
        // A restart sends some records again, which does no harm.
        debug!(error = chain(&error), "cannot write spool position");
    }
}

fn respond<T>(reply: ReplySender<T>, result: Result<T, SpoolError>, log: &SegmentLog) {
    // The caller may have given up waiting.
    let _delivered = reply.send(Reply {
        result,
        waiting: log.readings(),
        dropped: log.dropped(),
    });
}
