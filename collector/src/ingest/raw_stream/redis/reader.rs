//! Reads entries through the consumer group, on a connection that may block.

use std::time::{Duration, Instant};

use rackwatch_core::keys;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire;
use rackwatch_runtime::redis::{
    self as reply, Connector, Purpose, RawEntry, ReplyError, RequestError, Session,
};
use redis::Value;
use tokio_util::sync::CancellationToken;

use super::super::{Entry, RawStreamError};
use super::clock::RedisClock;
use crate::stage::StageError;

/// Longest block of a read: short enough that a stop is quick, long enough to cost nothing.
const MAX_BLOCK: Duration = Duration::from_millis(1000);
/// Entries of the first read, before it is known how many readings an entry has: each may have
/// thousands.
const FIRST_ENTRIES: usize = 16;
/// Most entries of one read.
const MAX_ENTRIES: usize = 1000;
/// Readings that a batch should have, however many an entry has: this bounds memory and the
/// duration of a commit.
const READINGS_PER_BATCH: usize = 5_000;

/// Reads one raw stream.
#[derive(Debug)]
pub(super) struct Reader {
    session: Session,
    stream: String,
    block: Duration,
    stop: CancellationToken,
    /// Whether pending entries come before new ones.
    pending_first: bool,
    /// Time for which the last read listened in vain.
    waited: Duration,
    /// Entries to ask for, so that a batch has [`READINGS_PER_BATCH`].
    entries: usize,
}

impl Reader {
    /// Creates a reader that blocks for at most `max_block`.
    pub(super) fn new(
        connector: Connector,
        stream: String,
        max_block: Duration,
        stop: CancellationToken,
    ) -> Self {
        let block = MAX_BLOCK.min(max_block);
        Self {
            session: Session::new(connector, Purpose::Blocking(block), stop.clone()),
            stream,
            block,
            stop,
            pending_first: true,
            waited: Duration::ZERO,
            entries: FIRST_ENTRIES,
        }
    }

    /// Makes the next read begin with entries that this consumer has not acknowledged.
    pub(super) fn read_pending_first(&mut self) {
        self.pending_first = true;
    }

    /// Returns for how long the last read listened in vain, once.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Returns the number of entries that make a batch.
    pub(super) fn batch_entries(&self) -> usize {
        self.entries
    }

    /// Reads the next entries; none if nothing came while the read blocked.
    pub(super) async fn next(&mut self, clock: RedisClock) -> Result<Vec<Entry>, RawStreamError> {
        let mut raw = Vec::new();
        if self.pending_first {
            raw = self.read("0").await?;
            self.pending_first = !raw.is_empty();
        }
        if raw.is_empty() {
            raw = self.read(">").await?;
        }
        Ok(self.decode(raw, clock))
    }

    /// Decodes entries, and learns from them how many make a batch.
    pub(super) fn decode(&mut self, raw: Vec<RawEntry>, clock: RedisClock) -> Vec<Entry> {
        let decoded = raw.into_iter().map(|raw| decode(raw, clock));
        let entries: Vec<_> = decoded.collect();
        if !entries.is_empty() {
            let readings: usize = entries
                .iter()
                .map(|entry| entry.decoded.readings.len())
                .sum();
            let per_entry = readings.div_ceil(entries.len()).max(1);
            self.entries = (READINGS_PER_BATCH / per_entry).clamp(1, MAX_ENTRIES);
        }
        entries
    }

    async fn read(&mut self, from: &str) -> Result<Vec<RawEntry>, RawStreamError> {
        let command = self.command(from);
        loop {
            let connected = self.session.connection().await;
            let mut connection = connected.map_err(|error| self.refused(error))?;
            // Dropping the read at a stop is safe: what Redis delivers meanwhile stays pending, and
            // comes first at the next start.
            let began = Instant::now();
            let read = command.query_async::<Value>(&mut connection);
            let Some(read) = self.stop.run_until_cancelled(read).await else {
                return Err(StageError::Stopped.into());
            };
            let error = match read {
                Ok(reply) => return self.entries_of(reply, from, began.elapsed()),
                Err(error) => error,
            };
            self.waited = Duration::ZERO;
            self.pending_first = true;
            if reply::is_no_group(&error) {
                return Err(RawStreamError::OutcomeUnknown);
            }
            let recovered = self.session.recover(&error).await;
            recovered.map_err(|error| self.refused(error))?;
            // The pending entries come first from here on.
            if from == ">" {
                return Ok(Vec::new());
            }
        }
    }

    fn command(&self, from: &str) -> redis::Cmd {
        let mut command = redis::cmd("XREADGROUP");
        command
            .arg("GROUP")
            .arg(keys::DETECTOR_GROUP)
            .arg(keys::DETECTOR_CONSUMER)
            .arg("COUNT")
            .arg(self.entries)
            .arg("BLOCK")
            .arg(self.block.as_millis().to_string())
            .arg("STREAMS")
            .arg(&self.stream)
            .arg(from);
        command
    }

    fn entries_of(
        &mut self,
        reply: Value,
        from: &str,
        took: Duration,
    ) -> Result<Vec<RawEntry>, RawStreamError> {
        let streams = reply::streams(reply).map_err(|error| unexpected(&self.stream, error))?;
        // Nothing at all, and the read listened at the end of the stream.
        self.waited = if streams.is_empty() && from == ">" {
            took
        } else {
            Duration::ZERO
        };
        let entries = streams.into_iter().flat_map(|(_, entries)| entries);
        Ok(entries.collect())
    }

    fn refused(&self, error: RequestError) -> RawStreamError {
        StageError::of_request(format!("Redis refused to read {}", self.stream), error).into()
    }
}

/// Names the stream in the error of a malformed reply.
pub(super) fn unexpected(stream: &str, error: ReplyError) -> RawStreamError {
    StageError::refused(format!("unexpected reply to a read of {stream}"), error).into()
}

fn decode(raw: RawEntry, clock: RedisClock) -> Entry {
    let id = StreamId {
        ms: raw.id.0,
        seq: raw.id.1,
    };
    // An entry that was trimmed while it was pending has no fields, and is only acknowledged.
    let fields = raw.fields.unwrap_or_default();
    let decoded = if fields.is_empty() {
        wire::Decoded::default()
    } else {
        wire::decode(&fields)
    };
    Entry {
        id,
        ahead: clock.ahead(id),
        clock_offset: None,
        decoded,
        fields,
    }
}
