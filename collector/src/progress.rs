//! The progress of this collector's stages: when each last completed a turn, and what waits for it.
//!
//! In: a beat of each stage per completed turn, and the age of what waits in Redis (`health/watch`). Out: the reasons why
//! this collector is not ready, for `/readyz`, `/metrics` and the heartbeat. Nothing is written, so a stage that hangs
//! cannot hide it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::partition::PartitionId;

/// A stage that has to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Renews the leases of partitions, or waits for free ones.
    Leases,
    /// Renews the leader's lease, or waits until it is free.
    Leadership,
    /// Looks for entries that wait in Redis.
    Watch,
    /// Reads, evaluates and commits the readings of a partition.
    Partition(PartitionId),
    /// Moves entries of plain clients to their partitions.
    Forwarder(PartitionId),
    /// Groups alerts into incidents.
    Correlator,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leases => f.write_str("leases of partitions"),
            Self::Leadership => f.write_str("lease of the leader"),
            Self::Watch => f.write_str("look for waiting entries"),
            Self::Partition(id) => write!(f, "partition {id}"),
            Self::Forwarder(id) => write!(f, "forwarding to partition {id}"),
            Self::Correlator => f.write_str("correlator"),
        }
    }
}

/// The oldest entry that waits for a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestEntry {
    /// Words for it, such as "an entry is not read".
    pub what: &'static str,
    /// Age by Redis' clock.
    pub age: Duration,
}

/// The state of one stage.
#[derive(Debug, Default)]
struct StageState {
    /// The end of the last completed turn.
    last: Option<Instant>,
    oldest: Option<OldestEntry>,
}

/// The progress of all stages that run in this collector.
#[derive(Debug)]
pub struct Progress {
    limit: Duration,
    stages: Mutex<BTreeMap<Stage, StageState>>,
}

impl Progress {
    /// Duration without a completed turn after which a stage is stuck.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// Creates the progress of no stage; a stage without a turn for longer than `limit` is stuck.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            stages: Mutex::default(),
        }
    }

    /// Adds a stage until the pulse is dropped. This collector is not ready before its first beat.
    pub fn begin(self: &Arc<Self>, stage: Stage) -> Pulse {
        self.stages().insert(stage, StageState::default());
        Pulse {
            progress: Arc::clone(self),
            stage,
        }
    }

    /// Returns the duration after which a stage is stuck, and an entry waits too long.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Returns the stages that run.
    pub fn running(&self) -> Vec<Stage> {
        self.stages().keys().copied().collect()
    }

    /// Notes the oldest entry that waits for a stage, if that stage still runs.
    pub fn set_oldest(&self, stage: Stage, oldest: Option<OldestEntry>) {
        if let Some(state) = self.stages().get_mut(&stage) {
            state.oldest = oldest;
        }
    }

    /// Returns the reasons why this collector is not ready; none if it is.
    pub fn problems(&self) -> Vec<String> {
        let stages = self.stages();
        if stages.is_empty() {
            return vec!["no stage has begun".to_owned()];
        }
        let problem = |(stage, state): (&Stage, &StageState)| {
            Some(format!("{stage}: {}", state.problem(self.limit)?))
        };
        stages.iter().filter_map(problem).collect()
    }

    fn stages(&self) -> MutexGuard<'_, BTreeMap<Stage, StageState>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(Self::LIMIT)
    }
}

impl StageState {
    fn problem(&self, limit: Duration) -> Option<String> {
        let Some(last) = self.last else {
            return Some("waiting for Redis, or loading its state".to_owned());
        };
        let idle = last.elapsed();
        if idle > limit {
            let seconds = idle.as_secs();
            return Some(format!(
                "no turn completed for {seconds} s: Redis does not answer, or refuses writes"
            ));
        }
        let OldestEntry { what, age } = self.oldest.filter(|entry| entry.age > limit)?;
        Some(format!("{what} for {} s", age.as_secs()))
    }
}

/// The pulse of one stage, which beats once per completed turn.
#[derive(Debug)]
pub struct Pulse {
    progress: Arc<Progress>,
    stage: Stage,
}

impl Pulse {
    /// Records a completed turn.
    pub fn beat(&self) {
        let mut stages = self.progress.stages();
        stages.entry(self.stage).or_default().last = Some(Instant::now());
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.progress.stages().remove(&self.stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_counts_from_its_first_beat_until_its_pulse_is_dropped() {
        let progress = Arc::new(Progress::default());
        assert_eq!(progress.problems().len(), 1, "nothing runs");
        let leases = progress.begin(Stage::Leases);
        leases.beat();
        assert!(progress.problems().is_empty(), "a standby");
        let partition = progress.begin(Stage::Partition(PartitionId::PLAIN));
        assert!(progress.problems()[0].starts_with("partition all: "));
        partition.beat();
        assert!(progress.problems().is_empty());
        let waiting = OldestEntry {
            what: "an entry is not read",
            age: Duration::from_secs(31),
        };
        progress.set_oldest(partition.stage, Some(waiting));
        let problem = "partition all: an entry is not read for 31 s";
        assert_eq!(progress.problems(), [problem]);
        drop(partition);
        progress.set_oldest(Stage::Correlator, Some(waiting));
        assert!(progress.problems().is_empty());
    }

    #[test]
    fn a_stage_without_a_turn_within_the_limit_is_stuck() {
        let progress = Arc::new(Progress::new(Duration::ZERO));
        let leases = progress.begin(Stage::Leases);
        leases.beat();
        assert!(progress.problems()[0].contains("no turn completed for"));
    }
}
