//! The raw stream of the demo: a bounded channel from the sampler, alerts into another.
//!
//! Not an imitation of Redis: nothing is stored, nothing comes twice, and what is not printed when
//! the program ends is gone.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{InventoryChange, Slice};
use rackwatch_core::reading::Sample;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::Decoded;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Batch, Commit, Entry, Log, LogError, Restore, Resume, SliceNumber};

/// What a sampler sends.
#[derive(Clone, Debug)]
pub enum Sent {
    /// What is known of devices.
    Devices(Vec<(DeviceId, Description)>),
    /// A tick's readings.
    Sample(Sample),
}

/// The receiving end.
#[derive(Debug)]
pub struct MemoryLog {
    sent: mpsc::Receiver<Sent>,
    alerts: mpsc::Sender<AlertRecord>,
    stop: CancellationToken,
    last: StreamId,
}

/// How long [`Log::next`] waits before it says that nothing came.
const PATIENCE: Duration = Duration::from_secs(1);

impl MemoryLog {
    /// Reads from `sent`, writes alerts to `alerts`.
    pub fn new(
        sent: mpsc::Receiver<Sent>,
        alerts: mpsc::Sender<AlertRecord>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            sent,
            alerts,
            stop,
            last: StreamId::ZERO,
        }
    }

    /// Ids as Redis would give them: its clock, and a number within the millisecond.
    fn next_id(&mut self) -> StreamId {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since_1970.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0));
        self.last = if ms > self.last.ms {
            StreamId { ms, seq: 0 }
        } else {
            self.last.next()
        };
        self.last
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn resume(&mut self, _: &mut Restore<'_>) -> Result<Resume, LogError> {
        Ok(Resume::default())
    }

    async fn committed(&mut self, _: StreamId, _: StreamId) -> Result<Batch, LogError> {
        Ok(Batch::default())
    }

    async fn next(&mut self) -> Result<Batch, LogError> {
        let received = tokio::select! {
            biased;
            received = self.sent.recv() => received,
            () = tokio::time::sleep(PATIENCE) => {
                return Ok(Batch {
                    waited: PATIENCE,
                    ..Batch::default()
                });
            }
            () = self.stop.cancelled() => None,
        };
        let mut batch = Batch::default();
        match received {
            None => return Err(LogError::Stopped),
            Some(Sent::Devices(devices)) => {
                let known = devices.into_iter().map(|(id, d)| (id, Some(Box::new(d))));
                batch.descriptions.extend(known);
            }
            Some(Sent::Sample(sample)) => {
                let id = self.next_id();
                let decoded = Decoded {
                    agent: Some("demo".to_owned()),
                    readings: sample.readings,
                    ..Decoded::default()
                };
                batch.entries.push(Entry {
                    id,
                    decoded,
                    fields: Vec::new(),
                });
            }
        }
        Ok(batch)
    }

    fn done(&self) -> StreamId {
        self.last
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), LogError> {
        for alert in commit.effects.alerts {
            self.alerts
                .send(alert)
                .await
                .map_err(|_| LogError::Stopped)?;
        }
        Ok(())
    }

    async fn save(&mut self, _: SliceNumber, _: Slice) -> Result<(), LogError> {
        Ok(())
    }

    async fn tell_racks(&mut self, _: String) -> Result<(), LogError> {
        Ok(())
    }

    async fn tell_moves(&mut self, _: &[InventoryChange]) -> Result<(), LogError> {
        Ok(())
    }

    async fn saved(&mut self, _: usize) -> Result<(), LogError> {
        Ok(())
    }
}
