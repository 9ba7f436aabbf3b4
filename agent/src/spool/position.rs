//! What is remembered beside the spool's segments, in a file of its own.

use std::io;

use rackwatch_core::wire::{Gap, Seq};

use super::files::Files;

/// The file.
const POSITION: &str = "position";

/// What is remembered beside the segments.
#[derive(Debug)]
pub(super) struct Position {
    /// The first segment that is not acknowledged.
    pub(super) segment: u64,
    /// How far it is.
    pub(super) offset: u64,
    /// The last number that was given.
    pub(super) last: Option<Seq>,
    /// What the next record has to say of those before it.
    pub(super) gap: Option<Gap>,
    /// The newest segment and its length when this was written: what lies beyond is newer than `last`.
    pub(super) end: (u64, u64),
}

impl Position {
    /// None where there is none, or it cannot be read.
    pub(super) fn read(files: &dyn Files) -> Option<Self> {
        let text = String::from_utf8(files.read(POSITION).ok()?).ok()?;
        let mut words = text.split_whitespace();
        Some(Self {
            segment: words.next()?.parse().ok()?,
            offset: words.next()?.parse().ok()?,
            last: words.next().and_then(|word| word.parse().ok()),
            gap: words.next().and_then(Gap::of),
            end: end(&mut words).unwrap_or_default(),
        })
    }

    fn text(&self) -> String {
        let last = self.last.as_ref().map_or("-".to_owned(), Seq::to_string);
        let gap = self.gap.map_or("-", Gap::word);
        let (end, length) = self.end;
        format!(
            "{} {} {last} {gap} {end} {length}\n",
            self.segment, self.offset
        )
    }

    /// Writes it in the place of the last one.
    pub(super) fn write(&self, files: &mut dyn Files) -> io::Result<()> {
        files.replace(POSITION, self.text().as_bytes())
    }
}

fn end<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(u64, u64)> {
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
