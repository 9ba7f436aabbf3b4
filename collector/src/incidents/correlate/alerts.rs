//! The alerts of every partition, read in one go through a consumer group.
//!
//! Reads do not block: one pipeline asks all streams a few times a second, however many partitions there
//! are. A group that is not there begins where the alerts were last dealt with, or two minutes ago: what
//! is older is no news. After any trouble what is already this reader's comes first.

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::keys::{CORRELATOR_CONSUMER, CORRELATOR_GROUP, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::{self as reply, Connection};
use redis::{RedisResult, Value};

use super::Broken;

/// Records of one stream in one read.
const MOST: usize = 1000;

/// The alert streams of a layout.
#[derive(Debug)]
pub(super) struct AlertStreams {
    partitions: Partitions,
    streams: Vec<String>,
    pending_first: bool,
    made: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What can be understood.
    pub(super) records: Vec<AlertRecord>,
    /// The entries of each stream.
    entries: Vec<(String, Vec<String>)>,
    /// There may be more right now.
    pub(super) more: bool,
}

impl AlertStreams {
    pub(super) fn new(partitions: Partitions) -> Self {
        Self {
            partitions,
            streams: partitions
                .all()
                .map(|partition| PartitionKeys::of(partition).alerts)
                .collect(),
            pending_first: true,
            made: false,
        }
    }

    pub(super) fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// The next records of all streams. A new group begins at `from`.
    pub(super) async fn next(
        &mut self,
        connection: &mut Connection,
        from: Timestamp,
    ) -> Result<Heard, Broken> {
        if !self.made {
            self.make_groups(connection, from).await?;
            self.made = true;
        }
        let mut pipeline = redis::pipe();
        for stream in &self.streams {
            pipeline
                .cmd("XREADGROUP")
                .arg("GROUP")
                .arg(CORRELATOR_GROUP)
                .arg(CORRELATOR_CONSUMER)
                .arg("COUNT")
                .arg(MOST)
                .arg("STREAMS")
                .arg(stream)
                .arg(if self.pending_first { "0" } else { ">" });
        }
        // Streams that were read before one failed have given their entries to this reader.
        let pending = std::mem::replace(&mut self.pending_first, true);
        let answers: Vec<Value> = match pipeline.query_async(connection).await {
            Err(error) if reply::is_no_group(&error) => {
                tracing::warn!(
                    group = CORRELATOR_GROUP,
                    "consumer group has vanished, made again"
                );
                self.made = false;
                return Ok(Heard {
                    more: true,
                    ..Heard::default()
                });
            }
            answers => answers?,
        };
        let mut heard = Heard::default();
        for answer in answers {
            for (stream, entries) in reply::streams(answer)? {
                heard.more |= entries.len() == MOST;
                let mut ids = Vec::with_capacity(entries.len());
                for entry in entries {
                    let (ms, seq) = entry.id;
                    ids.push(format!("{ms}-{seq}"));
                    match entry.fields.as_ref().map(alert::decode) {
                        Some(Ok(record)) => heard.records.push(record),
                        Some(Err(reason)) => {
                            tracing::warn!(stream, ms, seq, %reason, "alert record cannot be understood");
                        }
                        None => tracing::warn!(stream, ms, seq, "alert record was trimmed unread"),
                    }
                }
                heard.entries.push((stream, ids));
            }
        }
        let any = heard.entries.iter().any(|(_, ids)| !ids.is_empty());
        self.pending_first = pending && any;
        heard.more |= pending;
        // Records of one moment come from several streams: the oldest first.
        heard.records.sort_by_key(|record| record.at);
        Ok(heard)
    }

    /// These have been dealt with.
    pub(super) async fn done(
        &mut self,
        connection: &mut Connection,
        heard: &Heard,
    ) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        for (stream, ids) in heard.entries.iter().filter(|(_, ids)| !ids.is_empty()) {
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

    async fn make_groups(&self, connection: &mut Connection, from: Timestamp) -> RedisResult<()> {
        for stream in &self.streams {
            let mut make = redis::cmd("XGROUP");
            make.arg("CREATE")
                .arg(stream)
                .arg(CORRELATOR_GROUP)
                .arg(format!("{}-0", from.millis()))
                .arg("MKSTREAM");
            match make.exec_async(connection).await {
                Err(error) if !reply::is_group_there(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
