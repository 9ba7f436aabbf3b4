//! Fields of stream entries and the types they stand for.
//!
//! Fields come from anyone, in any order, of any size. What cannot be understood is a [`Reject`]
//! with its reason, never an error and never a panic: it goes to the dead letters.

pub mod alert;
pub mod entry;
pub mod frame;
pub mod incident;
pub mod loss;

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::time::Timestamp;
use crate::units::NotATemperature;

/// Field names, each once.
pub mod field {
    /// A device id.
    pub const DEVICE_ID: &str = "device_id";
    /// Decimal degrees Celsius.
    pub const TEMPERATURE: &str = "temperature";
    /// The reason why there is no temperature.
    pub const FAULT: &str = "fault";
    /// Milliseconds since 1970 UTC.
    pub const TIMESTAMP: &str = "timestamp";
    /// Name of the agent that wrote the entry.
    pub const AGENT: &str = "agent";
    /// Number of the entry in its agent's run.
    pub const SEQ: &str = "seq";
    /// The last number of the agent's run before this one.
    pub const PREV: &str = "prev";
    /// Why numbers before this entry are missing, where its agent knows.
    pub const GAP: &str = "gap";
    /// By how many milliseconds the agent's clock is ahead of Redis' own, said now and then.
    pub const SKEW: &str = "skew";
    /// All readings of a tick.
    pub const READINGS: &str = "readings";
}

/// The fields of one entry as they came.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The longest value of a field that is looked at, in bytes: a frame of some 15,000 readings.
pub const MAX_FIELD: usize = 1 << 20;

/// The most fields an entry may have.
pub const MAX_FIELDS: usize = 64;

/// Format of the entries that agents write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryFormat {
    /// One reading per entry: easy to read by hand.
    #[default]
    Reading,
    /// All readings of a tick in one entry: about twenty times cheaper for Redis.
    Frame,
}

/// The number of an entry: `<run>-<n>`, so that a gap can be told from silence.
///
/// Readings are counted, not entries: one with k readings stands for the numbers `n-k+1` to `n` of
/// its run, so that a gap says how many readings are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seq {
    /// Names the run of the agent, 1 to 32 letters and digits.
    pub run: String,
    /// Counts the readings of the run from 1: the number of the entry's last one.
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

/// Which agent wrote an entry, and which of its entries it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The agent's name.
    pub agent: String,
    /// The entry's number.
    pub seq: Seq,
    /// The last number of the run before, said by the first entry of a run where it is known.
    pub prev: Option<Seq>,
    /// Why numbers before this one are missing.
    pub gap: Option<Gap>,
    /// By how many milliseconds the agent's clock is ahead of Redis' own, where it has just looked.
    pub skew: Option<i64>,
}

impl Provenance {
    /// The number `seq` of `agent`, and nothing by the way.
    pub fn new(agent: &str, seq: Seq) -> Self {
        Self {
            agent: agent.to_owned(),
            seq,
            prev: None,
            gap: None,
            skew: None,
        }
    }

    fn encode(&self) -> impl Iterator<Item = (&'static str, String)> {
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

/// Why an agent could not publish readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Too many waited in memory.
    QueueFull,
    /// The spool on disk was full.
    SpoolFull,
    /// They waited on disk for too long.
    SpoolAge,
    /// They were on disk, and could not be read any more.
    SpoolCorrupt,
}

impl Gap {
    const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolAge,
        Self::SpoolCorrupt,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolAge => "spool_age",
            Self::SpoolCorrupt => "spool_corrupt",
        }
    }

    /// What the word means; none for one of another version.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gap| gap.word() == word)
    }
}

/// What one entry says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The agent that wrote it; none for a plain client.
    pub agent: Option<String>,
    /// The number its agent gave it.
    pub seq: Option<Seq>,
    /// The last number of the agent's run before this one.
    pub prev: Option<Seq>,
    /// Why numbers before it are missing, where its agent knows.
    pub gap: Option<Gap>,
    /// By how many milliseconds its agent's clock is ahead of Redis' own.
    pub skew: Option<i64>,
    /// The readings that could be understood.
    pub readings: Vec<Reading>,
    /// What could not be. A frame may have both.
    pub reject: Option<Reject>,
}

impl Decoded {
    /// How far ahead of its entry a reading may be: an agent's clock may be a little fast.
    pub const MAX_FUTURE: Duration = Duration::from_mins(1);

    /// Rejects readings from the future: stored, they would have a series refuse all that is right.
    /// `arrived` is the time of the entry's id, by Redis' own clock.
    #[must_use]
    pub fn without_future(mut self, arrived: Timestamp, limit: Duration) -> Self {
        let latest = arrived.plus(limit);
        let Some(late) = self.readings.iter().find(|reading| reading.at > latest) else {
            return self;
        };
        let reason = Reason::Future {
            timestamp: late.at,
            arrived,
            limit,
        };
        // An entry has one timestamp.
        let before = self.reject.map_or(0, |reject| reject.readings);
        let readings = before + std::mem::take(&mut self.readings).len();
        self.reject = Some(Reject { reason, readings });
        self
    }
}

/// An entry, or a part of one, that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// How many readings were in it, as far as can be told (at least one).
    pub readings: usize,
}

