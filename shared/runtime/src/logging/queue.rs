//! The queue between those who log and stderr.
//!
//! In: a formatted line at a time. Out: the same lines, written by a thread of their own, so that a pipe whose reader has
//! stopped holds up nothing else. A full queue loses lines. The thread counts them and says so once it can write again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::lines::LineStyle;

/// Lines that wait: seconds of a busy program, and about a megabyte.
const CAPACITY: usize = 4096;

/// A writer of log lines that never waits. Clones share one queue.
#[derive(Clone, Debug)]
pub(super) struct LogQueue {
    style: LineStyle,
    lines: SyncSender<Vec<u8>>,
    state: Arc<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Lines that the queue took.
    accepted: AtomicU64,
    /// Lines lost since the last report.
    lost: AtomicU64,
    /// Lines that left the queue.
    written: Mutex<u64>,
    advanced: Condvar,
}

impl LogQueue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(super) fn start(out: impl Write + Send + 'static, style: LineStyle) -> io::Result<Self> {
        let (lines, receiver) = sync_channel(CAPACITY);
        let state = Arc::<QueueState>::default();
        let of_thread = Arc::clone(&state);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || of_thread.write_all(out, style, &receiver))?;
        Ok(Self {
            style,
            lines,
            state,
        })
    }

    /// Accepts lines as they are, unless the queue is full.
    pub(super) fn push(&self, line: Vec<u8>) {
        self.state.accepted.fetch_add(1, Ordering::Release);
        if self.lines.try_send(line).is_err() {
            self.state.accepted.fetch_sub(1, Ordering::Release);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until every line so far is written. Returns false if `patience` ends first.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let accepted = self.state.accepted.load(Ordering::Acquire);
        let written = self.state.written.lock();
        let written = written.unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .state
            .advanced
            .wait_timeout_while(written, patience, |written| *written < accepted);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= accepted
    }
}

impl Write for LogQueue {
    /// Accepts the line of one event.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(self.style.escaped(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl QueueState {
    fn write_all(&self, mut out: impl Write, style: LineStyle, lines: &Receiver<Vec<u8>>) {
        while let Ok(line) = lines.recv() {
            // A closed stderr must not stop the program.
            let _ignored = out.write_all(&line).and_then(|()| out.flush());
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let _ignored = out.write_all(&style.report_of_lost(lost));
            }
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.advanced.notify_all();
        }
    }
}
