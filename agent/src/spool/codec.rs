//! Numbers and text of spool files, in frames with a checksum.
//!
//! [The spool](super) documents frames and payloads byte by byte.

use rackwatch_core::wire::{Gap, Seq};

/// Bytes before the payload of a frame: its length and its checksum.
const HEADER: usize = 8;

/// Longest payload of a frame in bytes: a longer one was not written by any agent.
///
/// A record of [`MAX_READINGS`](super::record::MAX_READINGS) with the longest device ids and
/// fault words takes less than two thirds of it.
const LONGEST: usize = 1 << 20;

/// A frame being written.
#[derive(Debug)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts a frame whose payload begins with the format version `version`.
    pub(super) fn new(version: u8) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.push(version);
        Self(bytes)
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Writes a presence byte, and the number if there is one.
    pub(super) fn optional_i64(&mut self, number: Option<i64>) {
        self.u8(u8::from(number.is_some()));
        if let Some(number) = number {
            self.i64(number);
        }
    }

    pub(super) fn f64(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Writes text of at most 255 bytes: device ids, fault words and run names all fit.
    pub(super) fn text(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        self.u8(length);
        self.0
            .extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    }

    pub(super) fn seq(&mut self, seq: &Seq) {
        self.text(&seq.run);
        self.u64(seq.n);
    }

    /// Writes a presence byte, and the number if there is one.
    pub(super) fn optional_seq(&mut self, seq: Option<&Seq>) {
        self.u8(u8::from(seq.is_some()));
        if let Some(seq) = seq {
            self.seq(seq);
        }
    }

    pub(super) fn gap(&mut self, gap: Option<Gap>) {
        self.u8(match gap {
            None => 0,
            Some(Gap::QueueFull) => 1,
            Some(Gap::SpoolFull) => 2,
            Some(Gap::SpoolAge) => 3,
            Some(Gap::SpoolCorrupt) => 4,
        });
    }

    /// Fills in length and checksum, and returns the frame.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = self.0;
        let length = u32::try_from(bytes.len() - HEADER)
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        let checksum = checksum(length, &bytes[HEADER..]).to_le_bytes();
        bytes[..4].copy_from_slice(&length);
        bytes[4..HEADER].copy_from_slice(&checksum);
        bytes
    }
}

/// A payload being read. Every method returns `None` when the payload ends early or makes no sense.
#[derive(Debug)]
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Opens the frame at the start of `bytes`: its format version, its payload and its length.
    ///
    /// Returns `None` if the frame is incomplete or its checksum is wrong.
    pub(super) fn open(bytes: &'a [u8]) -> Option<(u8, Self, usize)> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (expected, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let payload = rest.get(..size).filter(|_| size <= LONGEST)?;
        if checksum(*length, payload) != u32::from_le_bytes(*expected) {
            return None;
        }
        let (version, payload) = payload.split_first()?;
        Some((*version, Self(payload), HEADER + size))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads a presence byte, and the number if there is one.
    #[expect(
        clippy::option_option,
        reason = "the outer one is `None` for a payload that makes no sense"
    )]
    pub(super) fn optional_i64(&mut self) -> Option<Option<i64>> {
        match self.u8()? {
            0 => Some(None),
            1 => self.i64().map(Some),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn seq(&mut self) -> Option<Seq> {
        Some(Seq {
            run: self.text()?.to_owned(),
            n: self.u64()?,
        })
    }

    /// Reads a presence byte, and the number if there is one.
    #[expect(
        clippy::option_option,
        reason = "the outer one is `None` for a payload that makes no sense"
    )]
    pub(super) fn optional_seq(&mut self) -> Option<Option<Seq>> {
        match self.u8()? {
            0 => Some(None),
            1 => self.seq().map(Some),
            _ => None,
        }
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one is `None` for a payload that makes no sense"
    )]
    pub(super) fn gap(&mut self) -> Option<Option<Gap>> {
        Some(match self.u8()? {
            0 => None,
            1 => Some(Gap::QueueFull),
            2 => Some(Gap::SpoolFull),
            3 => Some(Gap::SpoolAge),
            4 => Some(Gap::SpoolCorrupt),
            _ => return None,
        })
    }

    /// Succeeds if the whole payload was read.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Returns the CRC-32 of length and payload. It finds every flipped bit, and all but one in four
/// billion of other damage.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}
