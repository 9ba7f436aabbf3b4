//! The position file: how far the spool is acknowledged.
//!
//! [The spool](super) documents it byte by byte.

use rackwatch_core::wire::{Gap, Seq};
use tracing::warn;

use super::codec::{Decoder, Encoder};
use super::error::SpoolError;
use super::files::Files;

/// Name of the position file.
const FILE: &str = "position";

/// Version that this agent writes, and the newest that it reads.
const VERSION: u8 = 1;

/// The state of the spool that its segments do not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the first segment that is not fully acknowledged.
    pub(super) segment: u64,
    /// Offset in that segment up to which records are acknowledged.
    pub(super) offset: u64,
    /// Last sequence number that the agent assigned.
    pub(super) last: Option<Seq>,
    /// Reason for the gap that the next record has to report.
    pub(super) gap: Option<Gap>,
    /// Newest segment, and its length when this was written: records beyond it are newer than `last`.
    pub(super) end: (u64, u64),
}

impl Position {
    /// Reads the file. Returns `None` if it is absent, unreadable or damaged: then every record
    /// counts as unacknowledged and is sent again.
    pub(super) fn read(files: &dyn Files) -> Option<Self> {
        let bytes = files.read(FILE).ok()?;
        let position = match Decoder::open(&bytes) {
            Some((1, payload, _)) => version_1(payload),
            _ => None,
        };
        if position.is_none() {
            warn!(
                file = FILE,
                "spool position is damaged or of an unknown version, sending all records again"
            );
        }
        position
    }

    /// Replaces the file with this position.
    pub(super) fn write(&self, files: &mut dyn Files) -> Result<(), SpoolError> {
        files
            .replace(FILE, &self.encode())
            .map_err(SpoolError::disk("replace", FILE))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(VERSION);
        out.u64(self.segment);
        out.u64(self.offset);
        out.optional_seq(self.last.as_ref());
        out.gap(self.gap);
        out.u64(self.end.0);
        out.u64(self.end.1);
        out.finish()
    }
}

fn version_1(mut payload: Decoder<'_>) -> Option<Position> {
    let position = Position {
        segment: payload.u64()?,
        offset: payload.u64()?,
        last: payload.optional_seq()?,
        gap: payload.gap()?,
        end: (payload.u64()?, payload.u64()?),
    };
    payload.end()?;
    Some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_keeps_its_bytes() {
        let position = Position {
            segment: 7,
            offset: 300,
            last: Some(Seq {
                run: "mik".to_owned(),
                n: 42,
            }),
            gap: Some(Gap::SpoolAge),
            end: (9, 4096),
        };
        let expected = [
            &[47, 0, 0, 0, 0, 0, 0, 0][..],
            &[1],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[44, 1, 0, 0, 0, 0, 0, 0],
            &[1, 3, b'm', b'i', b'k'],
            &[42, 0, 0, 0, 0, 0, 0, 0],
            &[3],
            &[9, 0, 0, 0, 0, 0, 0, 0],
            &[0, 16, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let bytes = position.encode();
        // Bytes 4 to 7 are the checksum, which the test of the record format covers.
        assert_eq!((&bytes[..4], &bytes[8..]), (&expected[..4], &expected[8..]));
        let (version, payload, _) = Decoder::open(&bytes).unwrap();
        assert_eq!((version, version_1(payload)), (1, Some(position)));
    }
}
