//! Segments that hold nothing readable: damaged beyond the first line, empty, or missing.

use std::collections::BTreeSet;

use rackwatch_core::wire::Gap;
use rackwatch_runtime::error::chain;
use tracing::{error, warn};

use super::SegmentLog;
use crate::spool::error::SpoolError;
use crate::spool::position::Position;
use crate::spool::segment::{MAGIC, Segment};

/// Ending of a segment that was put aside, after its own name.
const ASIDE: &str = ".unreadable";
/// Most segments that are put aside. The oldest is removed first.
const MAX_ASIDE: usize = 8;

impl SegmentLog {
    /// Renames a segment that does not begin as one, so that a person can look at it.
    pub(super) fn put_aside(&mut self, segment: &Segment) {
        let name = segment.name();
        let aside = format!("{name}{ASIDE}");
        match self.files.rename(&name, &aside) {
            Ok(()) => error!(
                file = self.files.path_of(&aside),
                "cannot read spool segment: it does not begin with its format. Its readings are not sent. \
                 The file is kept: see \"Kept spool segments\" in docs/operations.md, or delete it"
            ),
            Err(source) => {
                let error = SpoolError::disk("rename", self.files.path_of(&name))(source);
                error!(
                    error = chain(&error),
                    "cannot read spool segment, and cannot put it aside. Its readings are not sent"
                );
            }
        }
        self.remove_oldest_aside();
    }

    fn remove_oldest_aside(&mut self) {
        // The next start tries again if the folder cannot be listed.
        let mut aside = self.files.list().unwrap_or_default();
        aside.retain(|name| name.ends_with(ASIDE));
        aside.sort_unstable();
        let surplus = aside.len().saturating_sub(MAX_ASIDE);
        for name in aside.drain(..surplus) {
            let file = self.files.path_of(&name);
            match self.files.remove(&name) {
                Ok(()) => warn!(
                    file,
                    kept = MAX_ASIDE,
                    "removed the oldest unreadable spool segment"
                ),
                Err(error) => warn!(%error, file, "cannot remove spool segment"),
            }
        }
    }

    /// Logs a segment without content that had records when the position was written.
    pub(super) fn report_empty(
        &mut self,
        segment: &Segment,
        size: Option<usize>,
        position: Option<&Position>,
    ) {
        let (Some(size), Some(position)) = (size, position) else {
            return;
        };
        let (end, length) = position.end;
        let had_records =
            segment.number < end || segment.number == end && length > MAGIC.len() as u64;
        let is_waiting = position.segment <= segment.number;
        if size < MAGIC.len() && had_records && is_waiting {
            self.gap.get_or_insert(Gap::SpoolCorrupt);
            error!(
                file = self.files.path_of(&segment.name()),
                bytes = size,
                "spool segment has lost its content, its readings are lost: check the disk"
            );
        }
    }

    /// Logs segments that are gone although the position knows of them. `files` are those that exist.
    pub(super) fn report_missing(&mut self, position: &Position, files: &[String]) {
        let segment = |name: &String| Segment::number_of(name.strip_suffix(ASIDE).unwrap_or(name));
        let numbers: BTreeSet<u64> = files.iter().filter_map(segment).collect();
        let (end, length) = position.end;
        let end = if length == 0 { end } else { end + 1 };
        let missing = (position.segment..end).filter(|number| !numbers.contains(number));
        let missing: Vec<u64> = missing.collect();
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else {
            return;
        };
        self.gap.get_or_insert(Gap::SpoolCorrupt);
        warn!(
            segments = missing.len(),
            first = self.files.path_of(&Segment::new(*first).name()),
            last = self.files.path_of(&Segment::new(*last).name()),
            "spool segments are missing: unless they were sent just before a crash, their readings are lost"
        );
    }
}
