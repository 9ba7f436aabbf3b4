//! Feeds: streams of records from the reader's side. Records come in, acknowledgements go out.
//!
//! Promise: each record comes at least once, in order, and again until it is acknowledged. [`redis`] reads alerts
//! through a consumer group, [`position`] incidents for each recipient, [`memory`] the alerts of the demo.

pub(crate) mod damage;
pub mod memory;
pub mod position;
pub mod redis;

use async_trait::async_trait;
use rackwatch_core::time::StreamId;

use crate::stage::StageError;

/// One entry of a stream.
#[derive(Clone, Debug)]
pub struct FeedEntry<T> {
    /// The id of the entry.
    pub id: StreamId,
    /// The record, or the reason why the entry holds none.
    pub record: Result<T, String>,
}

/// A reader of one stream.
#[async_trait]
pub trait Feed: Send {
    /// The type of a decoded entry.
    type Record;

    /// Returns the next records, or none if nothing came for a while.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    async fn next(&mut self) -> Result<Vec<FeedEntry<Self::Record>>, StageError>;

    /// Acknowledges entries that the reader has processed.
    ///
    /// # Errors
    ///
    /// Fails on a stop, and if Redis refuses for a lasting reason.
    async fn acknowledge(&mut self, ids: &[StreamId]) -> Result<(), StageError>;
}
