//! The spool's log: records in order, in segments, bounded in bytes and age.
//!
//! In: records at the end, and acknowledgements. Out: records from the front, each until it is
//! acknowledged. Lost: the oldest segment when there is no room or it is too old, and what cannot be
//! read any more; both are counted, and the next record says why.
//!
//! A segment is never added to after a restart or an error, so whatever is torn is the end of its
//! segment. What is acknowledged is remembered in a file of its own, now and then: after a crash
//! some records come again.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::{Gap, Seq};
use tracing::{info, warn};

use super::files::Files;
use super::position::Position;
use super::record::Record;

/// What a segment begins with: what begins otherwise was not written by this version.
const MAGIC: &[u8] = b"rackwatch spool 1\n";
const SUFFIX: &str = ".segment";
/// A bound is kept to by dropping a segment: a sixteenth of it at most.
const SEGMENTS: u64 = 16;
const SMALLEST_SEGMENT: u64 = 4 << 10;
const LARGEST_SEGMENT: u64 = 1 << 20;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In bytes of files.
    pub bytes: u64,
    /// By the time of the readings.
    pub age: Duration,
}

/// Records, from one run to the next.
#[derive(Debug)]
pub struct Log {
    files: Box<dyn Files>,
    bounds: Bounds,
    segments: VecDeque<Segment>,
    /// The newest segment may be added to.
    active: bool,
    next: u64,
    /// The first segment's content while it is read.
    loaded: Option<(u64, Vec<u8>)>,
    /// To be said by the next record.
    gap: Option<Gap>,
    /// The last number that was given, as far as it is known here.
    last: Option<Seq>,
    dropped: u64,
    dirty: bool,
    /// The disk refused to sync the last time.
    unsynced: bool,
}

/// A file of records.
#[derive(Debug)]
struct Segment {
    number: u64,
    /// Up to here its records are good.
    length: u64,
    /// Up to here they are acknowledged.
    done: u64,
    /// Readings that are not.
    readings: u64,
    newest: Timestamp,
    /// What came after the good records was cut off.
    torn: bool,
    /// Its file cannot be read: it stays, for a person or a disk that is well again.
    unreadable: bool,
}

/// Where a record ends: acknowledging it acknowledges all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    segment: u64,
    offset: u64,
    readings: u64,
}

