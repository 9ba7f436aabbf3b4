//! One partition: next batch → store series → judge → commit, for a tenure.
//!
//! Promise: nothing is acknowledged before it is stored and judged; what could not be understood is
//! in the dead letters by the same step that acknowledges it. A crash anywhere makes the batch come
//! again: storing it twice changes nothing, and its alerts are not in Redis yet or it would have
//! been acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::engine::{ColdStarts, Engine, Input, Notice};
use rackwatch_core::indices::Envelope;
use rackwatch_core::ledger::ReportedSequence;
use rackwatch_core::partition::PartitionId;
use rackwatch_core::rules::{Profile, RuleSet};
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::failpoint;
use crate::indices::{RackAggregate, RackAggregates};
use crate::ingest::raw_stream::{Batch, Commit, DeadLetter, Entry, Log, LogError, SliceNumber};
use crate::ingest::recorder::{Recorder, RecorderError};
use crate::stats::Stats;

/// How far back series are looked after when a master was replaced, in milliseconds: as far as agents
/// go back with readings.
const AGAIN: u64 = 60_000;

/// How often it is said what racks come to.
const TELL_RACKS: Duration = Duration::from_secs(15);

/// Why a partition ended.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The raw stream.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The series.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

/// The loop and what it drives.
#[derive(Debug)]
pub struct Partition<L> {
    id: PartitionId,
    log: L,
    recorder: Recorder,
    rules: Arc<RuleSet>,
    engine: Engine,
    stats: Arc<Stats>,
    stop: CancellationToken,
    /// Detector state is saved so often: a restart then has at most so much to run through again.
    save_every: Duration,
    saved: Instant,
    envelope: Envelope,
    told: Instant,
}

impl<L: Log> Partition<L> {
    /// A partition that has judged nothing yet, and saves its state every so often.
    pub fn new(
        id: PartitionId,
        log: L,
        recorder: Recorder,
        rules: Arc<RuleSet>,
        stats: Arc<Stats>,
        save_every: Duration,
        stop: CancellationToken,
    ) -> Self {
        let engine = Engine::new(Arc::clone(&rules));
        Self {
            id,
            log,
            recorder,
            rules,
            engine,
            stats,
            stop,
            save_every,
            saved: Instant::now(),
            envelope: Profile::default().envelope(),
            told: Instant::now(),
        }
    }

    /// The same with the limits of another class in its indices.
    #[must_use]
    pub fn within(self, envelope: Envelope) -> Self {
        Self { envelope, ..self }
    }

    /// Runs until told to stop, or until another owner is there; state is saved on the way out.
    pub async fn run(mut self) -> Result<(), PartitionError> {
        loop {
            match self.own().await {
                // Begin from what Redis has now.
                Err(PartitionError::Log(LogError::Gone)) => {
                    tracing::warn!(
                        partition = %self.id,
                        "not sure what redis has of the last commit, state is loaded again"
                    );
                }
                Err(
                    PartitionError::Log(LogError::Stopped | LogError::TakenOver)
                    | PartitionError::Recorder(RecorderError::Stopped),
                ) => return Ok(()),
                other => return other,
            }
        }
    }

    /// From taking the stream over to the end of owning it.
    async fn own(&mut self) -> Result<(), PartitionError> {
        let warmed = self.resume().await?;
        failpoint::pass("state loaded");
        let series = self.recorder.begin().await?;
        let (done, devices) = (self.log.done(), self.engine.devices());
        tracing::info!(partition = %self.id, %done, devices, warmed, series, "partition taken over");
        self.stats.ready();
        while !self.stop.is_cancelled() {
            let batch = match self.log.next().await {
                Err(LogError::Stopped) => break,
                other => other?,
            };
            let has_news = !batch.entries.is_empty() || !batch.descriptions.is_empty();
            if has_news || !batch.waited.is_zero() {
                self.judge(batch).await?;
            }
            if self.recorder.may_have_lost() {
                self.store_again().await?;
            }
            self.recorder.tidy().await?;
            if self.told.elapsed() >= TELL_RACKS {
                self.tell_racks().await?;
            }
            if self.saved.elapsed() >= self.save_every {
                self.save().await?;
            }
        }
        self.save().await
    }

    /// How many entries it took to come to where the last owner was.
    async fn resume(&mut self) -> Result<usize, PartitionError> {
        // The old state goes before the new one comes.
        self.engine = Engine::new(Arc::clone(&self.rules));
        let engine = &mut self.engine;
        let mut cold = ColdStarts::default();
        let mut restore = |slice| cold.merge(engine.restore(slice));
        let resume = self.log.resume(&mut restore).await?;
        for (rule, reason, devices) in cold.iter() {
            tracing::warn!(
                partition = %self.id, rule, %reason, devices,
                "saved detector state not taken over, the rule starts cold"
            );
        }
        engine.resume(resume.episodes, resume.agents);
        // Nothing saved yet: what the stream still has is all there is to know.
        let mut at = resume.saved.unwrap_or(StreamId::ZERO);
        let mut warmed = 0;
        while at < resume.done {
            let batch = self.log.committed(at, resume.done).await?;
            let Some(last) = batch.entries.last() else {
                break;
            };
            at = last.id;
            warmed += batch.entries.len();
            // A device that nobody has described yet is not judged: the windows would stay cold.
            engine.catch_up(inputs(batch));
        }
        Ok(warmed)
    }

