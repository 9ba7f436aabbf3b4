//! The feed of the demo: alerts from the partition through memory.

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::time::StreamId;
use tokio::sync::mpsc;

use super::{Feed, FeedEntry};
use crate::stage::StageError;

/// The receiving end of the partition's alerts. It ends with the partition, after the last alert was read.
#[derive(Debug)]
pub struct MemoryFeed {
    alerts: mpsc::Receiver<AlertRecord>,
    last: StreamId,
}

impl MemoryFeed {
    /// Creates a feed of `alerts`.
    pub fn new(alerts: mpsc::Receiver<AlertRecord>) -> Self {
        Self {
            alerts,
            last: StreamId::ZERO,
        }
    }
}

#[async_trait]
impl Feed for MemoryFeed {
    type Record = AlertRecord;

    async fn next(&mut self) -> Result<Vec<FeedEntry<AlertRecord>>, StageError> {
        let record = self.alerts.recv().await.ok_or(StageError::Stopped)?;
        self.last = self.last.next();
        Ok(vec![FeedEntry {
            id: self.last,
            record: Ok(record),
        }])
    }

    async fn acknowledge(&mut self, _: &[StreamId]) -> Result<(), StageError> {
        Ok(())
    }
}
