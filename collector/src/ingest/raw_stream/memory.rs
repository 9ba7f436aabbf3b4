//! The raw stream of the demo: a bounded channel from the sampler, and another for alerts.
//!
//! It does not imitate Redis: nothing is stored, nothing comes twice, and alerts that are not
//! printed when the program ends are lost.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{InventoryChange, Slice};
use rackwatch_core::reading::Sample;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::Decoded;
use rackwatch_runtime::clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Commit, Entry, RawStream, RawStreamError, ResolvedByHand, Restore, Resume, SliceNumber,
};
use crate::stage::StageError;

/// A message of the sampler.
#[derive(Clone, Debug)]
pub enum SamplerMessage {
    /// Descriptions of discovered devices.
    Devices(Vec<(DeviceId, Description)>),
    /// Readings of one tick.
    Sample(Sample),
}

/// The receiving end of the messages.
#[derive(Debug)]
pub struct MemoryRawStream {
    messages: mpsc::Receiver<SamplerMessage>,
    alerts: mpsc::Sender<AlertRecord>,
    /// Alerts that people resolved on the page.
    resolutions: mpsc::UnboundedReceiver<Vec<ResolvedByHand>>,
    stop: CancellationToken,
    /// Id of the last entry.
    last: StreamId,
}

/// Time for which [`RawStream::next`] waits before it returns an empty batch: as long as a read of
/// Redis blocks.
const MAX_WAIT: Duration = Duration::from_secs(1);

impl MemoryRawStream {
    /// Creates a stream that reads from `messages` and `resolutions`, and writes alerts to `alerts`.
    pub fn new(
        messages: mpsc::Receiver<SamplerMessage>,
        alerts: mpsc::Sender<AlertRecord>,
        resolutions: mpsc::UnboundedReceiver<Vec<ResolvedByHand>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            messages,
            alerts,
            resolutions,
            stop,
            last: StreamId::ZERO,
        }
    }

    /// Returns an id as Redis would assign it: the time, and a number within the millisecond.
    fn next_id(&mut self) -> StreamId {
        let ms = clock::now().millis();
        self.last = if ms > self.last.ms {
            StreamId { ms, seq: 0 }
        } else {
            self.last.next()
        };
        self.last
    }
}

#[async_trait]
impl RawStream for MemoryRawStream {
    async fn resume(&mut self, _: &mut Restore<'_>) -> Result<Resume, RawStreamError> {
        Ok(Resume::default())
    }

    async fn read_committed(&mut self, _: StreamId, _: StreamId) -> Result<Batch, RawStreamError> {
        Ok(Batch::default())
    }

    async fn next(&mut self) -> Result<Batch, RawStreamError> {
        let received = tokio::select! {
            biased;
            Some(resolutions) = self.resolutions.recv() => {
                return Ok(Batch {
                    resolutions,
                    ..Batch::default()
                });
            }
            received = self.messages.recv() => received,
            () = tokio::time::sleep(MAX_WAIT) => {
                return Ok(Batch {
                    waited: MAX_WAIT,
                    ..Batch::default()
                });
            }
            () = self.stop.cancelled() => None,
        };
        let mut batch = Batch::default();
        match received {
            None => return Err(StageError::Stopped.into()),
            Some(SamplerMessage::Devices(devices)) => {
                let known = devices.into_iter().map(|(id, d)| (id, Some(Box::new(d))));
                batch.descriptions.extend(known);
            }
            Some(SamplerMessage::Sample(sample)) => {
                let id = self.next_id();
                let decoded = Decoded {
                    agent: Some("demo".to_owned()),
                    readings: sample.readings,
                    ..Decoded::default()
                };
                batch.entries.push(Entry {
                    id,
                    ahead: Duration::ZERO,
                    clock_offset: None,
                    decoded,
                    fields: Vec::new(),
                });
            }
        }
        Ok(batch)
    }

    fn forget_devices(&mut self, _: &HashSet<DeviceId>) {}

    fn restore_devices(&mut self, _: Vec<(DeviceId, bool)>) {}

    fn last_committed(&self) -> StreamId {
        self.last
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), RawStreamError> {
        for alert in commit.effects.alerts {
            self.alerts
                .send(alert)
                .await
                .map_err(|_| StageError::Stopped)?;
        }
        Ok(())
    }

    async fn save_slice(&mut self, _: SliceNumber, _: Slice) -> Result<(), RawStreamError> {
        Ok(())
    }

    async fn publish_rack_aggregates(&mut self, _: String) -> Result<(), RawStreamError> {
        Ok(())
    }

    async fn publish_inventory_changes(
        &mut self,
        _: &[InventoryChange],
    ) -> Result<(), RawStreamError> {
        Ok(())
    }

    async fn finish_save(&mut self, _: usize) -> Result<(), RawStreamError> {
        Ok(())
    }
}
