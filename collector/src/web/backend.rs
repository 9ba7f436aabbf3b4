//! What the web side asks for that the view does not know, and what it has done: in Redis ([`redis`]), or in the demo's
//! own memory ([`memory`]).

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
use crate::incidents::windows::Window;
use crate::indices::past::{Points, SeriesRange};
use crate::notify::delivery_log::Delivery;
use crate::series::history::{History, Span};

/// It cannot be told, or done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// By what was asked.
    #[error(transparent)]
    Act(#[from] ActionError),
    /// Redis does not answer.
    #[error("Redis does not answer: {0}")]
    Away(String),
}

/// Where the rest is.
#[async_trait]
pub(crate) trait Backend: Send + Sync + std::fmt::Debug {
    /// The clock that all times are by.
    async fn now(&self) -> Timestamp;

    /// A device's temperatures over time.
    async fn history(&self, device: &DeviceId, span: Span) -> Result<History, BackendError>;

    /// How well something was cooled: each index by its name, over time.
    async fn indices(
        &self,
        stretch: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError>;

    /// A device's alerts since then, the oldest first; none where the view knows them all.
    async fn alerts(
        &self,
        device: &DeviceId,
        zone: &str,
        from: Timestamp,
    ) -> Result<Option<Vec<AlertRecord>>, BackendError>;

    /// Acknowledges an incident. Returns its id.
    async fn ack(&self, id: &str, ack: Ack) -> Result<String, BackendError>;

    /// Begins a silence.
    async fn silence(&self, silence: Silence) -> Result<(), BackendError>;

    /// Ends one; whether there was one.
    async fn unsilence(&self, id: &str) -> Result<bool, BackendError>;

    /// Maintenance windows, the next first.
    async fn windows(&self) -> Result<Vec<Window>, BackendError>;

    /// Plans one.
    async fn plan(&self, window: Window) -> Result<(), BackendError>;

    /// Takes one back; whether there was one.
    async fn unplan(&self, id: &str) -> Result<bool, BackendError>;

    /// How the pipeline is doing: facts, and what is wrong.
    async fn status(&self) -> Result<Value, BackendError>;

    /// What became of what people were to be told, the newest first.
    async fn deliveries(&self, incident: Option<&str>) -> Result<Vec<Delivery>, BackendError>;
}
