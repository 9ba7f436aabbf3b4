//! The origin of an entry.

use super::field;
use crate::sequence::{Gap, Seq};

/// The agent that wrote an entry, and the entry's sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The name of the agent.
    pub agent: String,
    /// The sequence number of the entry.
    pub seq: Seq,
    /// The last number of the previous run, in the first entry of a run where it is known.
    pub prev: Option<Seq>,
    /// The reason for missing numbers before this one.
    pub gap: Option<Gap>,
    /// Milliseconds that the agent's clock was ahead of Redis' clock when the readings were taken: in the first entry since
    /// the clocks were compared, and wherever it differs from the entry before.
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