/// Why an entry could not be understood, as it stands in the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// Two fields of one name: which one counts?
    #[error("field {0} is there twice")]
    Twice(&'static str),
    /// The field is there, but empty.
    #[error("field {0} is empty")]
    Empty(&'static str),
    /// Bytes that are not text.
    #[error("field {0} is not UTF-8 text")]
    NotText(&'static str),
    /// Longer than [`MAX_FIELD`].
    #[error("field {name} has {len} bytes, more than {MAX_FIELD}")]
    TooLong {
        /// The field.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// More than [`MAX_FIELDS`] fields.
    #[error("{0} fields, more than {MAX_FIELDS}")]
    TooManyFields(usize),
    /// The id breaks the rules for device ids.
    #[error("device_id is not a device id: {0}")]
    BadDevice(crate::device::NotADeviceId),
    /// Not a temperature.
    #[error("temperature is {0}")]
    BadTemperature(NotATemperature),
    /// Not a fault's word.
    #[error("fault is not a word of a-z 0-9 _")]
    BadFault,
    /// Both a temperature and a fault.
    #[error("both temperature and fault are there")]
    ValueAndFault,
    /// Not milliseconds since 1970.
    #[error("timestamp is not whole milliseconds between 1970 and 9999")]
    BadTimestamp,
    /// From the future.
    #[error(
        "timestamp {timestamp} is more than {} after the entry came, at {arrived}: set the clock of \
         who wrote it",
        humantime::format_duration(*limit)
    )]
    Future {
        /// The reading's time.
        timestamp: Timestamp,
        /// The time of the entry's id.
        arrived: Timestamp,
        /// How far ahead it may be.
        limit: Duration,
    },
    /// Not an agent's name.
    #[error("agent is not a name of 1 to 128 visible characters")]
    BadAgent,
    /// Not `<run>-<n>`.
    #[error("seq is not <run>-<number>")]
    BadSeq,
    /// A pair of a frame that is not `device=value`.
    #[error("pair {number} of readings: {why}")]
    BadPair {
        /// Which pair, from 1.
        number: usize,
        /// What is wrong with it.
        why: Box<Reason>,
    },
    /// There is no `=` in the pair.
    #[error("no = in it")]
    NoEquals,
    /// One device twice in one frame.
    #[error("the device is there twice")]
    DeviceTwice,
}

/// Decodes the fields of one entry of `raw_sensor_data`, in either layout.
pub fn decode(fields: &Fields) -> Decoded {
    let fields = match Lookup::new(fields) {
        Ok(fields) => fields,
        Err(reason) => return rejected(reason),
    };
    if fields.has(field::READINGS) {
        frame::decode(&fields)
    } else {
        entry::decode(&fields)
    }
}

fn rejected(reason: Reason) -> Decoded {
    Decoded {
        reject: Some(Reject {
            reason,
            readings: 1,
        }),
        ..Decoded::default()
    }
}

/// An entry whose fields can be told apart, but not understood: who wrote it is still worth knowing,
/// as it explains a gap.
fn rejected_from(fields: &Lookup<'_>, reason: Reason) -> Decoded {
    let pairs = fields.get(field::READINGS).ok().flatten();
    Decoded {
        reject: Some(Reject {
            reason,
            readings: pairs.map_or(1, |pairs| pairs.split(',').count()),
        }),
        ..fields.provenance().unwrap_or_default()
    }
}

/// Looks fields up by name, with every bound checked.
pub(crate) struct Lookup<'a>(&'a Fields);

impl<'a> Lookup<'a> {
    pub(crate) fn new(fields: &'a Fields) -> Result<Self, Reason> {
        if fields.len() > MAX_FIELDS {
            return Err(Reason::TooManyFields(fields.len()));
        }
        for (name, value) in fields {
            let len = name.len().max(value.len());
            if len > MAX_FIELD {
                let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
                return Err(Reason::TooLong { name, len });
            }
        }
        Ok(Self(fields))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name.as_bytes())
    }

    /// The value of the field, if it is there: exactly once, text, and not empty.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<&'a str>, Reason> {
        let mut found = self.0.iter().filter(|(n, _)| n == name.as_bytes());
        let Some((_, value)) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() {
            return Err(Reason::Twice(name));
        }
        if value.is_empty() {
            return Err(Reason::Empty(name));
        }
        std::str::from_utf8(value)
            .map(Some)
            .map_err(|_| Reason::NotText(name))
    }

    pub(crate) fn need(&self, name: &'static str) -> Result<&'a str, Reason> {
        self.get(name)?.ok_or(Reason::Missing(name))
    }

    pub(crate) fn timestamp(&self) -> Result<Timestamp, Reason> {
        timestamp(self.need(field::TIMESTAMP)?)
    }

    /// The agent and the number, where the entry has them. A number alone means nothing.
    ///
    /// The rest is said by the way: what of it cannot be understood is ignored.
    pub(crate) fn provenance(&self) -> Result<Decoded, Reason> {
        let Some(agent) = self.get(field::AGENT)? else {
            return Ok(Decoded::default());
        };
        let visible = |c: char| !c.is_control() && !c.is_whitespace();
        if agent.len() > 128 || !agent.chars().all(visible) {
            return Err(Reason::BadAgent);
        }
        let by_the_way = |name| self.get(name).ok().flatten();
        Ok(Decoded {
            agent: Some(agent.to_owned()),
            seq: self.get(field::SEQ)?.map(str::parse).transpose()?,
            prev: by_the_way(field::PREV).and_then(|text| text.parse().ok()),
            gap: by_the_way(field::GAP).and_then(Gap::of),
            skew: by_the_way(field::SKEW).and_then(|text| text.parse().ok()),
            ..Decoded::default()
        })
    }
}

fn timestamp(text: &str) -> Result<Timestamp, Reason> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let millis = if digits { text.parse().ok() } else { None };
    // Zero is what a program writes that does not know the time.
    millis
        .filter(|m| *m > 0)
        .and_then(Timestamp::from_millis)
        .ok_or(Reason::BadTimestamp)
}
