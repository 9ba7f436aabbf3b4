//! The loss ledger: readings that agents produced and no collector received, found by their sequence numbers.
//!
//! In: the sequence number that each entry reports, in the order of the stream. Out: a [`Loss`] for each gap.
//! The same entries give the same losses, so that a loss is recorded once however often its entries are taken
//! in. Two things are unknown, and not guessed: the readings before the first entry ever seen of an agent, and
//! those at the end of a run that the next run does not know of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::hash;
use crate::sequence::{Gap, Seq};
use crate::stored::{IfRefused, StoredValue};
use crate::time::Timestamp;

/// The number of runs remembered for an agent. After a failover, readings of an earlier run may come again.
const MAX_RUNS: usize = 4;

/// Lost readings of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The agent that produced them.
    pub agent: String,
    /// The run of that agent.
    pub run: String,
    /// The number of the first lost reading.
    pub from: u64,
    /// The number of the last lost reading.
    pub to: u64,
    /// The time of the last reading before; none where there was none.
    pub since: Option<Timestamp>,
    /// The time of the first reading after.
    pub until: Timestamp,
    /// The reason that the agent gives; none where it published the readings, so that they were trimmed from
    /// the stream unread, or lost by Redis.
    pub gap: Option<Gap>,
}

impl Loss {
    /// Returns the number of lost readings.
    pub fn readings(&self) -> u64 {
        self.to - self.from + 1
    }

    /// Returns the permanent id: the same loss has the same id.
    pub fn id(&self) -> String {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let parts = [&self.agent, &self.run, &from, &to].map(String::as_bytes);
        hash::unmixed_id(parts)
    }

    /// Returns the reason as a word: `queue_full`, `spool_full`, `spool_age`, `spool_corrupt`, or
    /// `not_received`.
    pub fn reason(&self) -> &'static str {
        self.gap.map_or("not_received", Gap::word)
    }
}

/// The sequence number that an entry reports, with what else it says about its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedSequence {
    /// The agent that wrote the entry.
    pub agent: String,
    /// The number of the entry's last reading.
    pub seq: Seq,
    /// The number of readings in the entry, including those that could not be decoded.
    pub readings: u64,
    /// The time of the readings.
    pub at: Timestamp,
    /// The last number of the previous run.
    pub prev: Option<Seq>,
    /// The reason for missing numbers before this entry.
    pub gap: Option<Gap>,
    /// Milliseconds that the agent's clock is ahead of Redis' clock, if the entry reports them.
    pub skew: Option<i64>,
    /// The arrival of the entry, by Redis' clock.
    pub arrived: Timestamp,
}

/// The progress of all agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossLedger {
    agents: BTreeMap<String, Runs>,
    /// Agents with progress since [`LossLedger::take_progress`].
    advanced: BTreeSet<String>,
}

/// The progress of the last runs of one agent, the oldest first: a value of `rackwatch:ledger`.
///
/// A collector refuses the values of another version and starts without them: a gap right after that is not
/// found, because the agent is new to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    #[serde(rename = "runs")]
    runs: Vec<Run>,
}

impl StoredValue for Runs {
    const NAME: &'static str = "loss ledger entry";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused =
        IfRefused::StartsCold("readings lost across this start are not found");
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    #[serde(rename = "name")]
    name: String,
    #[serde(rename = "last")]
    last: u64,
    #[serde(rename = "at")]
    at: Timestamp,
}

impl LossLedger {
    /// Takes in the next entry. Returns the losses before it.
    pub fn observe(&mut self, entry: &ReportedSequence) -> Vec<Loss> {
        let first = (entry.seq.n + 1).saturating_sub(entry.readings).max(1);
        let known = self.agents.contains_key(&entry.agent);
        let Runs { runs } = self.agents.entry(entry.agent.clone()).or_default();
        let lost = |run: &str, from, to, since| Loss {
            agent: entry.agent.clone(),
            run: run.to_owned(),
            from,
            to,
            since,
            until: entry.at,
            gap: entry.gap,
        };
        if let Some(run) = runs.iter_mut().find(|run| run.name == entry.seq.run) {
            let gap = (first > run.last + 1)
                .then(|| lost(&run.name, run.last + 1, first - 1, Some(run.at)));
            if entry.seq.n > run.last {
                self.advanced.insert(entry.agent.clone());
                run.last = entry.seq.n;
                run.at = entry.at;
            }
            return gap.into_iter().collect();
        }
        let mut losses = Vec::new();
        let before = runs.last().map(|run| run.at);
        if let Some(prev) = &entry.prev
            && let Some(run) = runs.iter_mut().find(|run| run.name == prev.run)
            && prev.n > run.last
        {
            losses.push(lost(&run.name, run.last + 1, prev.n, Some(run.at)));
            run.last = prev.n;
        }
        // What a new agent sent before is unknown unless it says so itself.
        if first > 1 && (known || entry.gap.is_some()) {
            losses.push(lost(&entry.seq.run, 1, first - 1, before));
        }
        self.advanced.insert(entry.agent.clone());
        if runs.len() == MAX_RUNS {
            runs.remove(0);
        }
        runs.push(Run {
            name: entry.seq.run.clone(),
            last: entry.seq.n,
            at: entry.at,
        });
        losses
    }

