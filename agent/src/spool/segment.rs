//! One segment: a file of records.

use std::time::Duration;

use rackwatch_core::wire::Seq;
use rackwatch_runtime::error::chain;
use tracing::warn;

use super::error::SpoolError;
use super::record::{Record, RecordError, StoredRecord};

/// First bytes of a segment.
pub(super) const MAGIC: &[u8] = b"rackwatch spool 2\n";

/// First bytes that segments of all versions share.
const FAMILY: &[u8] = b"rackwatch spool ";

const SUFFIX: &str = ".segment";

/// A segment, and what is known of its records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Offset up to which records are readable.
    pub(super) length: u64,
    /// Offset up to which records are acknowledged.
    pub(super) acknowledged: u64,
    /// Readings that are not acknowledged.
    pub(super) readings: u64,
    /// Time at which the newest record was written, by the spool's own clock.
    pub(super) newest: Duration,
    /// Whether records after `length` are lost: the next record reports a gap.
    pub(super) is_lossy: bool,
    /// Whether the file stays on disk for a person, a repaired disk or a newer agent.
    pub(super) is_kept: bool,
    /// Whether nothing of the file can be read, so that it gets another name.
    pub(super) is_foreign: bool,
}

impl Segment {
    /// Returns an empty segment.
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            length: MAGIC.len() as u64,
            acknowledged: 0,
            readings: 0,
            newest: Duration::ZERO,
            is_lossy: false,
            is_kept: false,
            is_foreign: false,
        }
    }

    /// Returns the number of the segment in file `name`, or `None` if it is another kind of file.
    pub(super) fn number_of(name: &str) -> Option<u64> {
        name.strip_suffix(SUFFIX)?.parse().ok()
    }

    /// Returns the file name.
    pub(super) fn name(&self) -> String {
        format!("{:012}{SUFFIX}", self.number)
    }

    /// Finds the readable records of an existing segment, and calls `visit` with the number of each
    /// and the offset at which it ends.
    ///
    /// Records up to the offset `acknowledged` count as acknowledged; `u64::MAX` means the whole
    /// segment.
    pub(super) fn scan(
        number: u64,
        content: Result<Vec<u8>, SpoolError>,
        acknowledged: u64,
        mut visit: impl FnMut(Seq, u64),
    ) -> Self {
        let mut segment = Self::new(number);
        let is_new_loss = acknowledged < u64::MAX;
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => {
                segment.set_aside(is_new_loss, &chain(&error));
                return segment;
            }
        };
        if bytes.starts_with(FAMILY) && !bytes.starts_with(MAGIC) && bytes.len() >= MAGIC.len() {
            segment.set_aside(
                is_new_loss,
                &format!(
                    "it begins with {:?}, this agent reads {:?}",
                    first_line(&bytes),
                    first_line(MAGIC)
                ),
            );
            return segment;
        }
        if bytes.is_empty() || MAGIC.starts_with(&bytes) {
            // A crash right after the segment began leaves a part of the first line, and no reading.
            return segment;
        }
        if !bytes.starts_with(MAGIC) {
            segment.is_lossy = is_new_loss;
            segment.is_foreign = is_new_loss;
            return segment;
        }
        loop {
            match record_at(&bytes, segment.length) {
                Ok(stored) => segment.note(stored, acknowledged, &mut visit),
                Err(RecordError::Damaged) => break,
                Err(error @ RecordError::UnknownVersion(_)) => {
                    segment.set_aside(is_new_loss, &error.to_string());
                    return segment;
                }
            }
        }
        let torn = bytes.len() as u64 - segment.length.min(bytes.len() as u64);
        if torn > 0 {
            warn!(
                segment = number,
                torn, "dropping the unreadable end of a spool segment"
            );
            segment.is_lossy = true;
        }
        segment
    }

    fn note(&mut self, stored: StoredRecord, acknowledged: u64, visit: &mut impl FnMut(Seq, u64)) {
        let record = stored.record;
        self.length += stored.length as u64;
        self.newest = self.newest.max(stored.written.unwrap_or_default());
        if self.length > acknowledged {
            self.readings += record.sample.readings.len() as u64;
        } else {
            self.acknowledged = self.length;
        }
        visit(record.seq, self.length);
    }

    /// Leaves the file on disk, and skips what cannot be read of it. A start after the one that
    /// noticed the loss does not report it again.
    fn set_aside(&mut self, is_new_loss: bool, reason: &str) {
        self.is_kept = true;
        if is_new_loss {
            self.is_lossy = true;
            warn!(
                segment = self.number,
                file = self.name(),
                reason,
                "cannot read spool segment, skipping its readings and keeping the file: see \"Kept spool segments\" in \
                 docs/operations.md"
            );
        }
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

/// Reads the record at `offset` of a segment's content.
pub(super) fn record_at(bytes: &[u8], offset: u64) -> Result<StoredRecord, RecordError> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .ok_or(RecordError::Damaged)?;
    Record::decode(rest)
}
