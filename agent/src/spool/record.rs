//! One record of the spool: a sample with its number. Pure.
//!
//! [The spool](super) documents each version byte by byte.

use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::reading::{Fault, Reading, Sample};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_core::wire::{Gap, Seq};

use super::codec::{Decoder, Encoder};
use crate::host_clock::ClockState;

/// Version of the records that this agent writes, and the newest that it reads.
pub const RECORD_VERSION: u8 = 3;

/// Most readings of one record. A larger sample becomes several records, so that no field of a
/// stream entry grows beyond what a collector accepts.
pub const MAX_READINGS: usize = 4_000;

/// Tags of a reading's value.
const TEMPERATURE: u8 = 0;
const FAULT: u8 = 1;

/// A sample waiting on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Number of its last reading.
    pub seq: Seq,
    /// Last number of the previous run, in the first record of a run.
    pub prev: Option<Seq>,
    /// Reason why numbers before this record are missing.
    pub gap: Option<Gap>,
    /// State of the host's clock when its readings were taken. Versions before 3 do not know it.
    pub clock: ClockState,
    /// Readings of one tick: all carry the sample's timestamp.
    pub sample: Sample,
}

/// A record as it was read from disk.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The record.
    pub record: Record,
    /// Time of the write by the spool's own clock; `None` in version 1, which has none.
    pub written: Option<Duration>,
    /// Length in bytes.
    pub length: usize,
}

/// Bytes that hold no readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end early, fail their checksum or make no sense.
    #[error("the record is damaged")]
    Damaged,
    /// The record is intact, but this agent has no reader for its version.
    #[error("a record has format {0}, this agent reads record format {RECORD_VERSION}")]
    UnknownVersion(u8),
}

impl Record {
    /// Returns the bytes of the record in version [`RECORD_VERSION`], written at `now` by the spool's
    /// own clock.
    pub fn encode(&self, now: Duration) -> Vec<u8> {
        let mut out = Encoder::new(RECORD_VERSION);
        out.u64(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        out.i64(self.clock.set_by);
        out.optional_i64(self.clock.skew);
        out.gap(self.gap);
        out.u64(self.sample.at.millis());
        out.seq(&self.seq);
        out.optional_seq(self.prev.as_ref());
        out.u32(u32::try_from(self.sample.readings.len()).unwrap_or(u32::MAX));
        for reading in &self.sample.readings {
            out.text(reading.device.as_str());
            match &reading.value {
                Ok(temperature) => {
                    out.u8(TEMPERATURE);
                    out.f64(temperature.degrees());
                }
                Err(fault) => {
                    out.u8(FAULT);
                    out.text(fault.as_str());
                }
            }
        }
        out.finish()
    }

    /// Reads the record at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged, or hold a record of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<StoredRecord, RecordError> {
        let (version, mut payload, length) = Decoder::open(bytes).ok_or(RecordError::Damaged)?;
        if !(1..=RECORD_VERSION).contains(&version) {
            return Err(RecordError::UnknownVersion(version));
        }
        let written = if version >= 2 {
            let millis = payload.u64().ok_or(RecordError::Damaged)?;
            Some(Duration::from_millis(millis))
        } else {
            None
        };
        let clock = if version >= 3 {
            clock(&mut payload).ok_or(RecordError::Damaged)?
        } else {
            ClockState::default()
        };
        Ok(StoredRecord {
            record: content(payload, clock).ok_or(RecordError::Damaged)?,
            written,
            length,
        })
    }
}

/// Reads what version 3 added.
fn clock(payload: &mut Decoder<'_>) -> Option<ClockState> {
    Some(ClockState {
        set_by: payload.i64()?,
        skew: payload.optional_i64()?,
    })
}

