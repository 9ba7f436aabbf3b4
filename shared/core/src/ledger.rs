//! The loss ledger: what agents produced and nobody received, told by the numbers of their readings.
//!
//! In: the provenance of each entry, in the order of the stream. Out: a [`Loss`] for each gap. Pure,
//! and the same for the same entries, so that a loss is recorded once however often its entries are
//! gone through. What cannot be known is not guessed: readings before the first entry that was ever
//! seen of an agent, and those at the end of a run that its successor does not know of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::hash::fnv1a;
use crate::time::Timestamp;
use crate::wire::{Gap, Seq};

/// Runs that are remembered of an agent: after a failover readings of an earlier one may come again.
const RUNS: usize = 4;

/// Readings of one agent that were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whose.
    pub agent: String,
    /// In which run of it.
    pub run: String,
    /// The number of the first lost reading.
    pub from: u64,
    /// The number of the last.
    pub to: u64,
    /// When the last reading before was taken; none where there was none.
    pub since: Option<Timestamp>,
    /// When the first reading after was taken.
    pub until: Timestamp,
    /// What the agent says of it; none where it published them, so that they were trimmed from the
    /// stream unread, or lost by Redis.
    pub gap: Option<Gap>,
}

impl Loss {
    /// How many readings.
    pub fn readings(&self) -> u64 {
        self.to - self.from + 1
    }

    /// Its name for all time: the same loss has the same.
    pub fn id(&self) -> String {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let parts = [&self.agent, &self.run, &from, &to].map(String::as_bytes);
        format!("{:016x}", fnv1a(parts))
    }

    /// Why, in a word: `queue_full`, `spool_full`, `spool_age`, `spool_corrupt`, or `not_received`.
    pub fn reason(&self) -> &'static str {
        self.gap.map_or("not_received", Gap::word)
    }
}

/// What an entry says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Who wrote it.
    pub agent: String,
    /// The number of its last reading.
    pub seq: Seq,
    /// How many readings are in it, those that could not be understood among them.
    pub readings: u64,
    /// When they were taken.
    pub at: Timestamp,
    /// The last number of the run before.
    pub prev: Option<Seq>,
    /// Why numbers before it are missing.
    pub gap: Option<Gap>,
    /// By how many milliseconds the agent's clock is ahead of Redis' own, where it says so.
    pub skew: Option<i64>,
    /// When the entry came, by Redis' clock.
    pub arrived: Timestamp,
}

/// How far the runs of each agent have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    agents: BTreeMap<String, Runs>,
    /// Agents that have come further since it was last asked.
    moved: BTreeSet<String>,
}

/// How far the last runs of one agent have come, the oldest first: kept in `rackwatch:ledger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs(Vec<Run>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    name: String,
    last: u64,
    at: Timestamp,
}

impl Ledger {
    /// Takes the next entry; says what is missing before it.
    pub fn pass(&mut self, entry: &Passed) -> Vec<Loss> {
        let first = (entry.seq.n + 1).saturating_sub(entry.readings).max(1);
        let known = self.agents.contains_key(&entry.agent);
        let Runs(runs) = self.agents.entry(entry.agent.clone()).or_default();
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
                self.moved.insert(entry.agent.clone());
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
        // Of an agent that was never seen nobody knows what came before, unless it says so itself.
        if first > 1 && (known || entry.gap.is_some()) {
            losses.push(lost(&entry.seq.run, 1, first - 1, before));
        }
        self.moved.insert(entry.agent.clone());
        if runs.len() == RUNS {
            runs.remove(0);
        }
        runs.push(Run {
            name: entry.seq.run.clone(),
            last: entry.seq.n,
            at: entry.at,
        });
        losses
    }

    /// The agents that have come further since this was last asked.
    pub fn moved(&mut self) -> Vec<(String, Runs)> {
        let moved = std::mem::take(&mut self.moved).into_iter();
        let runs = |agent: String| Some((agent.clone(), self.agents.get(&agent)?.clone()));
        moved.filter_map(runs).collect()
    }

    /// Takes over how far agents had come.
    pub fn resume(&mut self, agents: impl IntoIterator<Item = (String, Runs)>) {
        self.agents.extend(agents);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(run: &str, n: u64, readings: u64) -> Passed {
        Passed {
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
    fn a_gap_is_a_loss_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.pass(&entry("a", 5, 5)), []);
        let late = Passed {
            gap: Some(Gap::SpoolFull),
            ..entry("a", 12, 2)
        };
        let losses = ledger.pass(&late);
        assert_eq!(ranges(&losses), [("a", 6, 10)]);
        assert_eq!(
            (losses[0].readings(), losses[0].reason()),
            (5, "spool_full")
        );
        assert_eq!(ledger.pass(&late), [], "seen again");
        assert_eq!(ledger.pass(&entry("a", 3, 1)), [], "an old one again");
        assert_eq!(ledger.pass(&entry("a", 13, 1)), []);
    }

    #[test]
    fn the_end_of_a_run_is_told_by_the_next() {
        let mut ledger = Ledger::default();
        ledger.pass(&entry("a", 5, 5));
        let next = Passed {
            prev: Some(entry("a", 9, 1).seq),
            ..entry("b", 4, 1)
        };
        assert_eq!(ranges(&ledger.pass(&next)), [("a", 6, 9), ("b", 1, 3)]);
        assert_eq!(ledger.pass(&entry("a", 9, 1)), []);
        assert_eq!(ledger.pass(&entry("b", 5, 1)), []);
    }

    #[test]
    fn what_came_before_the_first_entry_is_not_known() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.pass(&entry("a", 100, 1)), []);
        let told = Passed {
            agent: "other".to_owned(),
            gap: Some(Gap::QueueFull),
            ..entry("a", 100, 1)
        };
        assert_eq!(ranges(&ledger.pass(&told)), [("a", 1, 99)]);
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let mut ledger = Ledger::default();
        ledger.pass(&entry("a", 5, 5));
        let moved = ledger.moved();
        assert_eq!(ledger.moved(), []);
        let json = serde_json::to_string(&moved[0].1).unwrap();
        let mut next = Ledger::default();
        next.resume([("h".to_owned(), serde_json::from_str(&json).unwrap())]);
        assert_eq!(ranges(&next.pass(&entry("a", 8, 1))), [("a", 6, 7)]);
    }

    proptest! {
        /// What is received and what is lost make up what was produced, whatever is missing and
        /// whatever comes twice.
        #[test]
        fn the_sum_holds(entries in prop::collection::vec((1u64..9, any::<bool>(), any::<bool>()), 1..80)) {
            let mut ledger = Ledger::default();
            let (mut produced, mut received, mut lost) = (0, 0, 0);
            for (number, (readings, arrives, twice)) in entries.iter().copied().enumerate() {
                produced += readings;
                let entry = entry("a", produced, readings);
                // The first and the last must arrive for the sum to be known.
                if number > 0 && number + 1 < entries.len() && !arrives {
                    continue;
                }
                received += readings;
                lost += ledger.pass(&entry).iter().map(Loss::readings).sum::<u64>();
                if twice {
                    prop_assert_eq!(ledger.pass(&entry), []);
                }
            }
            prop_assert_eq!(received + lost, produced);
        }
    }
}
