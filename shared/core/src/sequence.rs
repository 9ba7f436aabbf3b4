//! Sequence numbers, and the gaps between them.

use std::fmt;
use std::str::FromStr;

/// The sequence number of an entry: `<run>-<n>`. It distinguishes a gap from absence.
///
/// It counts readings, not entries: an entry with k readings stands for the numbers `n-k+1` to `n` of its run,
/// so that a gap shows how many readings are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seq {
    /// The run of the agent, 1 to 32 letters and digits.
    pub run: String,
    /// The number of the entry's last reading, counted from 1.
    pub n: u64,
}

/// A text that is not `<run>-<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not <run>-<number>")]
pub struct NotASeq;

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.n)
    }
}

impl FromStr for Seq {
    type Err = NotASeq;

    fn from_str(text: &str) -> Result<Self, NotASeq> {
        let parts = text.rsplit_once('-').filter(|(run, _)| {
            (1..=32).contains(&run.len()) && run.chars().all(|c| c.is_ascii_alphanumeric())
        });
        let seq = parts.and_then(|(run, n)| {
            Some(Self {
                run: run.to_owned(),
                n: n.parse().ok()?,
            })
        });
        seq.ok_or(NotASeq)
    }
}

/// The reason why an agent could not publish readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The queue in memory was full.
    QueueFull,
    /// The spool on disk was full.
    SpoolFull,
    /// They waited in the spool for too long.
    SpoolAge,
    /// They were in the spool and could no longer be read.
    SpoolCorrupt,
}

impl Gap {
    const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolAge,
        Self::SpoolCorrupt,
    ];

    /// Returns the word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolAge => "spool_age",
            Self::SpoolCorrupt => "spool_corrupt",
        }
    }

    /// Returns the reason for a word; none for a word of another version.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gap| gap.word() == word)
    }
}
