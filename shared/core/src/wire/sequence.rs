//! Sequence numbers, and the gaps between them.

use std::str::FromStr;

use super::field;
use super::reason::Reason;

/// The sequence number of an entry: `<run>-<n>`. It tells a gap from absence.
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

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.run, self.n)
    }
}

impl FromStr for Seq {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let parts = text.rsplit_once('-').filter(|(run, _)| {
            (1..=32).contains(&run.len()) && run.chars().all(|c| c.is_ascii_alphanumeric())
        });
        let seq = parts.and_then(|(run, n)| {
            Some(Self {
                run: run.to_owned(),
                n: n.parse().ok()?,
            })
        });
        seq.ok_or(Reason::BadSeq)
    }
}

/// The agent that wrote an entry, and the entry's sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The name of the agent.
    pub agent: String,
    /// The sequence number of the entry.
    pub seq: Seq,
    /// The last number of the run before, in the first entry of a run where it is known.
    pub prev: Option<Seq>,
    /// The reason for missing numbers before this one.
    pub gap: Option<Gap>,
    /// Milliseconds that the agent's clock is ahead of Redis' clock, where it has just compared them.
    pub skew: Option<i64>,
}

impl Provenance {
    /// Creates the provenance of entry `seq` of `agent`, without further fields.
    pub fn new(agent: &str, seq: Seq) -> Self {
        Self {
            agent: agent.to_owned(),
            seq,
            prev: None,
            gap: None,
            skew: None,
        }
    }

    /// Returns the fields of the wire.
    pub(super) fn encode(&self) -> impl Iterator<Item = (&'static str, String)> {
        let seq = (field::SEQ, self.seq.to_string());
        let prev = self
            .prev
            .as_ref()
            .map(|prev| (field::PREV, prev.to_string()));
        let gap = self.gap.map(|gap| (field::GAP, gap.word().to_owned()));
        let agent = (field::AGENT, self.agent.clone());
        let skew = self.skew.map(|skew| (field::SKEW, skew.to_string()));
        [agent, seq].into_iter().chain(prev).chain(gap).chain(skew)
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
