//! Decoded entries of the raw stream.

use std::time::Duration;

use super::field;
use super::fields::Lookup;
use super::reason::Reason;
use crate::clock_offsets::{self, Sender};
use crate::name;
use crate::reading::Reading;
use crate::sequence::{Gap, Seq};
use crate::time::Timestamp;

/// The content of one entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The agent that wrote it; none for a plain client.
    pub agent: Option<String>,
    /// The sequence number of the entry.
    pub seq: Option<Seq>,
    /// The last number of the agent's run before this one.
    pub prev: Option<Seq>,
    /// The reason for missing numbers before it, where its agent knows it.
    pub gap: Option<Gap>,
    /// Milliseconds that its agent's clock is ahead of Redis' clock.
    pub skew: Option<i64>,
    /// The readings that were decoded.
    pub readings: Vec<Reading>,
    /// The part that was rejected. A frame may have both.
    pub reject: Option<Reject>,
}

impl Decoded {
    /// The greatest default lead of a reading over its entry: an agent's clock may be a little fast.
    pub const MAX_FUTURE: Duration = Duration::from_mins(1);

    /// Returns whose clock stamped the readings; none without readings.
    pub fn sender(&self) -> Option<Sender<'_>> {
        let first = self.readings.first()?;
        Some(match &self.agent {
            Some(agent) => {
                let run = self.seq.as_ref().map_or("", |seq| seq.run.as_str());
                Sender::Agent(agent, run)
            }
            None => Sender::Client(&first.device),
        })
    }

    /// Corrects the timestamps of a clock that is `ahead` seconds ahead.
    pub fn correct(&mut self, ahead: i64) {
        if ahead != 0 {
            for reading in &mut self.readings {
                reading.at = clock_offsets::correct(reading.at, ahead);
            }
        }
    }

    /// Rejects readings more than `limit` ahead of `arrived`, the time of the entry's id by Redis' clock. A
    /// series with a reading from the future would refuse all right ones.
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

/// A rejected entry, or a rejected part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The reason for the rejection.
    pub reason: Reason,
    /// The number of readings in it; one where it cannot be counted.
    pub readings: usize,
}

/// Returns the content of an entry that was rejected as a whole.
pub(super) fn rejected(reason: Reason) -> Decoded {
    Decoded {
        reject: Some(Reject {
            reason,
            readings: 1,
        }),
        ..Decoded::default()
    }
}

/// Returns the content of a rejected entry whose agent is known, which explains a gap.
pub(super) fn rejected_from(fields: &Lookup<'_>, reason: Reason) -> Decoded {
    let pairs = fields.get(field::READINGS).ok().flatten();
    Decoded {
        reject: Some(Reject {
            reason,
            readings: pairs.map_or(1, |pairs| pairs.split(',').count()),
        }),
        ..provenance(fields).unwrap_or_default()
    }
}

/// Returns the agent and the sequence number of an entry. A number without an agent is ignored, and so are
/// further fields that cannot be decoded.
pub(super) fn provenance(fields: &Lookup<'_>) -> Result<Decoded, Reason> {
    let Some(agent) = fields.get(field::AGENT)? else {
        return Ok(Decoded::default());
    };
    if name::check(agent).is_err() || agent.contains(char::is_whitespace) {
        return Err(Reason::BadAgent);
    }
    let further = |name| fields.get(name).ok().flatten();
    Ok(Decoded {
        agent: Some(agent.to_owned()),
        seq: match fields.get(field::SEQ)? {
            Some(text) => Some(text.parse().map_err(|_| Reason::BadSeq)?),
            None => None,
        },
        prev: further(field::PREV).and_then(|text| text.parse().ok()),
        gap: further(field::GAP).and_then(Gap::of),
        skew: further(field::SKEW).and_then(|text| text.parse().ok()),
        ..Decoded::default()
    })
}
