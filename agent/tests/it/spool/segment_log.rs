//! The segment log on disks that misbehave.

use std::time::Duration;

use proptest::prelude::*;
use rackwatch_agent::host_clock::ClockState;
use rackwatch_agent::spool::record::Record;
use rackwatch_agent::spool::segment_log::{Bounds, SegmentLog};
use rackwatch_core::device::DeviceId;
use rackwatch_core::reading::{Fault, Reading, Sample};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_core::wire::{Gap, Seq};

use super::disk::Disk;

const START: u64 = 1_795_438_931_000;
pub(super) const LARGE: Bounds = Bounds {
    bytes: 1 << 20,
    // The records are of a fixed day.
    age: Duration::from_hours(24 * 365 * 100),
};

pub(super) fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

/// Returns three readings of this second, one of them a fault.
pub(super) fn record(second: u64) -> Record {
    let reading = |n: u64| Reading {
        device: DeviceId::new(&format!("inlet-R1-{n}")).unwrap(),
        at: at(second),
        value: match n {
            2 => Err(Fault::TIMEOUT),
            n => Ok(Celsius::new(20.0 + (second % 70 + n) as f64 / 10.0).unwrap()),
        },
    };
    Record {
        seq: Seq {
            run: "r1".to_owned(),
            n: second * 3 + 3,
        },
        prev: None,
        gap: None,
        clock: ClockState::default(),
        sample: Sample {
            at: at(second),
            readings: (0..3).map(reading).collect(),
        },
    }
}

/// Returns the time since the log was opened, as tests count it.
pub(super) fn after(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn open(disk: &Disk, bounds: Bounds) -> SegmentLog {
    SegmentLog::open(Box::new(disk.clone()), bounds).unwrap().0
}

fn append(log: &mut SegmentLog, seconds: std::ops::Range<u64>) {
    for second in seconds {
        log.append(&record(second), after(second)).unwrap();
    }
}

/// Reads and acknowledges everything that is left.
fn drain(log: &mut SegmentLog) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let some = log.front(50, after(0)).unwrap();
        if some.is_empty() {
            return all;
        }
        let (records, ends): (Vec<_>, Vec<_>) = some.into_iter().unzip();
        all.extend(records);
        log.acknowledge(&ends);
    }
}

/// Removes the gaps from records.
fn bare(records: Vec<Record>) -> Vec<Record> {
    let bare = |record| Record {
        gap: None,
        ..record
    };
    records.into_iter().map(bare).collect()
}

fn all(seconds: std::ops::Range<u64>) -> Vec<Record> {
    seconds.map(record).collect()
}

#[test]
fn records_come_back_in_order_across_restarts() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..1000);
    assert_eq!(log.readings(), 3000);
    let some = log.front(300, after(0)).unwrap();
    assert_eq!(some.len(), 100);
    let ends: Vec<_> = some.into_iter().map(|(_, end)| end).collect();
    log.acknowledge(&ends);
    log.save_position(Some(&record(1234).seq)).unwrap();
    drop(log);

    let (mut log, last) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    assert_eq!(last, Some(record(1234).seq), "the last number of the run");
    assert_eq!(log.readings(), 2700);
    append(&mut log, 1000..1100);
    assert_eq!(drain(&mut log), all(100..1100));
    assert_eq!(log.readings(), 0);
    // Without a saved position they would come again, which does no harm.
    log.save_position(None).unwrap();
    assert_eq!(drain(&mut open(&disk, LARGE)), []);
    assert_eq!(disk.bytes(), 0);
}

#[test]
fn a_cut_segment_keeps_all_records_before_the_cut() {
    let disk = Disk::default();
    append(&mut open(&disk, LARGE), 0..40);
    let (name, size) = disk.segments().pop().unwrap();
    let lengths: Vec<_> = (0..40).map(|s| record(s).encode(after(s)).len()).collect();
    let head = size - lengths.iter().sum::<usize>();
    for cut in 0..=size {
        let torn = disk.with(&name, |content| content.truncate(cut));
        let mut end = head;
        let whole = lengths.iter().take_while(|length| {
            end += **length;
            end <= cut
        });
        let whole = whole.count() as u64;
        let mut log = open(&torn, LARGE);
        assert_eq!(bare(drain(&mut log)), all(0..whole), "cut at {cut}");
        append(&mut log, 40..42);
        assert_eq!(
            bare(drain(&mut log)),
            all(40..42),
            "appends after a cut at {cut}"
        );
    }
}

