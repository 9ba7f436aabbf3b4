//! The segment log: records in order, in segments, bounded in bytes and age.
//!
//! In: records at the back, and acknowledgements. Out: records from the front, each until it is
//! acknowledged. Recovery and losses are documented in [the spool](super).

mod retention;
mod unreadable;

use std::collections::VecDeque;
use std::time::Duration;

use rackwatch_core::wire::{Gap, Seq};
use tracing::{info, warn};

use super::error::SpoolError;
use super::files::Files;
use super::position::Position;
use super::record::Record;
use super::segment::{MAGIC, Segment, record_at};

/// Limits of a spool.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes of segments.
    pub bytes: u64,
    /// Longest time that readings wait, by the spool's own clock.
    pub age: Duration,
}

/// Records that outlive a run of the agent.
#[derive(Debug)]
pub struct SegmentLog {
    files: Box<dyn Files>,
    bounds: Bounds,
    segments: VecDeque<Segment>,
    /// Whether records may be added to the newest segment.
    is_active: bool,
    next: u64,
    /// The spool's own clock when the log was opened: it goes on where the last run wrote a record.
    clock_at_open: Duration,
    /// Number and content of the front segment while it is read.
    loaded: Option<(u64, Vec<u8>)>,
    /// Reason for the gap that the next record has to report.
    gap: Option<Gap>,
    /// Last number that the agent is known to have assigned.
    last: Option<Seq>,
    dropped: u64,
    /// Whether something was written since the last sync.
    is_dirty: bool,
    /// Whether the last sync failed.
    is_sync_failing: bool,
}

/// The end of a record: acknowledging it acknowledges every record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordEnd {
    segment: u64,
    offset: u64,
    readings: u64,
}

