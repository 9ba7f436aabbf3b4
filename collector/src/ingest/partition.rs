//! One partition for an ownership term: next batch → store series → evaluate → commit.
//!
//! Promise: nothing is acknowledged before it is stored and evaluated; the step that acknowledges an
//! entry also writes its dead letter, if it has one. A crash anywhere makes the batch come again:
//! storing it twice changes nothing, and its alerts are not in Redis yet, or it would have been
//! acknowledged.

mod by_hand;
mod device_bound;
mod inputs;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertId, AlertRecord};
use rackwatch_core::engine::{ColdStarts, Engine, EpisodeChange, Notice};
use rackwatch_core::episode::Episode;
use rackwatch_core::indices::Envelope;
use rackwatch_core::partition::PartitionId;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored;
use rackwatch_core::time::StreamId;
use rackwatch_runtime::backoff::{self, Backoff};
use tokio_util::sync::CancellationToken;

use self::by_hand::{log_resolutions, resolved_by_hand};
use self::device_bound::Beyond;
use self::inputs::{dead_letter, inputs};
use super::raw_stream::{Batch, Commit, RawStream, RawStreamError, ResolvedByHand, SliceNumber};
use super::recorder::{Recorder, RecorderError};
use super::timer::Timer;
use crate::failpoint;
use crate::indices::{RackAggregate, RackAggregates};
use crate::progress::{Pulse, Stage};
use crate::stage::StageError;
use crate::stats::Stats;

/// Age of the readings that are stored again after a master was replaced: as far back as agents
/// send readings again.
const STORE_AGAIN: Duration = Duration::from_secs(60);

/// Shortest and longest pause before state is loaded again, if nothing was committed since the last time.
const RELOAD_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Interval at which rack aggregates are published: a quarter of the minute that an index covers.
const RACK_AGGREGATES_INTERVAL: Duration = Duration::from_secs(15);

