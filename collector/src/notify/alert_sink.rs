//! Alert sinks: where every alert record goes, such as the console and files.
//!
//! Promise: each record at least once. It is acknowledged after the sink has written it. Each sink has a thread and a
//! consumer group of its own: one that hangs holds up itself alone, and its records wait in Redis.

use std::fmt;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use rackwatch_core::alert::AlertRecord;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::failpoint;
use crate::feed::{Feed, FeedEntry};
use crate::stage::StageError;

/// Time for a sink to open before the collector goes on without waiting for it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a batch after which a sink counts as hanging, which is logged once.
const SLOW_AFTER: Duration = Duration::from_secs(10);
/// Time at a stop for the batch that is being written.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A failure to start an alert sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The alert file cannot be opened for writing.
    #[error("cannot write alerts to {path}: check that the directory exists and is writable")]
    File {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The thread of the sink cannot be started.
    #[error("cannot start the thread of an alert sink")]
    Thread {
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// A destination for alert records. Its methods may block.
pub trait AlertSink: Send {
    /// Opens the destination, so that a wrong one is known at the start.
    ///
    /// # Errors
    ///
    /// When the destination cannot be used.
    fn open(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Writes one record. A sink logs its own failures, so that they do not stop the others.
    fn write(&mut self, record: &AlertRecord);

    /// Makes everything written so far durable.
    fn flush(&mut self) {}
}

/// Records to write, and the sender to drop once they are written.
type Batch = (Vec<AlertRecord>, oneshot::Sender<()>);

/// A sink with its thread. Clones share it: several partitions write to the same sink.
#[derive(Clone)]
pub struct SinkThread {
    name: &'static str,
    batches: mpsc::Sender<Batch>,
}

impl fmt::Debug for SinkThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SinkThread").field(&self.name).finish()
    }
}

impl SinkThread {
    /// Starts the thread of `sink`, and waits a few seconds until it is open. `name` stands in logs.
    ///
    /// # Errors
    ///
    /// When the sink cannot be opened, or its thread cannot be started.
    pub fn start(name: &'static str, mut sink: Box<dyn AlertSink>) -> Result<Self, SinkError> {
        // A partition waits for its batch, so that more never wait than there are partitions.
        let (batches, mut receiver) = mpsc::channel::<Batch>(1);
        let (opened, opening) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            let result = sink.open();
            let is_usable = result.is_ok();
            if let Err(mpsc_error) = opened.send(result)
                && let Err(error) = mpsc_error.0
            {
                tracing::error!(sink = name, %error, "cannot open the alert sink, will retry");
            } else if !is_usable {
                return;
            }
            while let Some((records, written)) = receiver.blocking_recv() {
                for record in &records {
                    sink.write(record);
                }
                sink.flush();
                drop(written);
            }
        };
        thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(work)
            .map_err(|source| SinkError::Thread { source })?;
        match opening.recv_timeout(OPEN_TIMEOUT) {
            Ok(result) => result?,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(
                    sink = name,
                    "alert sink does not open, its alerts wait in Redis"
                );
            }
            // The thread reports before it ends.
            Err(RecvTimeoutError::Disconnected) => {}
        }
        Ok(Self { name, batches })
    }

    /// Waits until `records` are written, however long that takes. Fails if the thread has ended.
    async fn write(&self, records: Vec<AlertRecord>) -> Result<(), StageError> {
        let (written, done) = oneshot::channel();
        if self.batches.send((records, written)).await.is_err() {
            return Err(StageError::Stopped);
        }
        // The thread drops its end when the batch is written.
        let _written = done.await;
        Ok(())
    }
}

/// Writes every record of `feed` to `sinks`, until the feed ends or `stop`.
///
/// # Errors
///
/// When Redis refuses a command for a reason that will not pass.
pub async fn run(
    mut feed: impl Feed<Record = AlertRecord>,
    sinks: Vec<SinkThread>,
    stop: CancellationToken,
) -> Result<(), StageError> {
    loop {
        let alerts = match feed.next().await {
            Ok(alerts) => alerts,
            Err(StageError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        if alerts.is_empty() {
            continue;
        }
        failpoint::pass("before alerts written");
        let records = decoded(&alerts);
        for sink in &sinks {
            if !write(sink, &records, &stop).await {
                return Ok(());
            }
        }
        failpoint::pass("before acknowledged");
        let ids: Vec<_> = alerts.iter().map(|alert| alert.id).collect();
        match feed.acknowledge(&ids).await {
            Err(StageError::Stopped) => return Ok(()),
            other => other?,
        }
        failpoint::pass("after acknowledged");
    }
}

/// Returns the records that could be decoded.
fn decoded(alerts: &[FeedEntry<AlertRecord>]) -> Vec<AlertRecord> {
    let record = |alert: &FeedEntry<AlertRecord>| match &alert.record {
        Ok(record) => Some(record.clone()),
        Err(reason) => {
            tracing::warn!(entry = %alert.id, reason, "cannot decode an alert record, skipping it");
            None
        }
    };
    alerts.iter().filter_map(record).collect()
}

/// Writes a batch to one sink. Returns false if the collector stops before it is written.
async fn write(sink: &SinkThread, records: &[AlertRecord], stop: &CancellationToken) -> bool {
    let started = Instant::now();
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let report = async {
        tokio::time::sleep(SLOW_AFTER).await;
        tracing::warn!(
            sink = sink.name,
            waiting = records.len(),
            "alert sink hangs, its alerts wait in Redis"
        );
        std::future::pending::<()>().await;
    };
    let written = tokio::select! {
        written = sink.write(records.to_vec()) => written.is_ok(),
        () = stopped => false,
        () = report => false,
    };
    if written && started.elapsed() >= SLOW_AFTER {
        let hung = Duration::from_secs(started.elapsed().as_secs());
        let hung = humantime::format_duration(hung);
        tracing::info!(sink = sink.name, %hung, "alert sink recovered");
    }
    written
}
