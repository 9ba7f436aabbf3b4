//! The alerts of the demo, straight from the partition.

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::time::StreamId;
use tokio::sync::mpsc;

use super::{Fed, Feed};
use crate::stage::StageError;

/// The receiving end of the partition's alerts. It ends when the partition does, so that the last
/// alerts are still told.
#[derive(Debug)]
pub struct MemoryFeed {
    alerts: mpsc::Receiver<AlertRecord>,
    last: StreamId,
}

impl MemoryFeed {
    /// Reads from `alerts`.
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

    async fn next(&mut self) -> Result<Vec<Fed<AlertRecord>>, StageError> {
        let record = self.alerts.recv().await.ok_or(StageError::Stopped)?;
        self.last = self.last.next();
        Ok(vec![Fed {
            id: self.last,
            record: Ok(record),
        }])
    }

    async fn done(&mut self, _: &[StreamId]) -> Result<(), StageError> {
        Ok(())
    }
}
