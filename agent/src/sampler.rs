//! Reads every source at its ticks.
//!
//! In: sources. Out, on one channel and in this order: the devices that a source discovered, then
//! one [`Sample`] per tick and source with a reading for each known device. If a source misses its
//! deadline, each of its devices has a timeout; if it omits a device, that device has a fault. So a
//! failed read is never a gap.
//!
//! Each source has its own task: a source that hangs delays no other. Sources must keep blocking
//! calls off the runtime's threads, as [`Source::read`] requires, or they block the timers of all.
//!
//! Ticks are multiples of the interval since 1970 by the wall clock, so all agents read at the same
//! moments. Lost: a tick that passes while its source is busy or the channel is full is skipped.

mod known_devices;
mod tick;

use std::time::Duration;

use rackwatch_core::reading::Sample;
use rackwatch_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::host_clock::Moment;
use crate::source::{DiscoveredDevice, Source};
use known_devices::KnownDevices;

pub use tick::SHORTEST_INTERVAL;

/// Capacity of the channel that [`Sampler::run`] fills: a few ticks of every source. When it is full
/// the sources wait, and skip ticks.
pub const EVENT_QUEUE: usize = 64;

/// Time between two searches for devices: a replaced drive appears within this time.
const REDISCOVER_EVERY: Duration = Duration::from_mins(1);

/// Wait at the stop for a source that does not react to it.
const STOP_GRACE: Duration = Duration::from_millis(300);

/// A message from the sampler.
#[derive(Clone, Debug, PartialEq)]
pub enum SamplerEvent {
    /// The present devices of a source, before their first readings and again from time to time.
    Discovered(Vec<DiscoveredDevice>),
    /// The readings of one source at one tick, and the moment whose clock stamped them.
    Sample(Sample, Moment),
}

/// A failure that ends the sampler.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// There is no source.
    #[error("no source is enabled: set sources.<kind>.enabled = true for at least one")]
    NoSource,
    /// A source has a bug.
    #[error("a source panicked")]
    Panicked {
        /// Panic message of the source's task.
        source: JoinError,
    },
}

/// A reader of sources.
pub struct Sampler {
    sources: Vec<Box<dyn Source>>,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.sources.iter().map(|source| source.kind());
        f.debug_list().entries(kinds).finish()
    }
}

impl Sampler {
    /// Returns a sampler of `sources`.
    pub fn new(sources: Vec<Box<dyn Source>>) -> Self {
        Self { sources }
    }

    /// Samples until `stop` is cancelled or the channel is closed.
    ///
    /// # Errors
    ///
    /// When there is no source, or a source panics.
    pub async fn run(
        self,
        stop: CancellationToken,
        out: mpsc::Sender<SamplerEvent>,
    ) -> Result<(), SamplerError> {
        if self.sources.is_empty() {
            return Err(SamplerError::NoSource);
        }
        let mut tasks = JoinSet::new();
        for source in self.sources {
            let task = SourceTask {
                devices: KnownDevices::default(),
                out: out.clone(),
                is_late: false,
                source,
            };
            tasks.spawn(stop.clone().run_until_cancelled_owned(task.run()));
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
                warn!("source did not stop in time, abandoning it");
                Ok(())
            }
        }
    }
}

/// The loop over one source.
struct SourceTask {
    source: Box<dyn Source>,
    devices: KnownDevices,
    out: mpsc::Sender<SamplerEvent>,
    /// Whether the last read missed its deadline.
    is_late: bool,
}

impl SourceTask {
    async fn run(mut self) {
        let mut discover_at = Instant::now();
        let mut last = None;
        loop {
            if Instant::now() >= discover_at {
                discover_at = Instant::now() + REDISCOVER_EVERY;
                if self.discover(last.is_none()).await.is_err() {
                    return;
                }
            }
            let offset = self.source.offset();
            let stamped = Moment::now();
            let now = stamped.wall.minus(offset);
            let tick = tick::next(now, self.source.interval(), last);
            last = Some(tick);
            let at = tick.plus(offset);
            tokio::time::sleep(at.since(stamped.wall)).await;
            if self.sample(at, stamped).await.is_err() {
                return;
            }
        }
    }

    async fn discover(&mut self, first: bool) -> Result<(), ChannelClosed> {
        let Ok(mut devices) =
            timeout(self.source.discovery_timeout(), self.source.discover()).await
        else {
            let source = self.source.kind();
            warn!(
                source,
                "device discovery did not finish in time, will retry"
            );
            return Ok(());
        };
        for device in &mut devices {
            device.description.rereads = self.source.supports_reread();
        }
        let has_changed = self.devices.update(&devices);
        let (source, count) = (self.source.kind(), devices.len());
        if has_changed {
            info!(source, devices = count, "discovered devices");
        } else if first && count == 0 {
            warn!(source, "discovered no devices, will retry");
        }
        self.send(SamplerEvent::Discovered(devices)).await
    }

    async fn sample(&mut self, at: Timestamp, stamped: Moment) -> Result<(), ChannelClosed> {
        let read = timeout(self.source.deadline(), self.source.read(at)).await;
        self.log_lateness(read.is_err());
        let mut readings = match read {
            Ok(outcomes) => self.devices.complete(at, outcomes),
            Err(_) => self.devices.timed_out(at),
        };
        if self.source.supports_reread() && self.devices.has_jump(&readings) {
            let reread = timeout(self.source.deadline(), self.source.read(at)).await;
            let reread = reread.unwrap_or_default();
            self.devices.confirm(&mut readings, reread);
        }
        self.devices.remember(&readings);
        if readings.is_empty() {
            return Ok(());
        }
        let sample = Sample { at, readings };
        self.send(SamplerEvent::Sample(sample, stamped)).await
    }

    fn log_lateness(&mut self, is_late: bool) {
        let source = self.source.kind();
        match (self.is_late, is_late) {
            (false, true) => warn!(source, "source missed its deadline"),
            (true, false) => info!(source, "source answers in time again"),
            _ => {}
        }
        self.is_late = is_late;
    }

    async fn send(&mut self, event: SamplerEvent) -> Result<(), ChannelClosed> {
        self.out.send(event).await.map_err(|_| ChannelClosed)
    }
}

/// The receiver is gone, so the task ends.
struct ChannelClosed;