#[test]
fn a_flipped_bit_never_returns_a_wrong_reading() {
    let disk = Disk::default();
    append(&mut open(&disk, LARGE), 0..12);
    let (name, size) = disk.segments().pop().unwrap();
    for bit in 0..size * 8 {
        let flipped = disk.with(&name, |content| content[bit / 8] ^= 1 << (bit % 8));
        let found = bare(drain(&mut open(&flipped, LARGE)));
        assert_eq!(found, all(0..found.len() as u64), "bit {bit}");
        assert!(found.len() < 12, "flip of bit {bit} went unnoticed");
    }
}

proptest! {
    /// Arbitrary bytes in a segment neither panic nor affect later records.
    #[test]
    fn garbage_does_not_affect_later_records(garbage in prop::collection::vec(any::<u8>(), 0..400), from in 0usize..1200) {
        let disk = Disk::default();
        append(&mut open(&disk, LARGE), 0..12);
        let (name, _) = disk.segments().pop().unwrap();
        let damaged = disk.with(&name, |content| {
            content.truncate(from);
            content.extend_from_slice(&garbage);
        });
        let mut log = open(&damaged, LARGE);
        append(&mut log, 12..14);
        let found = bare(drain(&mut log));
        prop_assert_eq!(&found[found.len() - 2..], &all(12..14)[..]);
    }

    /// Every synced record comes back, in order, and no other: in any order of appends, reads,
    /// acknowledgements, restarts and losses of power.
    #[test]
    fn synced_records_are_kept(steps in prop::collection::vec((0u8..6, 1u64..30), 1..60)) {
        let disk = Disk::default();
        let mut log = open(&disk, LARGE);
        let (mut next, mut synced, mut got) = (0, 0, 0);
        for (step, count) in steps {
            match step {
                0..=2 => {
                    append(&mut log, next..next + count);
                    next += count;
                }
                3 => {
                    log.sync();
                    synced = next;
                }
                4 => {
                    let some = log.front(usize::try_from(count).unwrap() * 3, after(0)).unwrap();
                    let (records, ends): (Vec<_>, Vec<_>) = some.into_iter().unzip();
                    prop_assert_eq!(&bare(records.clone()), &all(got..got + records.len() as u64));
                    got += records.len() as u64;
                    log.acknowledge(&ends);
                    log.save_position(None).unwrap();
                    // Reading the newest segment seals it, which syncs it.
                    synced = synced.max(got);
                }
                _ => {
                    disk.power_loss();
                    log = open(&disk, LARGE);
                    let left = log.readings() / 3;
                    prop_assert!(got + left >= synced, "{got} read, {left} left, {synced} synced");
                    next = got + left;
                    synced = next;
                }
            }
        }
        prop_assert_eq!(bare(drain(&mut log)), all(got..next));
    }
}

#[test]
fn a_loss_of_power_loses_only_unsynced_records() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..10);
    log.sync();
    append(&mut log, 10..20);
    disk.power_loss();
    assert_eq!(bare(drain(&mut open(&disk, LARGE))), all(0..10));
}

#[test]
fn the_size_limit_holds_and_dropped_readings_are_counted() {
    let disk = Disk::default();
    let bounds = Bounds {
        bytes: 64 << 10,
        ..LARGE
    };
    let mut log = open(&disk, bounds);
    for second in 0..5_000 {
        log.append(&record(second), after(second)).unwrap();
        assert!(disk.bytes() <= 64 << 10);
    }
    assert_eq!(log.dropped() + log.readings(), 15_000, "the sum holds");
    assert!(log.readings() > 1_000, "it uses its size limit");
    let dropped = log.dropped();
    // A restart does not forget the gap.
    let mut log = open(&disk, bounds);
    let left = drain(&mut log);
    assert_eq!(left[0].gap, Some(Gap::SpoolFull));
    assert_eq!(left[1].gap, None);
    assert_eq!(
        left[0].seq.n - 3,
        dropped,
        "the gap equals the dropped readings"
    );
    assert_eq!(bare(left.clone()), all(5_000 - left.len() as u64..5_000));
}

#[test]
fn readings_sent_while_being_dropped_do_not_count_as_lost() {
    let disk = Disk::default();
    let bounds = Bounds {
        bytes: 8 << 10,
        ..LARGE
    };
    let mut log = open(&disk, bounds);
    let mut next = 0;
    let mut append_until = |log: &mut SegmentLog, enough: &dyn Fn(&SegmentLog) -> bool| {
        while !enough(log) {
            log.append(&record(next), after(next)).unwrap();
            next += 1;
        }
        next
    };
    append_until(&mut log, &|_| disk.segments().len() == 2);
    let (records, ends): (Vec<_>, Vec<_>) =
        log.front(1_000_000, after(0)).unwrap().into_iter().unzip();
    let appended = append_until(&mut log, &|log| log.dropped() > 0);
    log.acknowledge(&ends);
    let sent = records.len() as u64 * 3;
    assert_eq!(sent + log.dropped() + log.readings(), appended * 3);
}

