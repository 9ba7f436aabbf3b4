//! The alert stream as a reader of it sees it: records in, acknowledgements out.
//!
//! Promise: each record at least once, in order, and again until it is acknowledged. Two kinds:
//! [`redis`], and [`memory`] for the demo.

pub mod memory;
pub mod redis;

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::time::StreamId;

use crate::log::LogError;

/// One entry of the alert stream.
#[derive(Clone, Debug)]
pub struct FedAlert {
    /// Its id.
    pub id: StreamId,
    /// What it says, or why that cannot be understood.
    pub record: Result<AlertRecord, String>,
}

/// A reader of the alert stream.
#[async_trait]
pub trait AlertFeed: Send {
    /// The next records; none when nothing came for a while.
    async fn next(&mut self) -> Result<Vec<FedAlert>, LogError>;

    /// These have been dealt with.
    async fn done(&mut self, ids: &[StreamId]) -> Result<(), LogError>;
}
