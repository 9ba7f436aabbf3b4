//! Reads every source at its ticks.
//!
//! In: sources. Out, on one channel and in this order: the devices that a source found, then a
//! [`Sample`] a tick and source, with a reading for each device that was ever found. A source that
//! misses its deadline gives a timeout for each of its devices; one that leaves a device out, a
//! fault for that one; so a failed read is never a gap.
//!
//! Each source has a task of its own: one that hangs delays no other. That holds as long as what
//! blocks is kept off the runtime's threads, as [`Source::read`] asks for: a blocked worker may be
//! the one that waits for the timers of all.
//!
//! Ticks are multiples of the interval since 1970 by the wall clock, so that all agents read at the
//! same moments. A tick that passes while a source is busy, or while nobody takes what it said, is
//! skipped, not made up for: that is the one thing lost here.

mod complete;
mod tick;

use std::time::Duration;

use rackwatch_core::reading::Sample;
use rackwatch_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::source::{Found, Source};
use complete::Roster;

pub use tick::SHORTEST;

/// How many messages may wait on the channel that [`Sampler::run`] fills: a few ticks of every
/// source. When it is full the sources wait, and skip ticks.
pub const DEPTH: usize = 64;

/// How often sources look for devices: a replaced drive is seen within this time.
pub const REDISCOVER_EVERY: Duration = Duration::from_mins(1);

/// How long a source that does not react to the stop is waited for.
const STOP_GRACE: Duration = Duration::from_millis(300);

/// What the sampler says.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// These devices are there. Comes before their first readings, and again from time to time.
    Found(Vec<Found>),
    /// What one source said at one tick.
    Sample(Sample),
}

/// The sampler died.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// Nothing to read.
    #[error("no source is switched on: set sources.<kind>.enabled = true for one of them")]
    NoSource,
    /// A source has a bug.
    #[error("a source panicked")]
    Panicked {
        /// The panic.
        source: JoinError,
    },
}

/// Reads sources until it is stopped.
pub struct Sampler {
    sources: Vec<Box<dyn Source>>,
    rediscover: Duration,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.sources.iter().map(|source| source.kind());
        f.debug_list().entries(kinds).finish()
    }
}

impl Sampler {
    /// A sampler of `sources`.
    pub fn new(sources: Vec<Box<dyn Source>>) -> Self {
        Self {
            sources,
            rediscover: REDISCOVER_EVERY,
        }
    }

    /// Looks for devices this often instead of every [`REDISCOVER_EVERY`].
    pub fn rediscover_every(mut self, period: Duration) -> Self {
        self.rediscover = period;
        self
    }

    /// Samples until `stop` is cancelled or nobody takes what comes out.
    pub async fn run(
        self,
        stop: CancellationToken,
        out: mpsc::Sender<Observed>,
    ) -> Result<(), SamplerError> {
        if self.sources.is_empty() {
            return Err(SamplerError::NoSource);
        }
        let mut tasks = JoinSet::new();
        for source in self.sources {
            let watch = Watch {
                roster: Roster::default(),
                rediscover: self.rediscover,
                out: out.clone(),
                late: false,
                source,
            };
            tasks.spawn(stop.clone().run_until_cancelled_owned(watch.run()));
        }
        drop(out);
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|source| SamplerError::Panicked { source })?;
            }
            Ok(())
        };
        let hangs = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            ended = ended => ended,
            () = hangs => {
                warn!("a source does not stop, leaving it behind");
                Ok(())
            }
        }
    }
}

/// One source and what is known of it.
struct Watch {
    source: Box<dyn Source>,
    roster: Roster,
    rediscover: Duration,
    out: mpsc::Sender<Observed>,
    late: bool,
}

impl Watch {
    async fn run(mut self) {
        let mut discover_at = Instant::now();
        let mut last = None;
        loop {
            if Instant::now() >= discover_at {
                discover_at = Instant::now() + self.rediscover;
                if self.discover(last.is_none()).await.is_err() {
                    return;
                }
            }
            let offset = self.source.offset();
            let now = clock::now().minus(offset);
            let tick = tick::next(now, self.source.interval(), last);
            last = Some(tick);
            let at = tick.plus(offset);
            tokio::time::sleep(at.since(clock::now())).await;
            if self.sample(at).await.is_err() {
                return;
            }
        }
    }

    async fn discover(&mut self, first: bool) -> Result<(), Closed> {
        let Ok(found) = timeout(self.source.patience(), self.source.discover()).await else {
            warn!(
                source = self.source.kind(),
                "looking for devices takes too long"
            );
            return Ok(());
        };
        let change = self.roster.discovered(&found);
        let (source, devices) = (self.source.kind(), found.len());
        if change.is_some() {
            info!(source, devices, "found devices");
        } else if first && devices == 0 {
            warn!(source, "found no devices, looking again from time to time");
        }
        self.send(Observed::Found(found)).await
    }

    async fn sample(&mut self, at: Timestamp) -> Result<(), Closed> {
        let read = timeout(self.source.deadline(), self.source.read(at)).await;
        self.note_lateness(read.is_err());
        let mut readings = match read {
            Ok(outcomes) => self.roster.complete(at, outcomes),
            Err(_) => self.roster.timed_out(at),
        };
        if self.source.reads_again() && self.roster.doubts(&readings) {
            let again = timeout(self.source.deadline(), self.source.read(at)).await;
            let again = again.unwrap_or_default();
            self.roster.confirm(&mut readings, again);
        }
        self.roster.note(&readings);
        if readings.is_empty() {
            return Ok(());
        }
        self.send(Observed::Sample(Sample { at, readings })).await
    }

    fn note_lateness(&mut self, late: bool) {
        let source = self.source.kind();
        match (self.late, late) {
            (false, true) => warn!(source, "does not answer before its deadline"),
            (true, false) => info!(source, "answers again"),
            _ => {}
        }
        self.late = late;
    }

    async fn send(&mut self, observed: Observed) -> Result<(), Closed> {
        self.out.send(observed).await.map_err(|_| Closed)
    }
}

/// Nobody takes what comes out: time to end.
struct Closed;
