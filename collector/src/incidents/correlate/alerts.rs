//! The alerts of all partitions, read together through a consumer group.
//!
//! Reads do not block: one pipeline asks all streams a few times a second, however many partitions there
//! are. A missing group is created at the last progress of the correlator, or two minutes ago, since older
//! alerts are historical. After any error the entries that this consumer has pending come first.

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::keys::{CORRELATOR_CONSUMER, CORRELATOR_GROUP, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::{self as reply, Connection, RawEntry};
use redis::{RedisResult, Value};

use super::step_error::StepError;
use crate::claims::{self, NextLook};

/// Entries of one stream in one read: bounds the memory of a step after an outage.
const MAX_ENTRIES: usize = 1000;

/// The alert streams of all partitions.
#[derive(Debug)]
pub(super) struct AlertStreams {
    partitions: Partitions,
    streams: Vec<String>,
    pending_first: bool,
    groups_exist: bool,
    /// The next look for entries that another consumer has pending.
    claims: NextLook,
}

/// One read of all streams.
#[derive(Debug, Default)]
pub(super) struct AlertBatch {
    /// The valid records, the oldest first.
    pub(super) records: Vec<AlertRecord>,
    /// The ids of all entries, by stream.
    entries: Vec<(String, Vec<String>)>,
    /// Whether more entries may wait right now.
    pub(super) more: bool,
}

impl AlertBatch {
    /// Adds the entries of one stream. Invalid records are logged, and acknowledged with the others.
    fn add(&mut self, stream: String, entries: Vec<RawEntry>) {
        self.more |= entries.len() == MAX_ENTRIES;
        let mut ids = Vec::with_capacity(entries.len());
        for entry in entries {
            let (ms, seq) = entry.id;
            ids.push(format!("{ms}-{seq}"));
            match entry.fields.as_ref().map(alert::decode) {
                Some(Ok(record)) => self.records.push(record),
                Some(Err(reason)) => {
                    tracing::warn!(stream, ms, seq, %reason, "invalid alert record, skipped");
                }
                None => {
                    tracing::warn!(
                        stream,
                        ms,
                        seq,
                        "alert record was trimmed before it was read"
                    );
                }
            }
        }
        self.entries.push((stream, ids));
    }
}

impl AlertStreams {
    /// Prepares to read all partitions. Nothing is read yet.
    pub(super) fn new(partitions: Partitions) -> Self {
        Self {
            partitions,
            streams: partitions
                .all()
                .map(|partition| PartitionKeys::of(partition).alerts)
                .collect(),
            pending_first: true,
            groups_exist: false,
            claims: NextLook::default(),
        }
    }

    /// Returns the partitions whose alerts are read.
    pub(super) fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// Reads the next records of all streams. A missing group is created at `from`.
    pub(super) async fn next(
        &mut self,
        connection: &mut Connection,
        from: Timestamp,
    ) -> Result<AlertBatch, StepError> {
        if !self.groups_exist {
            self.create_groups(connection, from).await?;
            self.groups_exist = true;
        }
        if self.claims.take_due() {
            for stream in &self.streams {
                let (group, consumer) = (CORRELATOR_GROUP, CORRELATOR_CONSUMER);
                let claimed = claims::take_over(connection, stream, group, consumer).await?;
                self.pending_first |= claimed > 0;
            }
        }
        let mut pipeline = redis::pipe();
        for stream in &self.streams {
            pipeline
                .cmd("XREADGROUP")
                .arg("GROUP")
                .arg(CORRELATOR_GROUP)
                .arg(CORRELATOR_CONSUMER)
                .arg("COUNT")
                .arg(MAX_ENTRIES)
                .arg("STREAMS")
                .arg(stream)
                .arg(if self.pending_first { "0" } else { ">" });
        }
        // If one stream fails, entries of the others are pending already.
        let pending = std::mem::replace(&mut self.pending_first, true);
        let answers: Vec<Value> = match pipeline.query_async(connection).await {
            Err(error) if reply::is_no_group(&error) => {
                tracing::warn!(
                    group = CORRELATOR_GROUP,
                    "consumer group is gone, creating it again"
                );
                self.groups_exist = false;
                return Ok(AlertBatch {
                    more: true,
                    ..AlertBatch::default()
                });
            }
            answers => answers?,
        };
        let mut batch = AlertBatch::default();
        for answer in answers {
            for (stream, entries) in reply::streams(answer)? {
                batch.add(stream, entries);
            }
        }
        let any = batch.entries.iter().any(|(_, ids)| !ids.is_empty());
        self.pending_first = pending && any;
        batch.more |= pending;
        // Several streams hold records of one moment.
        batch.records.sort_by_key(|record| record.at);
        Ok(batch)
    }

    /// Acknowledges all entries of a batch.
    pub(super) async fn acknowledge(
        &mut self,
        connection: &mut Connection,
        batch: &AlertBatch,
    ) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        for (stream, ids) in batch.entries.iter().filter(|(_, ids)| !ids.is_empty()) {
            pipeline
                .cmd("XACK")
                .arg(stream)
                .arg(CORRELATOR_GROUP)
                .arg(ids)
                .ignore();
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        pipeline.exec_async(connection).await
    }

    async fn create_groups(&self, connection: &mut Connection, from: Timestamp) -> RedisResult<()> {
        for stream in &self.streams {
            let mut create = redis::cmd("XGROUP");
            create
                .arg("CREATE")
                .arg(stream)
                .arg(CORRELATOR_GROUP)
                .arg(format!("{}-0", from.millis()))
                .arg("MKSTREAM");
            match create.exec_async(connection).await {
                Err(error) if !reply::is_group_there(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