impl SegmentLog {
    /// Opens the segments of previous runs, and returns the last number that they are known to
    /// have assigned.
    ///
    /// # Errors
    ///
    /// When the folder cannot be listed.
    pub fn open(files: Box<dyn Files>, bounds: Bounds) -> Result<(Self, Option<Seq>), SpoolError> {
        let names = files
            .list()
            .map_err(SpoolError::disk("list", "the folder"))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| Segment::number_of(name))
            .collect();
        numbers.sort_unstable();
        let position = Position::read(files.as_ref());
        // Never a number that the position calls acknowledged.
        let after = numbers.last().map_or(1, |last| last + 1);
        let next = after.max(position.as_ref().map_or(1, |position| position.segment));
        let mut log = Self {
            files,
            bounds,
            segments: VecDeque::new(),
            is_active: false,
            next,
            clock_at_open: Duration::ZERO,
            loaded: None,
            gap: position.as_ref().and_then(|position| position.gap),
            last: position.as_ref().and_then(|position| position.last.clone()),
            dropped: 0,
            is_dirty: false,
            is_sync_failing: false,
        };
        if let Some(position) = &position {
            log.report_missing(position, &names);
        }
        for number in numbers {
            log.scan(number, position.as_ref());
        }
        let newest = log.segments.iter().map(|segment| segment.newest);
        log.clock_at_open = newest.max().unwrap_or_default();
        log.remove_acknowledged();
        let last = log.last.clone();
        Ok((log, last))
    }

    /// Adds an existing segment at the back.
    fn scan(&mut self, number: u64, position: Option<&Position>) {
        let acknowledged = match position {
            Some(position) if position.segment == number => position.offset,
            Some(position) if position.segment > number => u64::MAX,
            _ => 0,
        };
        // Records beyond were added after `last` was written to the position file.
        let known = position.map(|position| position.end);
        let last = &mut self.last;
        let content = read(self.files.as_ref(), &Segment::new(number));
        let size = content.as_ref().ok().map(Vec::len);
        let segment = Segment::scan(number, content, acknowledged, |seq, end| {
            let is_newer = match &*last {
                Some(last) if last.run == seq.run => last.n < seq.n,
                Some(_) => known.is_none_or(|known| known < (number, end)),
                None => true,
            };
            if is_newer {
                *last = Some(seq);
            }
        });
        self.report_empty(&segment, size, position);
        if segment.is_foreign {
            self.put_aside(&segment);
        }
        self.segments.push_back(segment);
    }

    /// Adds a record; `elapsed` is the time since the log was opened.
    ///
    /// # Errors
    ///
    /// When the disk refuses it, or it exceeds the size limit of the whole spool. The log stays usable,
    /// and holds nothing of the record.
    pub fn append(&mut self, record: &Record, elapsed: Duration) -> Result<(), SpoolError> {
        let now = self.clock_at_open + elapsed;
        let bytes = record.encode(now);
        self.make_room(bytes.len() as u64, now)?;
        if !self.is_active {
            self.begin_segment()?;
        }
        let Some(segment) = self.segments.back_mut() else {
            return Ok(());
        };
        self.is_dirty = true;
        let name = segment.name();
        if let Err(error) = self.files.append(&name, &bytes) {
            // The segment may end in a torn record now: nothing may follow it there.
            self.is_active = false;
            return Err(SpoolError::disk("append to", name)(error));
        }
        self.last = Some(record.seq.clone());
        segment.length += bytes.len() as u64;
        segment.readings += record.sample.readings.len() as u64;
        segment.newest = segment.newest.max(now);
        if segment.length >= self.segment_size() {
            self.seal();
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), SpoolError> {
        // After a failed append the previous segment may not be synced.
        self.sync();
        let segment = Segment::new(self.next);
        self.next += 1;
        let name = segment.name();
        if let Err(error) = self.files.append(&name, MAGIC) {
            // A torn file would only be in the way; the next segment has another number.
            if self.files.remove(&name).is_ok() {
                // A number that is never used would look like a missing segment.
                self.next -= 1;
            }
            return Err(SpoolError::disk("create", name)(error));
        }
        self.segments.push_back(segment);
        self.is_active = true;
        Ok(())
    }

    /// Ends the newest segment: the next record begins another.
    fn seal(&mut self) {
        self.sync();
        self.is_active = false;
    }

    /// Makes written records survive a loss of power.
    ///
    /// A disk that refuses to sync is logged once, and does not stop further writes.
    pub fn sync(&mut self) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let Some(segment) = self.segments.back() else {
            return;
        };
        match self.files.sync(&segment.name()) {
            Ok(()) => {
                if std::mem::take(&mut self.is_sync_failing) {
                    info!("spool syncs again");
                }
            }
            Err(error) => {
                // The kernel reports a failed sync once and then takes the file for clean: later
                // records need another file.
                self.is_active = false;
                if !std::mem::replace(&mut self.is_sync_failing, true) {
                    warn!(%error, "cannot sync spool, a loss of power may lose spooled readings");
                }
            }
        }
    }

    /// Returns records from the front that are neither acknowledged nor too old, each with its
    /// end, until they hold about `readings` readings; `elapsed` is the time since the log was
    /// opened.
    ///
    /// # Errors
    ///
    /// When the disk refuses to read the front segment.
    pub fn front(
        &mut self,
        readings: usize,
        elapsed: Duration,
    ) -> Result<Vec<(Record, RecordEnd)>, SpoolError> {
        loop {
            self.drop_aged(self.clock_at_open + elapsed);
            self.remove_acknowledged();
            if self.segments.is_empty() {
                return Ok(Vec::new());
            }
            if self.segments.len() == 1 && self.is_active {
                self.seal();
            }
            self.load_front()?;
            let records = self.front_records(readings);
            if !records.is_empty() {
                return Ok(records);
            }
            // It was readable when it was scanned or written.
            warn!("spool segment became unreadable, dropping its readings");
            self.drop_oldest(Gap::SpoolCorrupt);
        }
    }

    fn load_front(&mut self) -> Result<(), SpoolError> {
        let Some(segment) = self.segments.front() else {
            return Ok(());
        };
        let loaded = self.loaded.as_ref().map(|(number, _)| *number);
        if loaded != Some(segment.number) {
            self.loaded = Some((segment.number, read(self.files.as_ref(), segment)?));
        }
        Ok(())
    }

    /// Reads the loaded segment from where it is acknowledged.
    fn front_records(&self, readings: usize) -> Vec<(Record, RecordEnd)> {
        let (Some(segment), Some((_, bytes))) = (self.segments.front(), &self.loaded) else {
            return Vec::new();
        };
        let mut records = Vec::new();
        let mut offset = segment.acknowledged.max(MAGIC.len() as u64);
        let mut taken = 0;
        while taken < readings && offset < segment.length {
            let Ok(stored) = record_at(bytes, offset) else {
                break;
            };
            let mut record = stored.record;
            offset += stored.length as u64;
            let count = record.sample.readings.len();
            taken += count;
            if records.is_empty() {
                record.gap = record.gap.or(self.gap);
            }
            let end = RecordEnd {
                segment: segment.number,
                offset,
                readings: count as u64,
            };
            records.push((record, end));
        }
        records
    }

    /// Acknowledges every record up to these ends, which came from [`SegmentLog::front`] in this
    /// order.
    pub fn acknowledge(&mut self, ends: &[RecordEnd]) {
        for end in ends {
            let Some(segment) = self.segments.front_mut() else {
                return;
            };
            if end.segment < segment.number {
                // The segment was dropped, and its readings counted, while they were being sent.
                self.dropped = self.dropped.saturating_sub(end.readings);
            }
            if segment.number == end.segment && segment.acknowledged < end.offset {
                segment.acknowledged = end.offset;
                segment.readings = segment.readings.saturating_sub(end.readings);
                self.gap = None;
            }
            self.remove_acknowledged();
        }
    }

    /// Writes the position file; `last` is the last number that the agent assigned.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn save_position(&mut self, last: Option<&Seq>) -> Result<(), SpoolError> {
        if let Some(last) = last {
            self.last = Some(last.clone());
        }
        let (front, back) = (self.segments.front(), self.segments.back());
        let position = Position {
            segment: front.map_or(self.next, |segment| segment.number),
            offset: front.map_or(0, |segment| segment.acknowledged),
            last: self.last.clone(),
            gap: self.gap,
            end: back.map_or((self.next, 0), |segment| (segment.number, segment.length)),
        };
        position.write(self.files.as_mut())
    }

    /// Returns the number of readings that are not acknowledged.
    pub fn readings(&self) -> u64 {
        self.segments.iter().map(|segment| segment.readings).sum()
    }

    /// Returns the number of readings dropped since the log was opened.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn read(files: &dyn Files, segment: &Segment) -> Result<Vec<u8>, SpoolError> {
    let name = segment.name();
    files.read(&name).map_err(SpoolError::disk("read", name))
}