/// Reads what the versions have in common.
fn content(mut payload: Decoder<'_>, clock: ClockState) -> Option<Record> {
    let gap = payload.gap()?;
    let at = Timestamp::from_millis(payload.u64()?)?;
    let seq = payload.seq()?;
    let prev = payload.optional_seq()?;
    let count = usize::try_from(payload.u32()?).ok()?;
    let mut readings = Vec::with_capacity(count.min(MAX_READINGS));
    for _ in 0..count {
        let device = DeviceId::new(payload.text()?).ok()?;
        let value = match payload.u8()? {
            TEMPERATURE => Ok(Celsius::new(payload.f64()?).ok()?),
            FAULT => Err(Fault::new(payload.text()?)?),
            _ => return None,
        };
        readings.push(Reading { device, at, value });
    }
    payload.end()?;
    Some(Record {
        seq,
        prev,
        gap,
        clock,
        sample: Sample { at, readings },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with every kind of field, and its bytes. Agents in the field hold such bytes on
    /// disk: if this test fails, add a version instead of changing this one.
    const VERSION_1: &str = "\
        4f000000 4ed15d91 \
        01 02 f3f57f08a2010000 \
        03 6d696b 2a00000000000000 \
        01 03 6d696a 0700000000000000 \
        02000000 \
        0a 696e6c65742d52312d31 00 0000000000803540 \
        0a 696e6c65742d52312d32 01 07 74696d656f7574";

    const VERSION_2: &str = "\
        57000000 09de3e99 \
        02 1027000000000000 02 f3f57f08a2010000 \
        03 6d696b 2a00000000000000 \
        01 03 6d696a 0700000000000000 \
        02000000 \
        0a 696e6c65742d52312d31 00 0000000000803540 \
        0a 696e6c65742d52312d32 01 07 74696d656f7574";

    const VERSION_3: &str = "\
        68000000 864713a9 \
        03 1027000000000000 80eed2ffffffffff 01 dc05000000000000 02 f3f57f08a2010000 \
        03 6d696b 2a00000000000000 \
        01 03 6d696a 0700000000000000 \
        02000000 \
        0a 696e6c65742d52312d31 00 0000000000803540 \
        0a 696e6c65742d52312d32 01 07 74696d656f7574";

    const NOW: Duration = Duration::from_secs(10);

    fn golden() -> Record {
        let at = Timestamp::from_millis(1_795_438_933_491).unwrap();
        let reading = |device: &str, value| Reading {
            device: DeviceId::new(device).unwrap(),
            at,
            value,
        };
        let seq = |run: &str, n| Seq {
            run: run.to_owned(),
            n,
        };
        Record {
            seq: seq("mik", 42),
            prev: Some(seq("mij", 7)),
            gap: Some(Gap::SpoolFull),
            clock: ClockState {
                set_by: -2_953_600,
                skew: Some(1_500),
            },
            sample: Sample {
                at,
                readings: vec![
                    reading("inlet-R1-1", Ok(Celsius::new(21.5).unwrap())),
                    reading("inlet-R1-2", Err(Fault::TIMEOUT)),
                ],
            },
        }
    }

    /// Returns the record without what only version 3 holds.
    fn without_clock() -> Record {
        Record {
            clock: ClockState::default(),
            ..golden()
        }
    }

    fn from_hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn version_1_is_read() {
        let bytes = from_hex(VERSION_1);
        let stored = StoredRecord {
            record: without_clock(),
            written: None,
            length: bytes.len(),
        };
        assert_eq!(Record::decode(&bytes), Ok(stored));
    }

    #[test]
    fn version_2_is_read() {
        let bytes = from_hex(VERSION_2);
        let stored = StoredRecord {
            record: without_clock(),
            written: Some(NOW),
            length: bytes.len(),
        };
        assert_eq!(Record::decode(&bytes), Ok(stored));
    }

    #[test]
    fn version_3_keeps_its_bytes() {
        let bytes = from_hex(VERSION_3);
        assert_eq!(hex(&golden().encode(NOW)), hex(&bytes));
        let stored = StoredRecord {
            record: golden(),
            written: Some(NOW),
            length: bytes.len(),
        };
        assert_eq!(Record::decode(&bytes), Ok(stored));
    }

    #[test]
    fn an_unknown_version_is_not_read() {
        let mut out = Encoder::new(4);
        out.text("fields of the future");
        assert_eq!(
            Record::decode(&out.finish()),
            Err(RecordError::UnknownVersion(4))
        );
    }

    #[test]
    fn trailing_bytes_in_a_payload_are_damage() {
        let mut payload = golden().encode(NOW)[8..].to_vec();
        payload.push(0);
        let mut out = Encoder::new(payload[0]);
        for byte in &payload[1..] {
            out.u8(*byte);
        }
        assert_eq!(Record::decode(&out.finish()), Err(RecordError::Damaged));
    }

    fn any_seq() -> impl Strategy<Value = Seq> {
        ("[a-z0-9]{1,32}", any::<u64>()).prop_map(|(run, n)| Seq { run, n })
    }

    fn any_gap() -> impl Strategy<Value = Gap> {
        prop::sample::select(vec![
            Gap::QueueFull,
            Gap::SpoolFull,
            Gap::SpoolAge,
            Gap::SpoolCorrupt,
        ])
    }

    fn any_value() -> impl Strategy<Value = Result<Celsius, Fault>> {
        prop_oneof![
            (-273.15f64..=1000.0).prop_map(|degrees| Ok(Celsius::new(degrees).unwrap())),
            "[a-z][a-z0-9_]{0,31}".prop_map(|word| Err(Fault::new(&word).unwrap())),
        ]
    }

    prop_compose! {
        fn any_record()(
            seq in any_seq(),
            prev in prop::option::of(any_seq()),
            gap in prop::option::of(any_gap()),
            set_by in any::<i64>(),
            skew in prop::option::of(any::<i64>()),
            millis in 0u64..=Timestamp::MAX.millis(),
            values in prop::collection::vec(("[A-Za-z0-9._:-]{1,128}", any_value()), 0..40),
        ) -> Record {
            let at = Timestamp::from_millis(millis).unwrap();
            let readings = values.into_iter().map(|(device, value)| Reading {
                device: DeviceId::new(&device).unwrap(),
                at,
                value,
            });
            let clock = ClockState { set_by, skew };
            Record { seq, prev, gap, clock, sample: Sample { at, readings: readings.collect() } }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(record in any_record(), rest in any::<[u8; 3]>()) {
            let mut bytes = record.encode(NOW);
            let length = bytes.len();
            bytes.extend(rest);
            let stored = StoredRecord { record, written: Some(NOW), length };
            prop_assert_eq!(Record::decode(&bytes), Ok(stored));
        }

        #[test]
        fn arbitrary_payloads_never_panic(version in 1u8..=RECORD_VERSION, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Encoder::new(version);
            for byte in payload {
                out.u8(byte);
            }
            // An intact frame reaches the version's reader, which must cope with any content.
            let _record = Record::decode(&out.finish());
        }
    }
}