    /// Returns the agents with progress since the last call, and that progress.
    pub fn take_progress(&mut self) -> Vec<(String, Runs)> {
        let advanced = std::mem::take(&mut self.advanced).into_iter();
        let runs = |agent: String| Some((agent.clone(), self.agents.get(&agent)?.clone()));
        advanced.filter_map(runs).collect()
    }

    /// Takes over stored progress.
    pub fn resume(&mut self, agents: impl IntoIterator<Item = (String, Runs)>) {
        self.agents.extend(agents);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stored;

    fn entry(run: &str, n: u64, readings: u64) -> ReportedSequence {
        ReportedSequence {
            agent: "h".to_owned(),
            seq: Seq {
                run: run.to_owned(),
                n,
            },
            readings,
            at: Timestamp::from_millis(n * 1000 + 1).unwrap(),
            prev: None,
            gap: None,
            skew: None,
            arrived: Timestamp::default(),
        }
    }

    fn ranges(losses: &[Loss]) -> Vec<(&str, u64, u64)> {
        let range = |loss| {
            let Loss { run, from, to, .. }: &Loss = loss;
            (run.as_str(), *from, *to)
        };
        losses.iter().map(range).collect()
    }

    #[test]
    fn a_gap_is_one_loss() {
        let mut loss_ledger = LossLedger::default();
        assert_eq!(loss_ledger.observe(&entry("a", 5, 5)), []);
        let late = ReportedSequence {
            gap: Some(Gap::SpoolFull),
            ..entry("a", 12, 2)
        };
        let losses = loss_ledger.observe(&late);
        assert_eq!(ranges(&losses), [("a", 6, 10)]);
        assert_eq!(
            (losses[0].readings(), losses[0].reason()),
            (5, "spool_full")
        );
        assert_eq!(loss_ledger.observe(&late), [], "seen again");
        assert_eq!(
            loss_ledger.observe(&entry("a", 3, 1)),
            [],
            "an old one again"
        );
        assert_eq!(loss_ledger.observe(&entry("a", 13, 1)), []);
    }

    #[test]
    fn the_next_run_reports_the_end_of_the_last() {
        let mut loss_ledger = LossLedger::default();
        loss_ledger.observe(&entry("a", 5, 5));
        let next = ReportedSequence {
            prev: Some(entry("a", 9, 1).seq),
            ..entry("b", 4, 1)
        };
        assert_eq!(
            ranges(&loss_ledger.observe(&next)),
            [("a", 6, 9), ("b", 1, 3)]
        );
        assert_eq!(loss_ledger.observe(&entry("a", 9, 1)), []);
        assert_eq!(loss_ledger.observe(&entry("b", 5, 1)), []);
    }

    #[test]
    fn readings_before_the_first_entry_are_unknown() {
        let mut loss_ledger = LossLedger::default();
        assert_eq!(loss_ledger.observe(&entry("a", 100, 1)), []);
        let reported = ReportedSequence {
            agent: "other".to_owned(),
            gap: Some(Gap::QueueFull),
            ..entry("a", 100, 1)
        };
        assert_eq!(ranges(&loss_ledger.observe(&reported)), [("a", 1, 99)]);
    }

    #[test]
    fn a_resumed_loss_ledger_goes_on_where_it_was() {
        let mut loss_ledger = LossLedger::default();
        loss_ledger.observe(&entry("a", 5, 5));
        let progress = loss_ledger.take_progress();
        assert_eq!(loss_ledger.take_progress(), []);
        let json = stored::encode(&progress[0].1);
        let mut next = LossLedger::default();
        next.resume([("h".to_owned(), stored::decode(json.as_bytes()).unwrap())]);
        assert_eq!(ranges(&next.observe(&entry("a", 8, 1))), [("a", 6, 7)]);
    }

    #[test]
    fn without_a_gap_nothing_is_lost_and_a_repeat_is_no_progress() {
        let mut loss_ledger = LossLedger::default();
        assert_eq!(loss_ledger.observe(&entry("a", 5, 5)), []);
        assert_eq!(loss_ledger.take_progress().len(), 1);
        assert_eq!(loss_ledger.observe(&entry("a", 5, 5)), []);
        assert_eq!(loss_ledger.take_progress(), [], "known");
        let next = ReportedSequence {
            prev: Some(entry("a", 5, 1).seq),
            ..entry("b", 2, 2)
        };
        assert_eq!(loss_ledger.observe(&next), [], "begins where it ended");
        assert_eq!(loss_ledger.take_progress().len(), 1);
    }

    proptest! {
        /// Received and lost readings add up to the produced ones, whatever is missing and whatever comes
        /// twice.
        #[test]
        fn received_and_lost_add_up_to_produced(entries in prop::collection::vec((1u64..9, any::<bool>(), any::<bool>()), 1..80)) {
            let mut loss_ledger = LossLedger::default();
            let (mut produced, mut received, mut lost) = (0, 0, 0);
            for (number, (readings, arrives, twice)) in entries.iter().copied().enumerate() {
                produced += readings;
                let entry = entry("a", produced, readings);
                // The sum is known only if the first and the last entry arrive.
                if number > 0 && number + 1 < entries.len() && !arrives {
                    continue;
                }
                received += readings;
                lost += loss_ledger.observe(&entry).iter().map(Loss::readings).sum::<u64>();
                if twice {
                    prop_assert_eq!(loss_ledger.observe(&entry), []);
                }
            }
            prop_assert_eq!(received + lost, produced);
        }
    }
}