#[test]
fn old_readings_are_dropped_and_counted() {
    let disk = Disk::default();
    let bounds = Bounds {
        bytes: 1 << 20,
        age: Duration::from_secs(60),
    };
    let mut log = open(&disk, bounds);
    append(&mut log, 0..10);
    let mut log = open(&disk, bounds);
    log.append(&record(1000), after(1000)).unwrap();
    assert_eq!((log.dropped(), log.readings()), (30, 3));
    assert_eq!(drain(&mut log)[0].gap, Some(Gap::SpoolAge));
}

#[test]
fn a_full_disk_keeps_what_it_holds() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..5);
    disk.room(Some(50));
    assert!(log.append(&record(5), after(5)).is_err());
    disk.room(Some(0));
    let before = disk.segments().len();
    for _ in 0..5 {
        assert!(log.append(&record(5), after(5)).is_err());
    }
    assert_eq!(
        disk.segments().len(),
        before,
        "failed appends leave no file behind"
    );
    disk.room(None);
    append(&mut log, 5..8);
    assert_eq!(bare(drain(&mut log)), all(0..8));
}

#[test]
fn a_read_only_disk_is_used_again_once_writable() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    disk.read_only(true);
    assert!(log.append(&record(0), after(0)).is_err());
    disk.read_only(false);
    append(&mut log, 0..3);
    assert_eq!(drain(&mut log), all(0..3));
}

#[test]
fn a_damaged_segment_is_a_gap() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..5);
    log.front(1, after(0)).unwrap();
    append(&mut log, 5..8);
    let (name, _) = disk.segments()[0].clone();
    let damaged = disk.with(&name, |content| content[30] ^= 1);
    let mut log = open(&damaged, LARGE);
    let left = drain(&mut log);
    assert_eq!(bare(left.clone()), all(5..8));
    assert_eq!(left[0].gap, Some(Gap::SpoolCorrupt));
}

#[test]
fn an_unreadable_segment_does_not_affect_the_others() {
    let disk = Disk::default();
    for second in 0..3 {
        // Each start begins a new segment.
        append(&mut open(&disk, LARGE), second..second + 1);
    }
    let bad = disk.segments()[1].0.clone();
    disk.bad_block(Some(&bad));
    let mut log = open(&disk, LARGE);
    let records = drain(&mut log);
    assert_eq!(bare(records.clone()), [record(0), record(2)]);
    assert_eq!(records[1].gap, Some(Gap::SpoolCorrupt));
    // The cause may be a cable: the file stays for a repaired disk.
    assert!(disk.segments().iter().any(|(name, _)| *name == bad));
    log.save_position(None).unwrap();
    disk.bad_block(None);
    assert_eq!(
        drain(&mut open(&disk, LARGE)),
        [],
        "a repaired segment is not sent out of order"
    );
    assert_eq!(disk.bytes(), 0);
}

#[test]
fn the_last_number_is_of_the_last_run_even_with_older_records_left() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..2);
    let last = |n| Seq {
        run: "r2".to_owned(),
        n,
    };
    log.save_position(Some(&last(500))).unwrap();
    drop(log);
    let (mut log, found) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    assert_eq!(found, Some(last(500)));
    // A record appended after the position was saved is newer.
    let newer = Record {
        seq: Seq {
            run: "r3".to_owned(),
            n: 3,
        },
        ..record(2)
    };
    log.append(&newer, after(2)).unwrap();
    drop(log);
    let (_, found) = SegmentLog::open(Box::new(disk.clone()), LARGE).unwrap();
    assert_eq!(found, Some(newer.seq));
}

#[test]
fn old_readings_dropped_at_start_are_reported() {
    let bounds = Bounds {
        age: Duration::from_mins(1),
        ..LARGE
    };
    let disk = Disk::default();
    let mut log = open(&disk, bounds);
    append(&mut log, 0..2);
    drop(log);
    let mut log = open(&disk, bounds);
    assert_eq!(log.front(100, after(62)).unwrap(), []);
    assert_eq!(log.dropped(), 6);
    append(&mut log, 62..63);
    let (first, _) = log.front(100, after(62)).unwrap().remove(0);
    assert_eq!(first.gap, Some(Gap::SpoolAge));
}

#[test]
fn records_before_a_failed_append_are_synced() {
    let disk = Disk::default();
    let mut log = open(&disk, LARGE);
    append(&mut log, 0..2);
    disk.room(Some(5));
    log.append(&record(2), after(2)).unwrap_err();
    disk.room(None);
    log.sync();
    drop(log);
    disk.power_loss();
    assert_eq!(bare(drain(&mut open(&disk, LARGE))), all(0..2));
}