    async fn judge(&mut self, batch: Batch) -> Result<(), PartitionError> {
        let entries = &batch.entries;
        self.recorder.describe(&batch.descriptions).await?;
        let mut commit = Commit {
            done: entries.iter().map(|entry| entry.id).collect(),
            dead: entries.iter().filter_map(dead_letter).collect(),
            ..Commit::default()
        };
        failpoint::pass("before store");
        let refused = self.recorder.store(entries).await?;
        commit.dead.extend(refused);
        let read: usize = entries
            .iter()
            .map(|entry| entry.decoded.readings.len())
            .sum();
        commit.effects = self.engine.step(inputs(batch));
        let news = now().minus(AlertRecord::NEWS);
        for alert in &mut commit.effects.alerts {
            alert.historical = alert.at < news;
        }
        if !commit.effects.inventory.is_empty() {
            self.log.tell_moves(&commit.effects.inventory).await?;
        }
        for notice in &commit.effects.notices {
            tell(notice);
        }
        self.stats.batch(read, &commit);
        self.stats
            .known(self.id, self.engine.devices(), self.engine.open());
        if commit.is_empty() {
            return Ok(());
        }
        failpoint::pass("before commit");
        self.log.commit(commit).await?;
        failpoint::pass("after commit");
        Ok(())
    }

    /// Keeps the readings of the last minute once more: what is there already changes nothing.
    async fn store_again(&mut self) -> Result<(), PartitionError> {
        let done = self.log.done();
        let mut at = StreamId {
            ms: done.ms.saturating_sub(AGAIN),
            seq: 0,
        };
        while at < done {
            let batch = self.log.committed(at, done).await?;
            let Some(last) = batch.entries.last() else {
                break;
            };
            at = last.id;
            // Those that were refused are in the dead letters already.
            self.recorder.store(&batch.entries).await?;
        }
        Ok(())
    }

    /// What racks come to, for whoever makes indices of rows and rooms.
    async fn tell_racks(&mut self) -> Result<(), PartitionError> {
        let sums = self.engine.rack_aggregates(&self.envelope);
        let racks = sums.into_iter();
        let racks = racks.map(|((zone, rack), aggregate)| RackAggregate {
            zone,
            rack,
            aggregate,
        });
        let racks = RackAggregates {
            racks: racks.collect(),
        };
        self.log.tell_racks(stored::encode(&racks)).await?;
        self.told = Instant::now();
        Ok(())
    }

    async fn save(&mut self) -> Result<(), PartitionError> {
        let slices = self.engine.snapshot(self.log.done());
        let of = slices.len();
        failpoint::pass("before save");
        // One at a time: all of them at once would double the memory.
        for (number, slice) in slices.enumerate() {
            self.log.save(SliceNumber { number, of }, slice).await?;
            failpoint::pass("slice saved");
        }
        failpoint::pass("before trim");
        self.log.saved(of).await?;
        failpoint::pass("after trim");
        self.saved = Instant::now();
        Ok(())
    }
}

/// This collector's clock: it decides what is news, and nothing else.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::default().plus(since_1970.unwrap_or_default())
}

/// In the log: it is about the configuration, not about the room.
fn tell(notice: &Notice) {
    let Notice {
        role,
        kind,
        limit,
        beyond,
        known,
    } = notice;
    tracing::warn!(
        %role, %kind, limit, beyond, known,
        "many sensors begin beyond this limit: those are info, not warnings; if the room is meant to be so, \
         choose a profile for its class (profile = \"ashrae-a2\") or set the limits in [[rules]]"
    );
}

/// What has become known of devices, then what the entries say.
fn inputs(batch: Batch) -> impl Iterator<Item = Input> {
    let described = batch.descriptions.into_iter();
    let described = described.map(|(id, known)| Input::Describe(id, known));
    let waited = (!batch.waited.is_zero()).then_some(Input::Waited(batch.waited));
    let entries = batch.entries.into_iter().flat_map(readings);
    described.chain(waited).chain(entries)
}

/// What the engine is to know of an entry: who wrote it, then what it says.
fn readings(entry: Entry) -> impl Iterator<Item = Input> {
    let reported = sequence(&entry).map(|reported| Input::Sequence(Box::new(reported)));
    let (id, by_agent) = (entry.id, entry.decoded.agent.is_some());
    let readings = entry.decoded.readings.into_iter();
    let readings = readings.map(move |reading| Input::Reading {
        entry: id,
        by_agent,
        reading,
    });
    reported.into_iter().chain(readings)
}

/// Returns the sequence number of an entry; none for a plain client, which does not number its readings.
fn sequence(entry: &Entry) -> Option<ReportedSequence> {
    let decoded = &entry.decoded;
    let refused = decoded.reject.as_ref().map_or(0, |reject| reject.readings);
    let arrived = Timestamp::from_millis(entry.id.ms).unwrap_or_default();
    Some(ReportedSequence {
        agent: decoded.agent.clone()?,
        seq: decoded.seq.clone()?,
        readings: (decoded.readings.len() + refused) as u64,
        at: decoded
            .readings
            .first()
            .map_or(arrived, |reading| reading.at),
        prev: decoded.prev.clone(),
        gap: decoded.gap,
        skew: decoded.skew,
        arrived,
    })
}

fn dead_letter(entry: &Entry) -> Option<DeadLetter> {
    let reject = entry.decoded.reject.as_ref()?;
    let fields = entry.fields.clone();
    Some(DeadLetter {
        id: entry.id,
        reason: reject.reason.to_string(),
        fields,
    })
}