/// The reason why a partition ended.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The raw stream cannot go on.
    #[error(transparent)]
    RawStream(#[from] RawStreamError),
    /// The series cannot go on.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

impl PartitionError {
    /// Returns whether the ownership term is over and nothing failed.
    fn is_end_of_term(&self) -> bool {
        matches!(
            self,
            Self::RawStream(RawStreamError::TakenOver | RawStreamError::Stage(StageError::Stopped))
                | Self::Recorder(RecorderError::Stopped)
        )
    }
}

/// The parts that a partition is made of.
#[derive(Debug)]
pub struct Parts<S> {
    /// Number of the partition.
    pub id: PartitionId,
    /// Raw stream of the partition.
    pub stream: S,
    /// Stores the series of the partition.
    pub recorder: Recorder,
    /// Rules by which readings are evaluated.
    pub rules: Arc<RuleSet>,
    /// Limits of the profile, for rack aggregates.
    pub envelope: Envelope,
    /// Counters of this collector.
    pub stats: Arc<Stats>,
    /// Interval at which detector state is saved, and so the longest stretch to catch up with after
    /// a restart.
    pub save_every: Duration,
    /// Most devices of the partition.
    pub max_devices: usize,
    /// Cancelled when the ownership term ends.
    pub stop: CancellationToken,
}

/// The loop over one partition.
#[derive(Debug)]
pub struct Partition<S> {
    parts: Parts<S>,
    engine: Engine,
    /// Alerts with a lost episode that ended by hand.
    ended_lost: HashSet<AlertId>,
    save: Timer,
    rack_aggregates: Timer,
    pulse: Pulse,
}

impl<S: RawStream> Partition<S> {
    /// Creates a partition with an empty engine. This collector is not ready until its first read returned.
    pub fn new(parts: Parts<S>) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&parts.rules)),
            ended_lost: HashSet::new(),
            save: Timer::every(parts.save_every),
            rack_aggregates: Timer::every(RACK_AGGREGATES_INTERVAL),
            pulse: parts.stats.progress().begin(Stage::Partition(parts.id)),
            parts,
        }
    }

    /// Runs until the ownership term ends; saves detector state on the way out.
    pub async fn run(mut self) -> Result<(), PartitionError> {
        let mut backoff = Backoff::new(RELOAD_PAUSE.0, RELOAD_PAUSE.1);
        let mut progress = None;
        loop {
            match self.own().await {
                // Begin from what Redis has now.
                Err(PartitionError::RawStream(RawStreamError::OutcomeUnknown)) => tracing::warn!(
                    partition = %self.parts.id,
                    "outcome of the last commit is unknown, loading state again"
                ),
                Err(error) if error.is_end_of_term() => return Ok(()),
                ended => return ended,
            }
            let committed = Some(self.parts.stream.last_committed());
            if committed != progress {
                backoff.reset();
                progress = committed;
                continue;
            }
            let pause = backoff.next_jittered(backoff::random());
            tracing::error!(
                partition = %self.parts.id, ?pause,
                "nothing was committed since state was last loaded, pausing"
            );
            let pause = tokio::time::sleep(pause);
            if self.parts.stop.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes the stream over and works until the stop.
    async fn own(&mut self) -> Result<(), PartitionError> {
        let (caught_up, lost) = self.resume().await?;
        self.store_lost(lost).await?;
        failpoint::pass("state loaded");
        let series = self.parts.recorder.begin().await?;
        tracing::info!(
            partition = %self.parts.id,
            committed = %self.parts.stream.last_committed(),
            devices = self.engine.devices(),
            caught_up,
            series,
            "partition taken over"
        );
        while !self.parts.stop.is_cancelled() {
            let batch = match self.parts.stream.next().await {
                Err(RawStreamError::Stage(StageError::Stopped)) => break,
                next => next?,
            };
            if batch.has_news() {
                self.evaluate(batch).await?;
                // A read that failed is neither news nor a wait.
                self.pulse.beat();
            }
            self.do_due_work().await?;
        }
        self.save().await
    }

    /// Does what is due now and then.
    async fn do_due_work(&mut self) -> Result<(), PartitionError> {
        if self.parts.recorder.may_have_lost() {
            self.store_again().await?;
        }
        self.parts.recorder.tidy().await?;
        if self.rack_aggregates.is_due() {
            self.publish_rack_aggregates().await?;
        }
        if self.save.is_due() {
            self.save().await?;
        }
        Ok(())
    }

    /// Restores the state of the last owner and catches up with its last commit. Returns the number
    /// of entries that this took, and the episodes that are to be stored again.
    async fn resume(&mut self) -> Result<(usize, Vec<Episode>), PartitionError> {
        // A commit whose outcome is unknown may not have ended them.
        self.ended_lost.clear();
        // The old state goes before the new one comes.
        self.engine = Engine::new(Arc::clone(&self.parts.rules));
        let engine = &mut self.engine;
        let mut cold = ColdStarts::default();
        let mut restore = |slice| cold.merge(engine.restore(slice));
        let resume = self.parts.stream.resume(&mut restore).await?;
        for (rule, reason, devices) in cold.iter() {
            tracing::warn!(
                partition = %self.parts.id, rule, %reason, devices,
                "saved detector state not taken over"
            );
        }
        let lost = resume.lost;
        let episodes = resume.episodes.into_iter().chain(lost.iter().cloned());
        engine.resume(episodes.collect(), resume.agents);
        // Without saved state, all that the stream still holds is run through.
        let mut at = resume.saved.unwrap_or(StreamId::ZERO);
        let mut entries = 0;
        while at < resume.done {
            let mut batch = self.parts.stream.read_committed(at, resume.done).await?;
            let Some(last) = batch.entries.last() else {
                break;
            };
            at = last.id;
            entries += batch.entries.len();
            let beyond = Beyond::refuse(&mut batch, engine, self.parts.max_devices);
            self.parts.stream.forget_devices(&beyond.devices);
            // Descriptions included: a device without one is not evaluated, and its windows would
            // stay cold.
            engine.catch_up(inputs(batch));
        }
        let described = engine.described_devices();
        let described = described.map(|(id, is_plain)| (id.clone(), is_plain));
        self.parts.stream.restore_devices(described.collect());
        Ok((entries, lost))
    }

    /// Stores episodes that were lost: what is unknown is not resolved. Their next reading shows how they go on.
    async fn store_lost(&mut self, lost: Vec<Episode>) -> Result<(), PartitionError> {
        if lost.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            partition = %self.parts.id, alerts = lost.len(),
            "open alerts of incidents had no stored episode, made it again from their records: they stay open until \
             a reading or a person ends them"
        );
        let mut commit = Commit::default();
        let open = lost
            .into_iter()
            .map(|episode| EpisodeChange::Open(Box::new(episode)));
        commit.effects.episodes = open.collect();
        Ok(self.parts.stream.commit(commit).await?)
    }

    /// Stores, evaluates and commits a batch.
    async fn evaluate(&mut self, mut batch: Batch) -> Result<(), PartitionError> {
        let beyond = Beyond::refuse(&mut batch, &self.engine, self.parts.max_devices);
        self.parts.stream.forget_devices(&beyond.devices);
        let entries = &batch.entries;
        self.parts.recorder.describe(&batch.descriptions).await?;
        let mut commit = Commit {
            done: entries.iter().map(|entry| entry.id).collect(),
            dead: entries.iter().filter_map(dead_letter).collect(),
            beyond: beyond.readings,
            ..Commit::default()
        };
        failpoint::pass("before store");
        let refused = self.parts.recorder.store(entries).await?;
        commit.dead.extend(refused);
        if let Some(last) = commit.done.last() {
            let minutes = self.parts.recorder.refused_minutes(*last);
            commit.dead.extend(minutes);
        }
        commit.dead.extend(beyond.letters);
        let readings: usize = entries
            .iter()
            .map(|entry| entry.decoded.readings.len())
            .sum();
        let requests = batch.resolutions.clone();
        commit.resolutions = requests.iter().map(|(alert, _)| alert.clone()).collect();
        commit.effects = self.engine.step(inputs(batch));
        self.end_lost(&requests, &mut commit.effects.alerts);
        // The clock decides which alerts are news, and nothing else. It is Redis': this host's may be wrong.
        let news = self.parts.stream.now().minus(AlertRecord::NEWS);
        for alert in &mut commit.effects.alerts {
            alert.historical = alert.at < news;
        }
        if !commit.effects.inventory.is_empty() {
            let changes = &commit.effects.inventory;
            self.parts.stream.publish_inventory_changes(changes).await?;
        }
        commit.effects.notices.iter().for_each(log_notice);
        self.count(&commit, readings);
        if commit.is_empty() {
            return Ok(());
        }
        let resolved = resolved_by_hand(&commit.effects);
        failpoint::pass("before commit");
        self.parts.stream.commit(commit).await?;
        log_resolutions(self.parts.id, &requests, &resolved);
        failpoint::pass("after commit");
        Ok(())
    }

    /// Ends alerts that a person resolved and the engine does not know, since their episodes were lost. Each ends once,
    /// though two people may have asked for it.
    fn end_lost(&mut self, requests: &[ResolvedByHand], records: &mut Vec<AlertRecord>) {
        for (alert, request) in requests {
            let is_ended =
                |record: &AlertRecord| record.id == *alert && record.resolution.is_some();
            if let Some(lost) = request.lost.as_ref().filter(|lost| lost.id == *alert)
                && !records.iter().any(is_ended)
                && self.ended_lost.insert(alert.clone())
            {
                records.push(lost.ended_by_hand());
            }
        }
    }

    fn count(&self, commit: &Commit, readings: usize) {
        let (stats, engine) = (&self.parts.stats, &self.engine);
        stats.count_entries(commit.done.len(), readings, commit.dead.len());
        stats.count_beyond(commit.beyond);
        stats.count_effects(&commit.effects);
        stats.set_known(self.parts.id, engine.devices(), engine.open());
    }

    /// Stores the readings of the last minute again, which changes nothing for those that are there.
    async fn store_again(&mut self) -> Result<(), PartitionError> {
        let end = self.parts.stream.last_committed();
        let back = u64::try_from(STORE_AGAIN.as_millis()).unwrap_or(u64::MAX);
        let mut at = StreamId {
            ms: end.ms.saturating_sub(back),
            seq: 0,
        };
        while at < end {
            let batch = self.parts.stream.read_committed(at, end).await?;
            let Some(last) = batch.entries.last() else {
                break;
            };
            at = last.id;
            // Refused readings are in the dead letters already.
            self.parts.recorder.store(&batch.entries).await?;
        }
        Ok(())
    }

    /// Publishes the aggregates of each rack, from which the leader makes indices.
    async fn publish_rack_aggregates(&mut self) -> Result<(), PartitionError> {
        let all = self.engine.rack_aggregates(&self.parts.envelope);
        let racks = all
            .into_iter()
            .map(|((zone, rack), aggregate)| RackAggregate {
                zone,
                rack,
                aggregate,
            });
        let racks = RackAggregates {
            racks: racks.collect(),
        };
        let json = stored::encode(&racks);
        self.parts.stream.publish_rack_aggregates(json).await?;
        self.rack_aggregates.restart();
        Ok(())
    }

    /// Saves detector state in slices, one at a time: all of them at once would double the memory.
    async fn save(&mut self) -> Result<(), PartitionError> {
        let stream = &mut self.parts.stream;
        let slices = self.engine.snapshot(stream.last_committed());
        let of = slices.len();
        failpoint::pass("before save");
        for (number, slice) in slices.enumerate() {
            stream.save_slice(SliceNumber { number, of }, slice).await?;
            failpoint::pass("slice saved");
        }
        failpoint::pass("before trim");
        stream.finish_save(of).await?;
        failpoint::pass("after trim");
        self.save.restart();
        Ok(())
    }
}

/// Logs a notice: it is about the configuration, and no alert about the room.
fn log_notice(notice: &Notice) {
    let Notice {
        role,
        kind,
        limit,
        beyond,
        known,
    } = notice;
    tracing::warn!(
        %role, %kind, limit, beyond, known,
        "many sensors start beyond this limit, reporting them as info; if the room is meant to be so, \
         choose a profile for its class (profile = \"ashrae-a2\") or set the limits in [[rules]]"
    );
}
