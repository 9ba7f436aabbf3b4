//! A stream of records as a reader of it sees it: records in, acknowledgements out.
//!
//! Promise: each record at least once, in order, and again until it is acknowledged. Two kinds:
//! [`redis`], of alerts and of incidents, and [`memory`] for the demo.

pub mod memory;
pub mod redis;

use async_trait::async_trait;
use rackwatch_core::time::StreamId;

use crate::stage::StageError;

/// One entry of the stream.
#[derive(Clone, Debug)]
pub struct Fed<T> {
    /// Its id.
    pub id: StreamId,
    /// What it says, or why that cannot be understood.
    pub record: Result<T, String>,
}

/// A reader of the stream.
#[async_trait]
pub trait Feed: Send {
    /// What an entry says.
    type Record;

    /// The next records; none when nothing came for a while.
    async fn next(&mut self) -> Result<Vec<Fed<Self::Record>>, StageError>;

    /// These have been dealt with.
    async fn done(&mut self, ids: &[StreamId]) -> Result<(), StageError>;
}
