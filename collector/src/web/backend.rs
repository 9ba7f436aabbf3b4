//! Data beyond the read model, and operator actions: in Redis ([`redis`]), or in the memory of the demo ([`memory`]).

pub(crate) mod memory;
pub(crate) mod redis;

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::Ack;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::time::Timestamp;
use serde_json::Value;

use crate::incidents::operator_actions::ActionError;
use crate::incidents::resolve::{Requested, Resolver};
use crate::incidents::windows::Window;
use crate::indices::past::{Points, SeriesRange};
use crate::notify::delivery_log::Delivery;
use crate::series::history::{History, Span};

/// A failed query or operator action.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// The action is invalid or conflicts with the stored state.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// Keys in Redis hold something else: a line for each, with what to do.
    #[error("{0}")]
    BrokenKeys(String),
    /// Redis is unreachable or too slow.
    #[error("Redis is unreachable: {0}")]
    Unavailable(String),
}

/// Queries beyond the read model, and operator actions.
#[async_trait]
pub(crate) trait WebBackend: Send + Sync + std::fmt::Debug {
    /// Returns the current time of the clock that all records use.
    async fn now(&self) -> Timestamp;

    /// Returns a device's temperatures over time.
    async fn history(&self, device: &DeviceId, span: Span) -> Result<History, BackendError>;

    /// Returns the cooling indices of a scope over time, by name.
    async fn indices(
        &self,
        range: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError>;

    /// Returns a device's alert records from `from` on, oldest first, or `None` if the read model has them all.
    async fn alerts(
        &self,
        device: &DeviceId,
        zone: &str,
        from: Timestamp,
    ) -> Result<Option<Vec<AlertRecord>>, BackendError>;

    /// Acknowledges an incident. Returns its id.
    async fn ack(&self, id: &str, ack: Ack) -> Result<String, BackendError>;

    /// Requests the end of all open alerts of an incident.
    async fn resolve(&self, id: &str, resolver: Resolver) -> Result<Requested, BackendError>;

    /// Stores a new silence.
    async fn add_silence(&self, silence: Silence) -> Result<(), BackendError>;

    /// Expires a silence. Returns whether it existed.
    async fn expire_silence(&self, id: &str) -> Result<bool, BackendError>;

    /// Returns maintenance windows, the earliest first.
    async fn windows(&self) -> Result<Vec<Window>, BackendError>;

    /// Adds a maintenance window.
    async fn add_window(&self, window: Window) -> Result<(), BackendError>;

    /// Deletes a maintenance window. Returns whether it existed.
    async fn delete_window(&self, id: &str) -> Result<bool, BackendError>;

    /// Returns the facts about the pipeline, and what is wrong with them.
    async fn status(&self) -> Result<Value, BackendError>;

    /// Returns deliveries of notifications, of one incident or of all, newest first.
    async fn deliveries(&self, incident: Option<&str>) -> Result<Vec<Delivery>, BackendError>;
}
