//! Spool files of this and other versions of the agent.

use rackwatch_agent::spool::files::Files;
use rackwatch_agent::spool::record::{RECORD_VERSION, Record};
use rackwatch_agent::spool::segment_log::SegmentLog;
use rackwatch_core::wire::Gap;

use super::disk::Disk;
use super::segment_log::{LARGE, after, record};

/// Segments as each version of the record wrote them, with the records of seconds 0 to 2. Never
/// regenerate these files: agents in the field hold such segments.
const VERSION_1: &[u8] = include_bytes!("version_1.segment");
const VERSION_2: &[u8] = include_bytes!("version_2.segment");
const GOLDEN: &[u8] = include_bytes!("version_3.segment");

const FIRST: &str = "000000000001.segment";
const SECOND: &str = "000000000002.segment";

fn drain(disk: &Disk) -> Vec<Record> {
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    let mut records = Vec::new();
    loop {
        let front = log.front(50, after(0)).unwrap();
        if front.is_empty() {
            log.save_position(None).unwrap();
            return records;
        }
        let (some, ends): (Vec<_>, Vec<_>) = front.into_iter().unzip();
        records.extend(some);
        log.acknowledge(&ends);
    }
}

/// Returns the golden segment with the version of its last record changed.
fn with_newer_last_record() -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    let start = bytes.len() - record(2).encode(after(2)).len();
    bytes[start + 8] = RECORD_VERSION + 1;
    let (length, payload) = (
        bytes[start..start + 4].to_vec(),
        bytes[start + 8..].to_vec(),
    );
    let checksum = crc32fast::hash(&[length, payload].concat());
    bytes[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn a_segment_of_version_1_is_read() {
    let disk = Disk::default();
    disk.put(FIRST, VERSION_1);
    let expected: Vec<_> = (0..3).map(record).collect();
    assert_eq!(drain(&disk), expected);
}

#[test]
fn a_segment_of_version_2_is_read() {
    let disk = Disk::default();
    disk.put(FIRST, VERSION_2);
    let expected: Vec<_> = (0..3).map(record).collect();
    assert_eq!(drain(&disk), expected);
}

#[test]
fn a_segment_of_version_3_is_read() {
    let disk = Disk::default();
    disk.put(FIRST, GOLDEN);
    let expected: Vec<_> = (0..3).map(record).collect();
    assert_eq!(drain(&disk), expected);
}

#[test]
fn a_segment_of_version_3_is_written() {
    let disk = Disk::default();
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    for second in 0..3 {
        log.append(&record(second), after(second)).unwrap();
    }
    assert_eq!(disk.content(FIRST), GOLDEN);
}

#[test]
fn a_record_of_a_newer_version_is_a_gap_and_its_segment_stays_on_disk() {
    let disk = Disk::default();
    let newer = with_newer_last_record();
    disk.put(FIRST, &newer);
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    log.append(&record(5), after(5)).unwrap();
    drop(log);
    let records = drain(&disk);
    let gap = Some(Gap::SpoolCorrupt);
    let after_gap = Record { gap, ..record(5) };
    assert_eq!(records, [record(0), record(1), after_gap]);
    assert_eq!(disk.content(FIRST), newer, "the segment is unchanged");
}

#[test]
fn a_kept_segment_is_reported_once() {
    let disk = Disk::default();
    disk.put(FIRST, &with_newer_last_record());
    drain(&disk);
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    log.append(&record(5), after(5)).unwrap();
    // The gap after the first start was saved with the position; it is reported, and then over.
    let front = log.front(50, after(0)).unwrap();
    assert_eq!(front[0].0.gap, Some(Gap::SpoolCorrupt));
    log.acknowledge(&[front[0].1]);
    log.save_position(None).unwrap();
    drop(log);
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    log.append(&record(6), after(6)).unwrap();
    assert_eq!(log.front(50, after(0)).unwrap()[0].0, record(6));
}

#[test]
fn a_segment_of_another_format_stays_on_disk() {
    let disk = Disk::default();
    let other = b"rackwatch spool 1\nfields of stream entries";
    disk.put(FIRST, other);
    disk.put(SECOND, GOLDEN);
    let records = drain(&disk);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].gap, Some(Gap::SpoolCorrupt));
    assert_eq!(disk.content(FIRST), other);
}

const ASIDE: &str = "000000000001.segment.unreadable";

#[test]
fn a_segment_that_does_not_begin_as_one_is_put_aside() {
    let mut flipped = GOLDEN.to_vec();
    flipped[3] ^= 1;
    for damaged in [flipped, vec![0xa5; 300]] {
        let disk = Disk::default();
        disk.put(FIRST, &damaged);
        disk.put(SECOND, GOLDEN);
        let records = drain(&disk);
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].gap, Some(Gap::SpoolCorrupt));
        assert_eq!(disk.content(ASIDE), damaged);
        assert_eq!(disk.segments(), []);
        assert_eq!(drain(&disk), [], "it is not read again");
    }
}

#[test]
fn the_oldest_segments_put_aside_are_removed() {
    let disk = Disk::default();
    for number in 1..=20 {
        disk.put(&format!("{number:012}.segment"), b"damaged");
    }
    drain(&disk);
    let files = disk.list().unwrap();
    let aside: Vec<_> = files
        .iter()
        .filter(|name| name.ends_with(".unreadable"))
        .collect();
    assert_eq!(aside.len(), 8);
    assert_eq!(aside[0], "000000000013.segment.unreadable");
}

#[test]
fn an_empty_or_missing_segment_is_a_gap() {
    let disk = Disk::default();
    for second in 0..3 {
        let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
        log.append(&record(second), after(second)).unwrap();
        log.save_position(None).unwrap();
    }
    let empty = disk.with(SECOND, Vec::clear);
    let records = drain(&empty);
    assert_eq!(records.len(), 2);
    assert!(
        records
            .iter()
            .any(|record| record.gap == Some(Gap::SpoolCorrupt))
    );
    let mut missing = disk.with(SECOND, Vec::clear);
    missing.remove(SECOND).unwrap();
    let records = drain(&missing);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].gap, Some(Gap::SpoolCorrupt));
}