impl Log {
    /// Opens what the last run left; the second is the last number it is known to have given.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn open(files: Box<dyn Files>, bounds: Bounds) -> io::Result<(Self, Option<Seq>)> {
        let mut numbers: Vec<u64> = files
            .list()?
            .iter()
            .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let mut log = Self {
            files,
            bounds,
            segments: VecDeque::new(),
            active: false,
            next: 1,
            loaded: None,
            gap: None,
            last: None,
            dropped: 0,
            dirty: false,
            unsynced: false,
        };
        let position = Position::read(log.files.as_ref());
        // Never a number that the position calls acknowledged.
        let after = numbers.last().map_or(1, |last| last + 1);
        log.next = after.max(position.as_ref().map_or(1, |position| position.segment));
        log.gap = position.as_ref().and_then(|position| position.gap);
        let mut last = position.as_ref().and_then(|position| position.last.clone());
        for number in numbers {
            let done = match &position {
                Some(position) if position.segment == number => position.offset,
                Some(position) if position.segment > number => u64::MAX,
                _ => 0,
            };
            let known = position.as_ref().map(|position| position.end);
            log.scan(number, done, known, &mut last);
        }
        log.last.clone_from(&last);
        log.tidy();
        Ok((log, last))
    }

    /// Finds the good records of a segment; what lies beyond `known` was added after `last` was written.
    fn scan(&mut self, number: u64, done: u64, known: Option<(u64, u64)>, last: &mut Option<Seq>) {
        let mut segment = Segment::new(number);
        let bytes = match self.files.read(&name(number)) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(%error, segment = number, "a spool segment cannot be read, it is left out");
                (segment.torn, segment.unreadable) = (true, true);
                self.segments.push_back(segment);
                return;
            }
        };
        let good: &[u8] = if bytes.starts_with(MAGIC) {
            &bytes
        } else {
            &[]
        };
        while let Some((record, length)) = record_at(good, segment.length) {
            segment.length += length;
            segment.newest = segment.newest.max(record.sample.at);
            if segment.length > done {
                segment.readings += record.sample.readings.len() as u64;
            } else {
                segment.done = segment.length;
            }
            let is_newer = match &last {
                Some(last) if last.run == record.seq.run => last.n < record.seq.n,
                Some(_) => known.is_none_or(|known| known < (number, segment.length)),
                None => true,
            };
            if is_newer {
                *last = Some(record.seq);
            }
        }
        let torn = bytes.len() as u64 - segment.length.min(bytes.len() as u64);
        if torn > 0 {
            warn!(
                segment = number,
                torn, "the end of a spool segment cannot be read, it is cut off"
            );
            segment.torn = true;
        }
        self.segments.push_back(segment);
    }

    /// Adds a record; `now` is this host's clock.
    ///
    /// # Errors
    ///
    /// When the disk refuses it.
    pub fn append(&mut self, record: &Record, now: Timestamp) -> io::Result<()> {
        let bytes = record.encode();
        self.make_room(bytes.len() as u64, now)?;
        if !self.active {
            // After an error the last one may not be.
            self.sync();
            let segment = Segment::new(self.next);
            self.next += 1;
            let name = name(segment.number);
            if let Err(error) = self.files.append(&name, MAGIC) {
                // What of it is there would only be in the way; the next has another number.
                let _gone = self.files.remove(&name);
                return Err(error);
            }
            self.segments.push_back(segment);
            self.active = true;
        }
        let Some(segment) = self.segments.back_mut() else {
            return Ok(());
        };
        self.dirty = true;
        if let Err(error) = self.files.append(&name(segment.number), &bytes) {
            // Whatever was written of it is torn: nothing may follow in this segment. Nothing is lost
            // by that: whoever adds it keeps it.
            self.active = false;
            return Err(error);
        }
        self.last = Some(record.seq.clone());
        segment.length += bytes.len() as u64;
        segment.readings += record.sample.readings.len() as u64;
        segment.newest = segment.newest.max(record.sample.at);
        if segment.length >= self.segment_size() {
            self.seal();
        }
        Ok(())
    }

    /// Nothing is added to the newest segment any more.
    fn seal(&mut self) {
        self.sync();
        self.active = false;
    }

    /// What was added survives a loss of power from here on, unless the disk refuses to promise it:
    /// that is logged when it begins and ends, and no reason to stop adding.
    pub fn sync(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let Some(segment) = self.segments.back() else {
            return;
        };
        match self.files.sync(&name(segment.number)) {
            Ok(()) => {
                if std::mem::take(&mut self.unsynced) {
                    info!("the spool can be synced again");
                }
            }
            Err(error) => {
                // The kernel tells this once, and then takes the file for clean: what is added from
                // here on goes to another.
                self.active = false;
                if !std::mem::replace(&mut self.unsynced, true) {
                    warn!(%error, "the spool cannot be synced: a loss of power may lose what is in it");
                }
            }
        }
    }

    /// The first records that are neither acknowledged nor too old, of about so many readings, each
    /// with its end; `now` is this host's clock.
    ///
    /// # Errors
    ///
    /// When the disk refuses to give them.
    pub fn first(&mut self, readings: usize, now: Timestamp) -> io::Result<Vec<(Record, End)>> {
        let mut found = Vec::new();
        while found.is_empty() {
            self.drop_aged(now);
            self.tidy();
            let Some(segment) = self.segments.front() else {
                break;
            };
            let (number, length) = (segment.number, segment.length);
            if self.segments.len() == 1 && self.active {
                self.seal();
            }
            if self
                .loaded
                .as_ref()
                .is_none_or(|(loaded, _)| *loaded != number)
            {
                self.loaded = Some((number, self.files.read(&name(number))?));
            }
            let Some(segment) = self.segments.front_mut() else {
                break;
            };
            let bytes = self.loaded.as_ref().map_or(&[][..], |(_, bytes)| bytes);
            let mut offset = segment.done.max(MAGIC.len() as u64);
            let mut taken = 0;
            while taken < readings && offset < length {
                let Some((mut record, size)) = record_at(bytes, offset) else {
                    break;
                };
                offset += size;
                let count = record.sample.readings.len();
                taken += count;
                if found.is_empty() {
                    record.gap = record.gap.or(self.gap);
                }
                let end = End {
                    segment: number,
                    offset,
                    readings: count as u64,
                };
                found.push((record, end));
            }
            if found.is_empty() {
                // It was good when it was scanned or written.
                warn!(segment = number, "a spool segment cannot be read any more");
                self.drop_oldest(Gap::SpoolCorrupt);
            }
        }
        Ok(found)
    }

    /// Redis has every record up to these ends, which came from [`Log::first`] in this order.
    pub fn done(&mut self, ends: &[End]) {
        for end in ends {
            let Some(segment) = self.segments.front_mut() else {
                return;
            };
            if end.segment < segment.number {
                // Its segment was dropped while it was under way: it was counted, and is not lost.
                self.dropped = self.dropped.saturating_sub(end.readings);
            }
            if segment.number == end.segment && segment.done < end.offset {
                segment.done = end.offset;
                segment.readings = segment.readings.saturating_sub(end.readings);
                self.gap = None;
            }
            self.tidy();
        }
    }

    /// Remembers how far records are acknowledged, and the last number that was given.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn remember(&mut self, last: Option<&Seq>) -> io::Result<()> {
        if let Some(last) = last {
            self.last = Some(last.clone());
        }
        let front = self.segments.front();
        let position = Position {
            segment: front.map_or(self.next, |segment| segment.number),
            offset: front.map_or(0, |segment| segment.done),
            last: self.last.clone(),
            gap: self.gap,
            end: self
                .segments
                .back()
                .map_or((self.next, 0), |segment| (segment.number, segment.length)),
        };
        position.write(self.files.as_mut())
    }

    /// Removes segments that are acknowledged.
    fn tidy(&mut self) {
        let finished = |segment: &Segment| segment.readings == 0 && segment.done >= segment.length;
        while let Some(segment) = self.segments.front() {
            let empty = segment.readings == 0 && segment.length <= MAGIC.len() as u64;
            if !(finished(segment) || empty) || (self.active && self.segments.len() == 1) {
                return;
            }
            if segment.torn {
                self.gap.get_or_insert(Gap::SpoolCorrupt);
            }
            self.remove_front();
        }
    }

    fn make_room(&mut self, bytes: u64, now: Timestamp) -> io::Result<()> {
        if bytes > self.bounds.bytes {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "one sample is larger than spool.max_bytes",
            ));
        }
        self.drop_aged(now);
        let taken = |segments: &VecDeque<Segment>| -> u64 {
            segments.iter().map(|segment| segment.length).sum()
        };
        while !self.segments.is_empty() && taken(&self.segments) + bytes > self.bounds.bytes {
            self.drop_oldest(Gap::SpoolFull);
        }
        Ok(())
    }

    fn drop_aged(&mut self, now: Timestamp) {
        let oldest = now.minus(self.bounds.age);
        let aged = |segment: &Segment| segment.newest < oldest && segment.readings > 0;
        while self.segments.front().is_some_and(aged) {
            self.drop_oldest(Gap::SpoolAge);
        }
    }

    fn drop_oldest(&mut self, why: Gap) {
        if self.segments.len() == 1 {
            self.active = false;
        }
        if let Some(oldest) = self.segments.front() {
            let readings = oldest.readings;
            self.dropped += readings;
            self.gap = Some(why);
            warn!(
                readings,
                why = why.word(),
                "the oldest readings of the spool are dropped"
            );
        }
        self.remove_front();
        // A restart must not forget that something is missing.
        if let Err(error) = self.remember(None) {
            warn!(%error, "the spool's position cannot be written");
        }
    }

    fn remove_front(&mut self) {
        let Some(segment) = self.segments.pop_front() else {
            return;
        };
        self.loaded = None;
        if segment.unreadable {
            return;
        }
        if let Err(error) = self.files.remove(&name(segment.number)) {
            warn!(%error, segment = segment.number, "a spool segment cannot be removed");
        }
    }

    fn segment_size(&self) -> u64 {
        (self.bounds.bytes / SEGMENTS).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT)
    }

    /// Readings that are not acknowledged.
    pub fn readings(&self) -> u64 {
        self.segments.iter().map(|segment| segment.readings).sum()
    }

    /// Readings that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Segment {
    fn new(number: u64) -> Self {
        Self {
            number,
            length: MAGIC.len() as u64,
            done: 0,
            readings: 0,
            newest: Timestamp::default(),
            torn: false,
            unreadable: false,
        }
    }
}

fn name(number: u64) -> String {
    format!("{number:012}{SUFFIX}")
}

fn record_at(bytes: &[u8], offset: u64) -> Option<(Record, u64)> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    let (record, length) = Record::decode(rest)?;
    Some((record, length as u64))
}
