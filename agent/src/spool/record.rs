//! A record of the spool: one sample with its number, and a checksum.
//!
//! `length` and `checksum`, four bytes each, little-endian, then so many bytes: the number, a
//! reason for a gap before it, the time, and the readings as layout `frame` has them, each ended by
//! a newline. The checksum (CRC-32 of the rest, the length included) tells a torn or flipped record
//! from a good one: a flipped bit is always found, other damage but for one time in four billion.

use std::fmt::Write;

use rackwatch_core::reading::Sample;
use rackwatch_core::wire::{self, Gap, Provenance, Seq, field, frame};

/// Bytes before the text.
const HEAD: usize = 8;
/// A longer record was not written by us: a frame of [`MOST_READINGS`] with the longest
/// ids has less than two thirds of it.
const LONGEST: usize = 1 << 20;
/// The most readings of one record: a larger sample becomes several, so that no field of an entry
/// grows beyond what a collector takes.
pub const MOST_READINGS: usize = 4_000;

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The number of its last reading.
    pub seq: Seq,
    /// The last number of the run before, where this is the first of its run.
    pub prev: Option<Seq>,
    /// Why numbers before it are missing.
    pub gap: Option<Gap>,
    /// The readings.
    pub sample: Sample,
}

impl Record {
    /// As it stands in a segment.
    pub fn encode(&self) -> Vec<u8> {
        let from = Provenance {
            prev: self.prev.clone(),
            gap: self.gap,
            ..Provenance::new("-", self.seq.clone())
        };
        let mut text = String::new();
        for (name, value) in frame::encode(&self.sample, &from) {
            // Writing to a String cannot fail.
            let _ok = writeln!(text, "{name}={value}");
        }
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEAD + text.len());
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&checksum(&length, text.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// The record at the beginning of `bytes`, and its length; none where there is no good one.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (checked, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let text = rest.get(..size).filter(|_| size <= LONGEST)?;
        if checksum(length, text) != u32::from_le_bytes(*checked) {
            return None;
        }
        Some((Self::parse(text)?, HEAD + size))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let field = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((line[..at].to_vec(), line[at + 1..].to_vec()))
        };
        let fields: Vec<_> = lines.map(field).collect::<Option<_>>()?;
        let at = fields
            .iter()
            .find(|(name, _)| name == field::TIMESTAMP.as_bytes())?;
        let at = std::str::from_utf8(&at.1).ok()?.parse().ok()?;
        let decoded = wire::decode(&fields);
        Some(Self {
            seq: decoded.seq?,
            prev: decoded.prev,
            gap: decoded.gap,
            sample: Sample {
                at: rackwatch_core::time::Timestamp::from_millis(at)?,
                readings: decoded.readings,
            },
        })
    }
}

fn checksum(length: &[u8], text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(text);
    hasher.finalize()
}
