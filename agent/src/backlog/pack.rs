//! Converts entries of the queue to records of the spool, and back. Pure.
//!
//! Readings of one tick become one record even where each was to be an entry of its own, and go to
//! Redis as one frame: that clears a backlog faster.

use std::time::Instant;

use rackwatch_core::reading::{Reading, Sample};
use rackwatch_core::wire::Seq;

use super::queue::{Content, Entry};
use crate::spool::record::{MAX_READINGS, Record};

/// Returns the entries as records, each with the number of the last entry that it completes.
pub(super) fn records(entries: &[Entry]) -> Vec<(Record, u64)> {
    let mut records: Vec<(Record, u64)> = Vec::new();
    for entry in entries {
        let readings = match &entry.content {
            Content::Reading(reading) => std::slice::from_ref(reading),
            Content::Frame(sample) => &sample.readings,
        };
        match records.last_mut() {
            Some((record, last)) if continues(record, entry, readings) => {
                record.sample.readings.extend_from_slice(readings);
                record.seq.n = entry.n;
                *last = entry.n;
            }
            _ => records.extend(split(entry, readings)),
        }
    }
    records
}

/// Returns whether the entry's reading can join the record.
fn continues(record: &Record, entry: &Entry, readings: &[Reading]) -> bool {
    let same_tick = readings
        .first()
        .is_some_and(|reading| reading.at == record.sample.at);
    let is_present = |reading: &Reading| {
        record
            .sample
            .readings
            .iter()
            .any(|r| r.device == reading.device)
    };
    matches!(entry.content, Content::Reading(_))
        && same_tick
        && *entry.run == *record.seq.run
        && record.seq.n + 1 == entry.n
        && entry.gap.is_none()
        && entry.prev.is_none()
        && entry.clock.is_same(record.clock)
        && record.sample.readings.len() < MAX_READINGS
        // A frame holds each device once.
        && !readings.iter().any(is_present)
}

/// Splits a frame that is too large for one record; only the last record completes the entry.
fn split<'a>(
    entry: &'a Entry,
    readings: &'a [Reading],
) -> impl Iterator<Item = (Record, u64)> + 'a {
    let first = entry.n - readings.len() as u64;
    let mut n = first;
    readings.chunks(MAX_READINGS).map(move |readings| {
        let is_first = n == first;
        n += readings.len() as u64;
        let record = Record {
            seq: Seq {
                run: entry.run.to_string(),
                n,
            },
            prev: entry.prev.clone().filter(|_| is_first),
            gap: entry.gap.filter(|_| is_first),
            clock: entry.clock,
            sample: Sample {
                at: readings
                    .first()
                    .map(|reading| reading.at)
                    .unwrap_or_default(),
                readings: readings.to_vec(),
            },
        };
        // Short of the entry's own number until the last part.
        (record, if n == entry.n { n } else { first })
    })
}

/// Returns a record as an entry with a frame.
pub(super) fn entry(record: Record) -> Entry {
    Entry {
        run: record.seq.run.into(),
        n: record.seq.n,
        prev: record.prev,
        gap: record.gap,
        queued: Instant::now(),
        clock: record.clock,
        content: Content::Frame(record.sample),
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::device::DeviceId;
    use rackwatch_core::time::Timestamp;
    use rackwatch_core::units::Celsius;
    use rackwatch_core::wire::EntryFormat;

    use super::super::queue::Queue;
    use super::*;
    use crate::host_clock::ClockState;

    fn sample(second: u64, readings: usize) -> Sample {
        let at = Timestamp::from_millis(1_700_000_000_000 + second * 1000).unwrap();
        let reading = |n| Reading {
            device: DeviceId::sanitized(&format!("cpu-{n}")),
            at,
            value: Ok(Celsius::new(20.0).unwrap()),
        };
        Sample {
            at,
            readings: (0..readings).map(reading).collect(),
        }
    }

    fn numbers(format: EntryFormat, samples: &[Sample]) -> Vec<(u64, usize, u64)> {
        let mut queue = Queue::new(format, 100_000, "r1", None);
        for sample in samples {
            queue.push(sample.clone(), ClockState::default());
        }
        let records = records(&queue.front(100_000));
        let numbers =
            |(record, last): &(Record, u64)| (record.seq.n, record.sample.readings.len(), *last);
        records.iter().map(numbers).collect()
    }

    #[test]
    fn readings_of_one_tick_become_one_record() {
        let samples = [sample(1, 3), sample(2, 2)];
        assert_eq!(
            numbers(EntryFormat::Reading, &samples),
            [(3, 3, 3), (5, 2, 5)]
        );
        assert_eq!(
            numbers(EntryFormat::Frame, &samples),
            [(3, 3, 3), (5, 2, 5)]
        );
    }

    #[test]
    fn a_large_frame_is_split_into_several_records() {
        let found = numbers(
            EntryFormat::Frame,
            &[sample(1, 2), sample(2, MAX_READINGS + 1)],
        );
        let most = MAX_READINGS as u64;
        assert_eq!(
            found,
            [
                (2, 2, 2),
                (most + 2, MAX_READINGS, 2),
                (most + 3, 1, most + 3)
            ]
        );
    }
}
